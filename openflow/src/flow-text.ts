/** Flows in ovs-ofctl syntax (ovs-ofctl(8), "Flow Syntax"): what add-flow takes, and what dump-flows prints. */
import type { Action } from './action.ts';
import { formatActions, parseActions } from './action-text.ts';
import { OpenFlowError } from './error.ts';
import { eachLine, inLine, linesOf } from './lines.ts';
import { DEFAULT_PRIORITY, formatMatch } from './match-format.ts';
import { MatchParser } from './match-parse.ts';
import type { MessageList } from './message.ts';
import { ALL_TABLES, FLOW_FLAG_WORDS, type FlowCommand, type FlowMod, formatFlowFlags } from './messages/flow.ts';
import type { FlowFilter } from './messages/flow-stats.ts';
import { parseBigint, parseNumber } from './number-text.ts';
import { parsePort } from './port.ts';

/** A change to flows, without a transaction id: what `parseFlow` returns and a connection sends. */
export type FlowChange = Omit<FlowMod, 'xid'>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const MAX_64 = 0xffff_ffff_ffff_ffffn;
const FLAGS: ReadonlyMap<string, number> = new Map(FLOW_FLAG_WORDS.map(([bit, word]) => [word, bit]));

const COMMANDS: ReadonlySet<string> = new Set(['add', 'modify', 'modify_strict', 'delete', 'delete_strict']);

/** A cookie or its mask; `-1` stands for all bits. */
function parseCookie(text: string): bigint {
  return text === '-1' ? MAX_64 : parseBigint(text, MAX_64, 'cookie');
}

/** The settings of a flow. All are there from the beginning, so that all objects are of one kind to the engine. */
class Target implements Mutable<Omit<FlowFilter, 'match'>> {
  tableId: number | undefined = undefined;
  priority: number | undefined = undefined;
  cookie: bigint | undefined = undefined;
  cookieMask: bigint | undefined = undefined;
  idleTimeout: number | undefined = undefined;
  hardTimeout: number | undefined = undefined;
  outPort: number | undefined = undefined;
  outGroup: number | undefined = undefined;
  flags: number | undefined = undefined;
  importance: number | undefined = undefined;
}

/** Whether the command looks for flows by cookie; else the cookie is what the flow gets. */
type CookieUse = 'set' | 'select' | 'either';

function takeCookie(into: Target, value: string, use: CookieUse): void {
  const slash = value.indexOf('/');
  if (slash < 0) {
    if (use === 'select')
      throw new OpenFlowError('syntax', `cookie=${value} selects flows by a mask: cookie=${value}/-1`);
    into.cookie = parseCookie(value);
    return;
  }
  if (use === 'set') throw new OpenFlowError('syntax', `cookie=${value}: a flow to add has a cookie without a mask`);
  into.cookie = parseCookie(value.slice(0, slash));
  into.cookieMask = parseCookie(value.slice(slash + 1));
}

/** Takes what is not part of the match; false when it is none of it. */
function takeSetting(into: Target, key: string, value: string | undefined, use: CookieUse): boolean {
  if (value === undefined) {
    const bit = FLAGS.get(key);
    if (bit === undefined) return false;
    into.flags = (into.flags ?? 0) | bit;
    return true;
  }
  const setting = SETTINGS.get(key);
  if (setting === undefined) return false;
  setting(into, value, use);
  return true;
}

/** What each setting of a flow does with its value. */
const SETTINGS: ReadonlyMap<string, (into: Target, value: string, use: CookieUse) => void> = new Map([
  [
    'table',
    (into: Target, value: string): void => {
      into.tableId = parseNumber(value, 255, 'table');
    },
  ],
  [
    'priority',
    (into: Target, value: string): void => {
      into.priority = parseNumber(value, 0xffff, 'priority');
    },
  ],
  ['cookie', takeCookie],
  [
    'idle_timeout',
    (into: Target, value: string): void => {
      into.idleTimeout = parseNumber(value, 0xffff, 'idle_timeout');
    },
  ],
  [
    'hard_timeout',
    (into: Target, value: string): void => {
      into.hardTimeout = parseNumber(value, 0xffff, 'hard_timeout');
    },
  ],
  [
    'importance',
    (into: Target, value: string): void => {
      into.importance = parseNumber(value, 0xffff, 'importance');
    },
  ],
  [
    'out_port',
    (into: Target, value: string): void => {
      into.outPort = parsePort(value);
    },
  ],
  [
    'out_group',
    (into: Target, value: string): void => {
      into.outGroup = parseNumber(value, 0xffff_ffff, 'out_group');
    },
  ],
  // What dump-flows prints and a change has no place for.
  ...['duration', 'n_packets', 'n_bytes', 'idle_age', 'hard_age'].map((name) => [name, (): void => undefined] as const),
]);

