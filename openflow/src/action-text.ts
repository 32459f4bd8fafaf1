/** Actions as ovs-ofctl writes them. */
import type { Action } from './action.ts';
import type { TextContext } from './action-spec.ts';
import { specOf, specOfWord } from './action-table.ts';
import { needArgument, readArgument, splitArguments } from './arguments.ts';
import { OpenFlowError } from './error.ts';
import { hex, parseBigint, parseNumber } from './number-text.ts';
import { findPort } from './port.ts';

const ALL_METADATA = 0xffff_ffff_ffff_ffffn;

const CONTEXT: TextContext = {
  format: (actions) => actions.map(formatAction).join(','),
  parse: (text) => parseList(text),
};

/** One action or instruction as text. */
export function formatAction(action: Action): string {
  switch (action.type) {
    case 'goto_table':
      return `goto_table:${action.table}`;
    case 'write_metadata':
      return `write_metadata:${hex(action.value)}${action.mask === undefined ? '' : `/${hex(action.mask)}`}`;
    case 'write_actions':
      return `write_actions(${CONTEXT.format(action.actions)})`;
    case 'clear_actions':
      return 'clear_actions';
    case 'unknown_action':
    case 'unknown_instruction':
      return `${action.type}(${Buffer.from(action.data).toString('hex')})`;
    default: {
      const spec = specOf(action.type);
      if (spec === undefined) throw new OpenFlowError('invalid_value', `there is no action "${action.type}"`);
      return spec.format(action, CONTEXT);
    }
  }
}

/** Actions as in `actions=...`; `drop` for none. */
export function formatActions(actions: readonly Action[]): string {
  const [only, ...others] = actions;
  if (only === undefined) return 'drop';
  return others.length === 0 ? formatAction(only) : CONTEXT.format(actions);
}

function parseInstruction(word: string, args: string | undefined): Action | undefined {
  switch (word) {
    case 'goto_table':
      return { type: 'goto_table', table: parseNumber(needArgument(word, args), 254, word) };
    case 'write_metadata': {
      const [value = '', mask] = needArgument(word, args).split('/');
      const bits = mask === undefined ? undefined : parseBigint(mask, ALL_METADATA, word);
      return {
        type: 'write_metadata',
        value: parseBigint(value, ALL_METADATA, word),
        mask: bits === ALL_METADATA ? undefined : bits,
      };
    }
    case 'write_actions':
      return { type: 'write_actions', actions: parseList(args ?? '') };
    case 'clear_actions':
      return { type: 'clear_actions' };
    case 'unknown_action':
    case 'unknown_instruction':
      return { type: word, data: Uint8Array.from(Buffer.from(needArgument(word, args), 'hex')) };
    default:
      return undefined;
  }
}

/** `enqueue:port:queue`, which OpenFlow since 1.1 says with three actions (ovs-actions(7)). */
function parseEnqueue(args: string): readonly Action[] {
  const [port = '', queue = ''] = args.split(/[:,]/);
  const number = findPort(port);
  if (number === undefined) throw new OpenFlowError('syntax', `enqueue:${args}: write enqueue:port:queue`);
  return [
    { type: 'set_queue', queue: parseNumber(queue, 0xffff_ffff, 'a queue') },
    { type: 'output', port: number, maxLen: 0xffff },
    { type: 'pop_queue' },
  ];
}

function parseList(text: string): readonly Action[] {
  const actions: Action[] = [];
  for (const part of splitArguments(text)) {
    const { word, value } = readArgument(part);
    if (word === 'drop') {
      if (value !== undefined) throw new OpenFlowError('syntax', `drop takes no argument, in "${text}"`);
      continue;
    }
    const instruction = parseInstruction(word, value);
    if (instruction !== undefined) {
      actions.push(instruction);
      continue;
    }
    if (word === 'enqueue') {
      actions.push(...parseEnqueue(needArgument(word, value)));
      continue;
    }
    const spec = specOfWord(word);
    if (spec !== undefined) {
      const parsed = spec.parse(word, value, CONTEXT);
      if (Array.isArray(parsed)) actions.push(...(parsed as readonly Action[]));
      else actions.push(parsed as Action);
      continue;
    }
    // A port alone is an output.
    const port = value === undefined ? findPort(word) : undefined;
    if (port === undefined) throw new OpenFlowError('syntax', `"${part}" is no action (ovs-actions(7))`);
    actions.push({ type: 'output', port });
  }
  return actions;
}

/**
 * Parses what may follow `actions=`.
 * @throws OpenFlowError `syntax` or `invalid_value`
 */
export function parseActions(text: string): readonly Action[] {
  const trimmed = text.trim();
  const actions = parseList(trimmed);
  if (actions.length > 0 && splitArguments(trimmed).includes('drop')) {
    throw new OpenFlowError('syntax', `"${trimmed}": drop stands alone`);
  }
  return actions;
}
