// The xattr block against a model and against damage: what is set is got, in order, up to a full
// block. Attributes carry access rights on some systems: a lost or mixed-up one is a security hole.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isStorageError } from '../../host/base/errors.ts';
import type { Xattr } from '../../host/format/xattr.ts';
import {
  decodeXattrs,
  encodeXattrs,
  getXattr,
  listXattrs,
  withoutXattr,
  withXattr,
  XATTR_VALUE_SIZE_MAX,
  xattrsSize,
} from '../../host/format/xattr.ts';
import { bytes, randomFrom } from './directory-fake.ts';

const xattrs = suite('xattr block');

function text(value: Uint8Array): string {
  return String.fromCharCode(...value);
}

function encode(list: readonly Xattr[]): Uint8Array {
  const block = new Uint8Array(BLOCK_SIZE).fill(0xee);
  encodeXattrs(block, list);
  return block;
}

xattrs('random changes against a map (seed 41)', () => {
  const random = randomFrom(41);
  const expected = new Map<string, string>();
  let block: Uint8Array | undefined;
  let full = 0;
  for (let step = 0; step < 5000; step++) {
    const name = bytes(`user.${random(40)}`.padEnd(random(20) === 0 ? 255 : 1, 'n'));
    if (random(3) > 0) {
      const value = new Uint8Array(random(10) === 0 ? random(4100) : random(300)).map(() =>
        random(256),
      );
      const list = withXattr(block, name, value);
      if (list === 'full') {
        full++;
        let size = 16 + 3 + name.length + value.length;
        for (const [key, one] of expected)
          if (key !== text(name)) size += 3 + key.length + one.length;
        assert.ok(size > BLOCK_SIZE, 'full only when it does not fit');
        continue;
      }
      block = encode(list);
      expected.set(text(name), text(value));
    } else {
      const list = withoutXattr(block, name);
      assert.is(list !== undefined, expected.delete(text(name)));
      if (list !== undefined) block = list.length === 0 ? undefined : encode(list);
    }
    const found = getXattr(block, name);
    assert.is(found === undefined ? undefined : text(found), expected.get(text(name)));
    const all = listXattrs(block).map((xattr): [string, string] => [
      text(xattr.name),
      text(xattr.value),
    ]);
    assert.equal(
      all,
      [...expected].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
  assert.ok(full > 10);
});

xattrs('the bounds: an empty value, the longest name, the largest value and one byte more', () => {
  const name = new Uint8Array(255).fill(0xff);
  let block = encode(withXattr(undefined, name, bytes('')) as Xattr[]);
  assert.equal(getXattr(block, name), bytes(''));
  const value = new Uint8Array(XATTR_VALUE_SIZE_MAX).fill(7);
  const list = withXattr(undefined, bytes('n'), value) as Xattr[];
  assert.is(xattrsSize(list), BLOCK_SIZE);
  block = encode(list);
  assert.equal(getXattr(block, bytes('n')), value);
  assert.is(withXattr(undefined, bytes('n'), new Uint8Array(XATTR_VALUE_SIZE_MAX + 1)), 'full');
  assert.is(withXattr(undefined, bytes('n'), new Uint8Array(2 ** 20)), 'full');
  assert.throws(() => withXattr(undefined, bytes(''), value), /has a name/);
  assert.throws(() => withXattr(undefined, new Uint8Array(256), value), /255/);
  assert.is(getXattr(undefined, name), undefined);
  assert.equal(listXattrs(undefined), []);
  assert.is(withoutXattr(undefined, name), undefined);
});

xattrs('lies at any place of an arena, and leaves its neighbours alone', () => {
  const arena = new Uint8Array(3 * BLOCK_SIZE).fill(0x55);
  const list = withXattr(undefined, bytes('user.a'), bytes('1')) as Xattr[];
  encodeXattrs(arena.subarray(BLOCK_SIZE, 2 * BLOCK_SIZE), list);
  assert.equal(decodeXattrs(arena.subarray(BLOCK_SIZE, 2 * BLOCK_SIZE)), list);
  assert.ok(arena.subarray(0, BLOCK_SIZE).every((byte) => byte === 0x55));
  assert.ok(arena.subarray(2 * BLOCK_SIZE).every((byte) => byte === 0x55));
});

const SAMPLE: readonly Xattr[] = [
  { name: bytes('aa'), value: bytes('one') },
  { name: bytes('bb'), value: bytes('two') },
];

/** What is damaged, and the message that names it. */
const DAMAGES: readonly (readonly [string, RegExp, (block: Uint8Array) => void])[] = [
  ['magic', /magic/, (b) => (b[0] = 1)],
  ['more attributes', /counted/, (b) => (b[4] = 3)],
  ['no attributes', /counted/, (b) => b.fill(0, 4, 5).fill(0, 16).fill(16, 6, 7)],
  ['too much in use', /in use/, (b) => (b[7] = 0xff)],
  ['too little in use', /at 24 of/, (b) => (b[6] = 31)],
  ['nothing in use', /counted/, (b) => (b[6] = 3)],
  ['cut off', /cut off/, (b) => (b[6] = 34)],
  ['empty name', /at 16 of/, (b) => (b[16] = 0)],
  ['value too long', /at 16 of/, (b) => (b[18] = 9)],
  ['order', /order/, (b) => (b[19] = 0x7a)],
  ['a name twice', /order/, (b) => b.copyWithin(19, 27, 29)],
  ['reserved header', /reserved/, (b) => (b[9] = 1)],
  ['reserved tail', /reserved/, (b) => (b[4095] = 1)],
];

for (const [title, message, damage] of DAMAGES) {
  xattrs(`damage: ${title}`, () => {
    const block = encode(SAMPLE);
    damage(block);
    assert.throws(
      () => decodeXattrs(block),
      (error: Error) => isStorageError(error, 'BAD_MAGIC') && message.test(error.message),
    );
  });
}

xattrs('random damage: StorageError, or a list that encodes to the same bytes (seed 42)', () => {
  const random = randomFrom(42);
  let kept = 0;
  for (let round = 0; round < 20000; round++) {
    const block = encode(SAMPLE);
    for (let left = 1 + random(3); left > 0; left--) {
      block[random(8) === 0 ? random(BLOCK_SIZE) : random(34)] =
        random(4) === 0 ? random(256) : random(8);
    }
    try {
      assert.equal(encode(decodeXattrs(block)), block);
      kept++;
    } catch (error) {
      if (!isStorageError(error, 'BAD_MAGIC')) throw error;
    }
  }
  assert.ok(kept > 100);
});

xattrs.run();