const COMMA = 44;
const EQUALS = 61;
const OPEN = 40;
const CLOSE = 41;

/** Whether a list goes on to the next element here: a comma or white space. */
const isSeparator = (char: number): boolean => char === COMMA || char <= 32;

/** Reads `key=value` after `key=value` up to `actions=`, and returns where the actions begin (-1: there are none). */
function scan(text: string, start: number, into: Target, parser: MatchParser, use: CookieUse): number {
  let at = start;
  const { length } = text;
  while (at < length) {
    if (isSeparator(text.charCodeAt(at))) {
      at += 1;
      continue;
    }
    const from = at;
    let equals = -1;
    let depth = 0;
    for (; at < length; at += 1) {
      const char = text.charCodeAt(at);
      if (char === EQUALS) {
        if (equals < 0) equals = at;
      } else if (char === OPEN) depth += 1;
      else if (char === CLOSE) depth -= 1;
      else if (depth <= 0 && isSeparator(char)) break;
      if (equals === at) {
        const key = text.slice(from, equals);
        if (key === 'actions' || key === 'action') return equals + 1;
      }
    }
    const key = text.slice(from, equals < 0 ? at : equals);
    const value = equals < 0 ? undefined : text.slice(equals + 1, at);
    if (!takeSetting(into, key, value, use) && !parser.take(key, value)) throw unknownPart(key, value);
  }
  return -1;
}

/**
 * Parses one flow.
 * @param text as after `ovs-ofctl add-flow BRIDGE`, or one line of `dump-flows`, whose counters are passed over
 * @param command what to do with it; for `modify` and `delete`, `out_port`, `out_group` and `cookie=VALUE/MASK` select
 * @throws OpenFlowError `syntax`, `invalid_value`, `prerequisite`
 * @example parseFlow('table=10,priority=200,tcp,nw_dst=10.0.0.0/8,tp_dst=80,actions=goto_table:20')
 */
export function parseFlow(text: string, command: FlowCommand = 'add'): FlowChange {
  return parseFlowAt(text, 0, command);
}

/** Many flows do the same: their actions are parsed once, and are one list. */
const ACTIONS = new Map<string, readonly Action[]>();
const MAX_CACHED = 4096;

function cachedActions(text: string): readonly Action[] {
  let actions = ACTIONS.get(text);
  if (actions === undefined) {
    actions = parseActions(text);
    if (ACTIONS.size >= MAX_CACHED) ACTIONS.clear();
    ACTIONS.set(text, actions);
  }
  return actions;
}

function parseFlowAt(text: string, start: number, command: FlowCommand): FlowChange {
  const isDelete = command === 'delete' || command === 'delete_strict';
  const parser = new MatchParser();
  const into = new Target();
  const use = command === 'add' ? 'set' : isDelete ? 'select' : 'either';
  const at = scan(text, start, into, parser, use);
  if (at < 0 && !isDelete) throw new OpenFlowError('syntax', `"${text}" has no actions; write actions=drop for none`);
  if (at >= 0 && isDelete) throw new OpenFlowError('syntax', `"${text}": deleting flows takes no actions`);
  // As ovs-ofctl: without a table, deleting means all tables, adding and modifying the first one.
  into.tableId ??= isDelete ? ALL_TABLES : 0;
  // OpenFlow has no way to change a cookie: ovs-ofctl passes over one without a mask.
  const isSet = use !== 'either' || into.cookieMask !== undefined;
  return {
    type: 'flow_mod',
    command,
    tableId: into.tableId,
    priority: into.priority,
    match: parser.finish(),
    cookie: isSet ? into.cookie : undefined,
    cookieMask: into.cookieMask,
    idleTimeout: into.idleTimeout,
    hardTimeout: into.hardTimeout,
    outPort: into.outPort,
    outGroup: into.outGroup,
    flags: into.flags,
    importance: into.importance,
    actions: at < 0 ? [] : cachedActions(text.slice(at)),
  };
}

