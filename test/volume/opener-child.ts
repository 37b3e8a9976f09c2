// A process for openers.test.ts. Each line of stdin is an order in JSON; each is answered by one
// line.
//   open      { where, options, at }   at wall time `at` (ms) if given: "opened" or "CODE message"
//   write     { path, text, times }    text repeated; "written" or "CODE message"
//   sync, close                        "synced", "closed", or "CODE message"
//   stamps    { files, size, syncs }   until killed: rewrites files 0 .. files - 1 in turn, each
//             time with the next number all over it, over the file or renamed over it; says
//             "acknowledged FILE NUMBER" each time; a CP after every `syncs`

import { createInterface } from 'node:readline';
import { type OpenOptions, Volume } from '../../host/node.ts';

interface Order {
  readonly do: 'open' | 'write' | 'sync' | 'close' | 'stamps';
  readonly where: string;
  readonly options: OpenOptions;
  readonly at?: number;
  readonly path: string;
  readonly text: string;
  readonly times: number;
  readonly files: number;
  readonly size: number;
  readonly syncs: number;
}

let volume: Volume | undefined;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** As many numbers as fill `size` bytes. */
function stamped(number: number, size: number): string {
  const word = `${number},`;
  return word.repeat(Math.ceil(size / word.length));
}

async function stamps(order: Order): Promise<never> {
  const fs = (volume as Volume).fs.promises;
  for (let number = 1; ; number++) {
    const file = number % order.files;
    const text = stamped(number, order.size);
    if (number % 3 === 0) {
      await fs.writeFile(`/new-${file}`, text);
      await fs.rename(`/new-${file}`, `/stamp-${file}`);
    } else {
      await fs.writeFile(`/stamp-${file}`, text);
    }
    say(`acknowledged ${file} ${number}`);
    if (number % order.syncs === 0) await (volume as Volume).sync();
  }
}

async function obey(order: Order): Promise<string> {
  switch (order.do) {
    case 'open':
      while (Date.now() < (order.at ?? 0));
      volume = await Volume.open(order.where, order.options);
      return 'opened';
    case 'write':
      await (volume as Volume).fs.promises.writeFile(order.path, order.text.repeat(order.times));
      return 'written';
    case 'sync':
      await (volume as Volume).sync();
      return 'synced';
    case 'close':
      await volume?.close();
      volume = undefined;
      return 'closed';
    case 'stamps':
      return await stamps(order);
  }
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  try {
    say(await obey(JSON.parse(line) as Order));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    say(`${code ?? 'UNTYPED'} ${message.replaceAll('\n', ' ')}`);
  }
});
say('ready');
