/** Files of flows, groups and bundles: lines with comments. */
import { OpenFlowError } from './error.ts';

/**
 * Calls back for every line that is not empty, without its comment (from `#` on).
 * @throws OpenFlowError what the callback throws, with the line's number in its message
 */
export function eachLine(text: string, take: (line: string) => void): void {
  let number = 0;
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    number += 1;
    let line = text.slice(start, end);
    const hash = line.indexOf('#');
    if (hash >= 0) line = line.slice(0, hash);
    line = line.trim();
    if (line !== '') {
      try {
        take(line);
      } catch (error) {
        if (!(error instanceof OpenFlowError)) throw error;
        throw new OpenFlowError(error.code, `line ${number}: ${error.message}`, { cause: error });
      }
    }
    start = end + 1;
  }
}
