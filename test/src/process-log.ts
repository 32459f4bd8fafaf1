import { readFileSync, statSync } from 'node:fs';
import type { TestLab } from './lab.ts';

/** One line of a log of ours: JSON as pino writes it. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** What a process of ours has written to its log since a moment. */
export class ProcessLog {
  readonly #lab: TestLab;
  readonly #file: string;
  readonly #from: number;

  /** From now on. @param process `controller`, `node-1.agent` ... */
  constructor(lab: TestLab, process: string) {
    this.#lab = lab;
    this.#file = `${lab.layout.log}/${process}.log`;
    this.#from = sizeOf(this.#file);
  }

  /** The lines since then; what is not JSON (a crash, the runtime) comes as a message. */
  lines(): readonly LogLine[] {
    if (sizeOf(this.#file) === 0) return [];
    const text = readFileSync(this.#file).subarray(this.#from).toString('utf8');
    // The last line may be written only in part.
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        try {
          return JSON.parse(line) as LogLine;
        } catch {
          return { level: 60, msg: line };
        }
      });
  }

  /** The first line whose message holds a text; `undefined` when there is none. */
  find(text: string): LogLine | undefined {
    return this.lines().find(({ msg }) => msg.includes(text));
  }

  /** Waits for a line. @param deadline milliseconds */
  async waitFor(text: string, deadline = 30_000): Promise<LogLine> {
    return await this.#lab.waitFor(
      `"${text}" in ${this.#file}`,
      () => this.find(text) ?? `last line: ${JSON.stringify(this.lines().at(-1))}`,
      deadline,
    );
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
