import { OpenFlowError } from './error.ts';

const SHOWN = 40;

const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13);

/**
 * A cursor over the text of messages. White space of what is looked for stands for any white space, also for none:
 * what people paste has lost line breaks and blanks at the ends of lines.
 */
export class TextReader {
  readonly #text: string;
  /** Where the next read begins. */
  pos = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Whether only white space is left. */
  get atEnd(): boolean {
    this.skipSpace();
    return this.pos >= this.#text.length;
  }

  /** Passes over white space. */
  skipSpace(): void {
    while (this.pos < this.#text.length && isSpace(this.#text.charCodeAt(this.pos))) this.pos += 1;
  }

  /** Passes over a text if that comes next. */
  accept(literal: string): boolean {
    const start = this.pos;
    for (let at = 0; at < literal.length; at += 1) {
      if (isSpace(literal.charCodeAt(at))) this.skipSpace();
      else if (this.#text.charCodeAt(this.pos) === literal.charCodeAt(at)) this.pos += 1;
      else {
        this.pos = start;
        return false;
      }
    }
    return true;
  }

  /** Passes over a text. @throws OpenFlowError `syntax` when another one comes next */
  expect(literal: string): void {
    if (!this.accept(literal)) throw this.expected(`"${literal.trim()}"`);
  }

  /** What matches a sticky pattern here; undefined when nothing does, and nothing is passed over then. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.pos += found.length;
    return found;
  }

  /** The error for something else than what must come next. */
  expected(what: string): OpenFlowError {
    const rest = this.#text.slice(this.pos);
    const shown = rest.length > SHOWN ? `${rest.slice(0, SHOWN)}...` : rest;
    return new OpenFlowError(
      'syntax',
      `${what} expected in the text of a message, at "${shown.replaceAll('\n', '\\n')}"`,
    );
  }
}
