/** Files of flows, groups and bundles: lines with comments. */
import { OpenFlowError } from './error.ts';

/** A line that is not empty. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without comment and white space around it. */
  readonly text: string;
}

/** The lines of a file that hold something; a comment goes from `#` to the end of its line. */
export function linesOf(text: string): readonly Line[] {
  const lines: Line[] = [];
  let number = 0;
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    number += 1;
    let line = text.slice(start, end);
    const hash = line.indexOf('#');
    if (hash >= 0) line = line.slice(0, hash);
    line = line.trim();
    if (line !== '') lines.push({ number, text: line });
    start = end + 1;
  }
  return lines;
}

/** Runs `parse`; what it throws names the line. */
export function inLine<T>(number: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    throw new OpenFlowError(error.code, `line ${number}: ${error.message}`, { cause: error });
  }
}

/**
 * Calls back for every line that holds something.
 * @throws OpenFlowError what the callback throws, with the line's number in its message
 */
export function eachLine(text: string, take: (line: string) => void): void {
  for (const line of linesOf(text)) inLine(line.number, () => take(line.text));
}
