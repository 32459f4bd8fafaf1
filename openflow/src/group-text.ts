/** Groups in ovs-ofctl syntax (ovs-ofctl(8), "Group Syntax"): what add-group takes, and what dump-groups prints. */
import { parseActions } from './action-text.ts';
import { splitArguments } from './arguments.ts';
import { OpenFlowError } from './error.ts';
import type { Field, FieldValue } from './field.ts';
import { parseValue } from './field-text.ts';
import { eachLine } from './lines.ts';
import type { GroupCommand, GroupMod } from './messages/group.ts';
import {
  BUCKETS,
  type Bucket,
  GROUP_TYPES,
  GROUPS,
  type GroupType,
  type Selection,
} from './messages/group-structure.ts';
import { parseBigint, parseNumber } from './number-text.ts';
import { parsePort } from './port.ts';
import { parseField } from './subfield.ts';

/** A change to a group, without a transaction id. */
export type GroupChange = Omit<GroupMod, 'xid'>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** `key=value` or `key:value`; the value of `fields(...)` is what stands between the parentheses. */
function cut(part: string): readonly [key: string, value: string | undefined] {
  const at = /[=:(]/.exec(part)?.index ?? -1;
  if (at < 0) return [part, undefined];
  const value = part[at] === '(' ? part.slice(at + 1, part.endsWith(')') ? -1 : undefined) : part.slice(at + 1);
  return [part.slice(0, at), value];
}

function need(key: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new OpenFlowError('syntax', `${key} of a group needs a value`);
  return value;
}

const BUCKET_WORDS: Readonly<Record<string, number>> = {
  first: BUCKETS.FIRST,
  last: BUCKETS.LAST,
  all: BUCKETS.ALL,
};

function parseBucketId(text: string, key: string): number {
  return BUCKET_WORDS[text.toLowerCase()] ?? parseNumber(text, 0xffff_ffff, key);
}

/** One bucket: settings, then actions; the word `actions=` may be left out. */
function parseBucket(text: string): Mutable<Bucket> {
  const into: Mutable<Bucket> = { actions: [] };
  const parts = splitArguments(text);
  const actions: string[] = [];
  for (const part of parts) {
    const [key, value] = cut(part);
    if (actions.length > 0) actions.push(part);
    else if (key === 'bucket_id') into.bucketId = parseNumber(need(key, value), BUCKETS.MAX, key);
    else if (key === 'weight') into.weight = parseNumber(need(key, value), 0xffff, key);
    else if (key === 'watch_port') into.watchPort = parsePort(need(key, value));
    else if (key === 'watch_group') into.watchGroup = parseNumber(need(key, value), GROUPS.ANY, key);
    else if (key === 'actions' || key === 'action') actions.push(value ?? '');
    else actions.push(part);
  }
  if (actions.length === 0) throw new OpenFlowError('syntax', `bucket=${text}: a bucket needs actions`);
  return { ...into, actions: parseActions(actions.join(',')) };
}

/** `ip_src,ip_dst=255.255.0.0`: whole fields, or the bits of them that are hashed. */
function parseFields(text: string): Selection['fields'] {
  return splitArguments(text).map((part): { field: Field; mask: FieldValue } => {
    const equals = part.indexOf('=');
    if (equals < 0) {
      const field = parseField(part);
      return { field, mask: field.ones };
    }
    const field = parseField(part.slice(0, equals));
    return { field, mask: parseValue(field, part.slice(equals + 1)).value };
  });
}

/** The settings before the buckets. */
function takeSetting(into: Mutable<GroupChange>, selection: Mutable<Selection>, part: string): void {
  const [key, value] = cut(part);
  switch (key) {
    case 'group_id':
      into.groupId = need(key, value).toLowerCase() === 'all' ? GROUPS.ALL : parseNumber(value ?? '', GROUPS.ALL, key);
      return;
    case 'type': {
      const type = need(key, value);
      const name = type === 'fast_failover' ? 'ff' : type;
      if (GROUP_TYPES[name] === undefined) {
        throw new OpenFlowError('syntax', `"${type}" is no type of group: ${Object.keys(GROUP_TYPES).join(', ')}`);
      }
      into.groupType = name as GroupType;
      return;
    }
    case 'command_bucket_id':
      into.commandBucketId = parseBucketId(need(key, value), key);
      return;
    case 'selection_method':
      selection.method = need(key, value);
      return;
    case 'selection_method_param':
      selection.param = parseBigint(need(key, value), 0xffff_ffff_ffff_ffffn, key);
      return;
    case 'fields':
      selection.fields = parseFields(need(key, value));
      return;
    default:
      throw new OpenFlowError('syntax', `"${part}" is no part of a group (ovs-ofctl(8), Group Syntax)`);
  }
}

/** Gives buckets without a number the lowest ones that are free, as ovs-ofctl does. */
function numberBuckets(buckets: readonly Mutable<Bucket>[]): void {
  const used = new Set(buckets.map(({ bucketId }) => bucketId));
  let next = 0;
  for (const bucket of buckets) {
    if (bucket.bucketId !== undefined) continue;
    while (used.has(next)) next += 1;
    used.add(next);
    bucket.bucketId = next;
  }
}

/**
 * Parses one group.
 * @param text as after `ovs-ofctl add-group BRIDGE`, or one line of `dump-groups`
 * @throws OpenFlowError `syntax` or `invalid_value`
 * @example parseGroup('group_id=9,type=select,bucket=weight:50,actions=output:1,bucket=weight:50,actions=output:2')
 */
export function parseGroup(text: string, command: GroupCommand = 'add'): GroupChange {
  const [head = '', ...tails] = text.trim().split(/[,\s]*\bbucket=/);
  const into: Mutable<GroupChange> = { type: 'group_mod', command, groupId: -1, groupType: 'all', buckets: [] };
  const selection: Mutable<Selection> = { method: '', param: 0n, fields: [] };
  let isTyped = false;
  for (const part of splitArguments(head)) {
    if (part.startsWith('type=')) isTyped = true;
    takeSetting(into, selection, part);
  }
  if (into.groupId < 0) {
    if (command !== 'delete') throw new OpenFlowError('syntax', `"${text}" needs group_id=`);
    into.groupId = GROUPS.ALL;
  }
  const needsType = command === 'add' || command === 'modify' || command === 'add_or_mod';
  if (needsType && !isTyped) throw new OpenFlowError('syntax', `"${text}" needs type=all, select, indirect or ff`);
  if (selection.method !== '') into.selection = selection;
  else if (selection.fields.length > 0 || selection.param !== 0n) {
    throw new OpenFlowError('syntax', `"${text}": fields and selection_method_param need a selection_method`);
  }
  const buckets = tails.map(parseBucket);
  numberBuckets(buckets);
  into.buckets = buckets;
  return into;
}

/** Parses a file of groups, one a line; `#` begins a comment. @throws OpenFlowError as `parseGroup`, with the line */
export function parseGroups(text: string, command: GroupCommand = 'add'): GroupChange[] {
  const groups: GroupChange[] = [];
  eachLine(text, (line) => {
    groups.push(parseGroup(line, command));
  });
  return groups;
}
