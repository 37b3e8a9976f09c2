// What a command says. For people: results on stdout, warnings, errors and progress on stderr, with
// a bar only on a terminal. With --json: one object a line, all on stdout, in the order of events:
//
//   item      one of many results          progress  at most four a second
//   result    the last line of success     error     the last line of failure
//
// Writes are gathered; `breathe` waits where the reader is slower than the command.

import type picocolors from 'picocolors';

import type { Failure } from './failure.ts';
import { formatCount, formatSize } from './text.ts';

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface OutputStream {
  write(data: string | Uint8Array): boolean;
  once(event: 'drain', listener: () => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface OutputOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly colors: Colors;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  now(): number;
}

type Line = Readonly<Record<string, unknown>>;

/** Progress of long work; `total` 0 while not known. */
export interface Progress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'blocks' | 'files';
}

const GATHER_SIZE = 64 * 1024;
const PROGRESS_JSON_MS = 250;
const PROGRESS_BAR_MS = 80;
const BAR_COLUMNS = 30;
const CLEAR_LINE = '\r\u001b[K';

export class Output {
  readonly colors: Colors;
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #signal: AbortSignal;
  readonly #now: () => number;
  readonly #warnings: string[] = [];
  #isJson = false;
  #gathered = '';
  #isFull = false;
  #progressAt = Number.NEGATIVE_INFINITY;
  #hasBar = false;

  constructor(options: OutputOptions) {
    this.#stdout = options.stdout;
    this.#stderr = options.stderr;
    this.colors = options.colors;
    this.#signal = options.signal;
    this.#now = () => options.now();
  }

  get isJson(): boolean {
    return this.#isJson;
  }

  useJson(): void {
    this.#isJson = true;
  }

  /** One result of many; `text` for people, without the line's end. */
  item(line: Line, text: string): void {
    this.#say(this.#isJson ? json('item', line) : `${text}\n`);
  }

  /** The last result; `text` for people may be empty. */
  result(line: Line, text: string): void {
    this.clearBar();
    if (this.#isJson) this.#say(json('result', { ...line, warnings: this.#warnings }));
    else if (text !== '') this.#say(`${text}\n`);
    this.flush();
  }

  /** Bytes as they are, for people and pipes. */
  bytes(data: Uint8Array): void {
    this.flush();
    this.#isFull = !this.#stdout.write(data) || this.#isFull;
  }

  /** Something to know that is no failure. */
  warn(text: string): void {
    this.#warnings.push(text);
    if (this.#isJson) return;
    this.clearBar();
    this.#stderr.write(`${this.colors.yellow('warning:')} ${text}\n`);
  }

  error(failure: Failure): void {
    this.clearBar();
    const { code, message, hint } = failure;
    if (this.#isJson) {
      this.#say(json('error', { code, message, hint }));
      this.flush();
      return;
    }
    this.flush();
    this.#stderr.write(
      `${this.colors.red('error:')} ${message} ${this.colors.dim(`(${code})`)}\n` +
        `${this.colors.cyan(' hint:')} ${hint}\n`,
    );
  }

  progress(progress: Progress): void {
    const now = this.#now();
    const interval = this.#isJson ? PROGRESS_JSON_MS : PROGRESS_BAR_MS;
    if (now - this.#progressAt < interval) return;
    this.#progressAt = now;
    if (this.#isJson) {
      this.#say(json('progress', { ...progress }));
      this.flush();
    } else if (this.#stderr.isTTY === true) {
      this.#hasBar = true;
      this.#stderr.write(CLEAR_LINE + barText(progress, this.colors));
    }
  }

  clearBar(): void {
    if (this.#hasBar) this.#stderr.write(CLEAR_LINE);
    this.#hasBar = false;
  }

  /** Waits until the reader has taken what was said; throws once the command is to stop. */
  async breathe(): Promise<void> {
    this.#signal.throwIfAborted();
    if (!this.#isFull) return;
    await new Promise<void>((resolve) => {
      this.#stdout.once('drain', resolve);
      this.#signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#isFull = false;
    this.#signal.throwIfAborted();
  }

  flush(): void {
    if (this.#gathered === '') return;
    const text = this.#gathered;
    this.#gathered = '';
    this.#isFull = !this.#stdout.write(text) || this.#isFull;
  }

  #say(text: string): void {
    this.#gathered += text;
    if (this.#gathered.length >= GATHER_SIZE) this.flush();
  }
}

/** "put ━━━━━━━━━━────  42 %  63.0 MiB". */
export function barText(progress: Progress, colors: Colors): string {
  const { what, done, total, unit } = progress;
  const amount = unit === 'bytes' ? formatSize(done) : `${formatCount(done)} ${unit}`;
  if (total <= 0) return `${what}  ${amount}`;
  const part = Math.min(1, done / total);
  const full = Math.round(part * BAR_COLUMNS);
  const bar = colors.green('━'.repeat(full)) + colors.dim('─'.repeat(BAR_COLUMNS - full));
  return `${what} ${bar} ${String(Math.floor(part * 100)).padStart(3)} %  ${amount}`;
}

function json(type: string, line: Line): string {
  return `${JSON.stringify({ type, ...line })}\n`;
}