function unknownPart(key: string, value: string | undefined): OpenFlowError {
  const part = value === undefined ? key : `${key}=${value}`;
  return new OpenFlowError('syntax', `"${part}" is no part of a flow (ovs-ofctl(8), Flow Syntax)`);
}

/**
 * Parses a file of flows, one a line, as `ovs-ofctl add-flows` reads it: `#` begins a comment, and a line may begin
 * with `add`, `modify`, `modify_strict`, `delete` or `delete_strict`.
 * @param command of lines that say none
 * @throws OpenFlowError as `parseFlow`; the message names the line
 */
export function parseFlows(text: string, command: FlowCommand = 'add'): FlowChange[] {
  const flows: FlowChange[] = [];
  eachLine(text, (line) => {
    flows.push(parseFlowLine(line, command));
  });
  return flows;
}

/**
 * A file of flows as `parseFlows` reads it, each parsed when it is asked for: sending a bundle of them overlaps parsing.
 * @throws OpenFlowError from `get`, as `parseFlows`
 */
export function flowLines(text: string, command: FlowCommand = 'add'): MessageList {
  const lines = linesOf(text);
  return {
    length: lines.length,
    get: (index) => {
      const line = lines[index];
      if (line === undefined) throw new RangeError(`there is no flow ${index} of ${lines.length}`);
      return inLine(line.number, () => parseFlowLine(line.text, command));
    },
  };
}

/** One line of a file of flows. */
function parseFlowLine(line: string, command: FlowCommand): FlowChange {
  // Commands are words: what they begin with is no digit and no part of a flow either, but `add ` is rare in long files.
  const space = line.indexOf(' ');
  if (space > 0 && space <= 13) {
    const word = line.slice(0, space);
    if (COMMANDS.has(word)) return parseFlowAt(line, space + 1, word as FlowCommand);
  }
  return parseFlowAt(line, 0, command);
}

/**
 * Parses which flows to dump, as after `ovs-ofctl dump-flows BRIDGE`.
 * @throws OpenFlowError `syntax`, `invalid_value`, `prerequisite`
 */
export function parseFlowFilter(text: string): FlowFilter {
  const parser = new MatchParser();
  const into = new Target();
  const at = scan(text, 0, into, parser, 'select');
  if (at >= 0) throw new OpenFlowError('syntax', `"${text}": flows are not chosen by their actions`);
  const { tableId, outPort, outGroup, cookie, cookieMask } = into;
  return { tableId, outPort, outGroup, cookie, cookieMask, match: parser.finish() };
}

/**
 * A flow as `ovs-ofctl --no-stats dump-flows` prints it; `parseFlow` and ovs-ofctl read it again. Deletions print what
 * selects the flows.
 */
export function formatFlow(flow: FlowChange): string {
  const { command = 'add', cookie, cookieMask = 0n, priority } = flow;
  const isDelete = command === 'delete' || command === 'delete_strict';
  const parts: string[] = [];
  if (cookieMask !== 0n) parts.push(`cookie=0x${(cookie ?? 0n).toString(16)}/0x${cookieMask.toString(16)}`);
  else if (command === 'add') parts.push(`cookie=0x${(cookie ?? 0n).toString(16)}`);
  const table = flow.tableId ?? 0;
  if (!isDelete || table !== ALL_TABLES) parts.push(`table=${table}`);
  if ((flow.idleTimeout ?? 0) !== 0) parts.push(`idle_timeout=${flow.idleTimeout}`);
  if ((flow.hardTimeout ?? 0) !== 0) parts.push(`hard_timeout=${flow.hardTimeout}`);
  if ((flow.importance ?? 0) !== 0) parts.push(`importance=${flow.importance}`);
  if (flow.outPort !== undefined && flow.outPort !== 0xffff_ffff) parts.push(`out_port=${flow.outPort}`);
  if (flow.outGroup !== undefined && flow.outGroup !== 0xffff_ffff) parts.push(`out_group=${flow.outGroup}`);
  const flags = formatFlowFlags(flow.flags ?? 0);
  if (flags !== '') parts.push(flags.trimEnd());
  const match = formatMatch(flow.match);
  let rule = (priority ?? DEFAULT_PRIORITY) === DEFAULT_PRIORITY ? '' : `priority=${priority}`;
  if (match !== '') rule += rule === '' ? match : `,${match}`;
  if (rule !== '') parts.push(rule);
  const text = parts.join(', ');
  if (isDelete) return text;
  return `${text}${text === '' ? '' : ' '}actions=${formatActions(flow.actions)}`;
}
