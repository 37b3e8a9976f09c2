// How the story looks: chapters with what was done and how long it took, a bar while it lasts (on a
// terminal), a table at the end.

import type { Colors, OutputStream, Progress } from '../output.ts';
import { barText } from '../output.ts';

const CLEAR_LINE = '\r\u001b[K';
const BAR_MS = 80;
const TEXT_COLUMNS = 92;
const LABEL_COLUMNS = 22;

export class Stage {
  readonly #out: OutputStream;
  readonly #colors: Colors;
  readonly #now: () => number;
  readonly #failures: string[] = [];
  #barAt = Number.NEGATIVE_INFINITY;
  #hasBar = false;
  #chapters = 0;

  constructor(out: OutputStream, colors: Colors, now: () => number) {
    this.#out = out;
    this.#colors = colors;
    this.#now = now;
  }

  /** What went wrong so far. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  title(text: string): void {
    this.#line(`\n${this.#colors.bold(text)}`);
  }

  chapter(title: string, text: string): void {
    this.#chapters++;
    const { bold, cyan, dim } = this.#colors;
    this.#line(`\n${cyan(`${this.#chapters}`)}  ${bold(title)}`);
    for (const line of wrap(text)) this.#line(`   ${dim(line)}`);
  }

  /** A figure of the chapter. */
  fact(text: string): void {
    this.#line(`   ${this.#colors.green('✓')} ${text}`);
  }

  note(text: string): void {
    this.#line(`   ${text}`);
  }

  failure(text: string): void {
    this.#failures.push(text);
    this.#line(`   ${this.#colors.red('✗')} ${text}`);
  }

  /** A fact if it holds, else a failure. */
  check(holds: boolean, fact: string, failure: string): void {
    if (holds) this.fact(fact);
    else this.failure(failure);
  }

  progress(what: string, done: number, total: number, unit: Progress['unit']): void {
    const now = this.#now();
    if (this.#out.isTTY !== true || now - this.#barAt < BAR_MS) return;
    this.#barAt = now;
    this.#hasBar = true;
    this.#out.write(`${CLEAR_LINE}   ${barText({ what, done, total, unit }, this.#colors)}`);
  }

  table(rows: readonly (readonly [string, string])[]): void {
    const { bold, dim } = this.#colors;
    const width = Math.max(...rows.map(([, value]) => value.length));
    const rule = (left: string, middle: string, right: string) =>
      dim(`   ${left}${'─'.repeat(LABEL_COLUMNS + 2)}${middle}${'─'.repeat(width + 2)}${right}`);
    this.#line(`\n${rule('┌', '┬', '┐')}`);
    for (const [label, value] of rows) {
      const bar = dim('│');
      const cells = `${label.padEnd(LABEL_COLUMNS)} ${bar} ${bold(value.padEnd(width))}`;
      this.#line(`   ${bar} ${cells} ${bar}`);
    }
    this.#line(rule('└', '┴', '┘'));
  }

  #line(text: string): void {
    if (this.#hasBar) this.#out.write(CLEAR_LINE);
    this.#hasBar = false;
    this.#out.write(`${text}\n`);
  }
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > TEXT_COLUMNS) {
      lines.push(line);
      line = '';
    }
    line += (line === '' ? '' : ' ') + word;
  }
  return line === '' ? lines : [...lines, line];
}
