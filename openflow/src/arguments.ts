/** Lists of arguments in the text of actions: `commit,zone=1,nat(src=10.0.0.1),exec(...)`. */
import { OpenFlowError } from './error.ts';

/** One argument: `word`, `word=value`, `word:value` or `word(value)`. */
export interface Argument {
  readonly word: string;
  /** What follows the word; undefined for nothing. */
  readonly value: string | undefined;
  /** The whole of it. */
  readonly text: string;
}

/** Cuts at the commas and spaces that are outside of parentheses and brackets. */
export function splitArguments(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const char = at === text.length ? 44 : text.charCodeAt(at);
    if (char === 40 || char === 91) depth += 1;
    else if (char === 41 || char === 93) depth -= 1;
    else if ((char === 44 || char === 32 || char === 9 || char === 10) && (depth === 0 || at === text.length)) {
      if (at > start) parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  if (depth !== 0) throw new OpenFlowError('syntax', `parentheses do not match in "${text}"`);
  return parts;
}

/** Takes one argument apart. */
export function readArgument(text: string): Argument {
  let end = 0;
  while (end < text.length) {
    const char = text.charCodeAt(end);
    if (char === 61 || char === 58 || char === 40) break;
    end += 1;
  }
  const word = text.slice(0, end);
  if (end === text.length) return { word, value: undefined, text };
  if (text.charCodeAt(end) === 40) {
    if (!text.endsWith(')')) {
      // What follows the parentheses (`check_pkt_larger(1500)->reg0[0]`) is the action's own business.
      return { word, value: text.slice(end), text };
    }
    return { word, value: text.slice(end + 1, -1), text };
  }
  return { word, value: text.slice(end + 1), text };
}

/** The arguments of a list. */
export function readArguments(text: string | undefined): readonly Argument[] {
  return text === undefined ? [] : splitArguments(text).map(readArgument);
}

/** The value of an argument that must have one. @throws OpenFlowError `syntax` */
export function valueOf(argument: Argument, action: string): string {
  if (argument.value === undefined) {
    throw new OpenFlowError('syntax', `"${argument.text}" in ${action} needs a value (ovs-actions(7))`);
  }
  return argument.value;
}

/** The error for an argument that an action does not have. */
export function unknownArgument(argument: Argument, action: string): OpenFlowError {
  return new OpenFlowError('syntax', `${action} has no argument "${argument.text}" (ovs-actions(7))`);
}

/** The text that must follow a word. @throws OpenFlowError `syntax` */
export function needArgument(word: string, args: string | undefined): string {
  if (args === undefined || args === '')
    throw new OpenFlowError('syntax', `${word} needs an argument (ovs-actions(7))`);
  return args;
}

/** Cuts `value->destination`. @throws OpenFlowError `syntax` */
export function splitArrow(word: string, text: string): readonly [value: string, destination: string] {
  const arrow = text.lastIndexOf('->');
  if (arrow < 0) throw new OpenFlowError('syntax', `${word} needs "->" before its destination, in "${text}"`);
  return [text.slice(0, arrow), text.slice(arrow + 2)];
}
