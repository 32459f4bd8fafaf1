/** Groups: changing, describing, counting them (OpenFlow 1.5.1 §7.3.4.3, §7.3.5.9 to 11). */
import { formatActions } from '../action-text.ts';
import { OpenFlowError } from '../error.ts';
import { formatValue } from '../field-text.ts';
import { parseGroup } from '../group-text.ts';
import { numberFor, type Words, wordFor } from '../layout.ts';
import { erase, type MessageBase, type MessageBody, type MessageSpec, multipart, standard } from '../message-spec.ts';
import { formatPort } from '../port.ts';
import type { RawProperty } from '../property.ts';
import { decimal, decimal64, line, readScalar, type Scalar, type Text, texts, word } from '../text.ts';
import { OF15, type Version } from '../version.ts';
import {
  BUCKETS,
  type Bucket,
  GROUP_TYPES,
  GROUPS,
  type GroupType,
  readBuckets,
  readGroupProperties,
  type Selection,
  writeBucket,
  writeGroupProperties,
} from './group-structure.ts';

/** What to do. `insert_bucket` and `remove_bucket` need 1.5; `add_or_mod` is Open vSwitch's. */
export type GroupCommand = 'add' | 'modify' | 'delete' | 'insert_bucket' | 'remove_bucket' | 'add_or_mod';

const COMMANDS: Words = { add: 0, modify: 1, delete: 2, insert_bucket: 3, remove_bucket: 5, add_or_mod: 0x8000 };

/** A group. */
export interface Group {
  readonly groupId: number;
  readonly groupType: GroupType;
  readonly buckets: readonly Bucket[];
  readonly selection?: Selection | undefined;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** Changes a group. */
export interface GroupMod extends MessageBase, Group {
  readonly type: 'group_mod';
  readonly command: GroupCommand;
  /** Of `insert_bucket` (behind which one) and `remove_bucket` (which one). */
  readonly commandBucketId?: number | undefined;
}

/** Asks for groups. */
export interface GroupRequest extends MessageBase {
  readonly type: 'group_desc_request' | 'group_stats_request';
  /** Default: all. Before 1.5, descriptions come of all groups whatever this says. */
  readonly groupId?: number | undefined;
}

/** Groups as they are. */
export interface GroupDescReply extends MessageBase {
  readonly type: 'group_desc_reply';
  readonly more?: boolean | undefined;
  readonly groups: readonly Group[];
}

/** What a group has seen. */
export interface GroupStats {
  readonly groupId: number;
  readonly refCount: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly buckets: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}

/** What groups have seen. */
export interface GroupStatsReply extends MessageBase {
  readonly type: 'group_stats_reply';
  readonly more?: boolean | undefined;
  readonly groups: readonly GroupStats[];
}

const COMMAND: Scalar<GroupCommand> = word([
  ['add', 'ADD'],
  ['modify', 'MOD'],
  ['delete', 'DEL'],
  ['insert_bucket', 'INSERT_BUCKET'],
  ['remove_bucket', 'REMOVE_BUCKET'],
  ['add_or_mod', 'ADD_OR_MOD'],
]);

function formatBucketId(label: string, id: number | undefined, version: Version): string {
  if (version < OF15 || id === undefined) return '';
  const word = { [BUCKETS.FIRST]: 'first', [BUCKETS.LAST]: 'last', [BUCKETS.ALL]: 'all' }[id] ?? String(id);
  return `${label}${word},`;
}

function formatBucket(bucket: Bucket, type: GroupType, version: Version): string {
  const weight = bucket.weight ?? (type === 'select' ? 1 : 0);
  let text = `bucket=${formatBucketId('bucket_id:', bucket.bucketId, version)}`;
  if (weight !== (type === 'select' ? 1 : 0)) text += `weight:${weight},`;
  if (bucket.watchPort !== undefined) text += `watch_port:${formatPort(bucket.watchPort)},`;
  if (bucket.watchGroup !== undefined) text += `watch_group:${bucket.watchGroup},`;
  return `${text}actions=${formatActions(bucket.actions)}`;
}

function formatSelection({ method, param, fields }: Selection): string {
  let text = `,selection_method=${method}`;
  if (param !== 0n) text += `,selection_method_param=${param}`;
  const names = fields
    .map(({ field, mask }) =>
      mask === field.ones ? field.name : `${field.name}=${formatValue(field, mask, undefined)}`,
    )
    .join(',');
  if (fields.length === 1) return `${text},fields=${names}`;
  return fields.length === 0 ? text : `${text},fields(${names})`;
}

/** A group as ovs-ofctl prints it. @param withType false for commands about buckets */
export function formatGroup(group: Group, version: Version, withType = true): string {
  const { groupId, groupType, buckets, selection } = group;
  let text = `group_id=${groupId}`;
  if (withType) text += `,type=${typeof groupType === 'number' ? 'unknown' : groupType}`;
  if (selection !== undefined && selection.method !== '') text += formatSelection(selection);
  for (const bucket of buckets) text += `,${formatBucket(bucket, groupType, version)}`;
  return text;
}

const GROUP_MOD: MessageSpec<GroupMod> = {
  type: 'group_mod',
  codes: [standard('OFPT_GROUP_MOD', 15)],
  read: (r, c) => {
    const command = wordFor(COMMANDS, r.u16());
    if (typeof command === 'number') throw r.malformed(`group_mod command ${command}`);
    const type = r.u8();
    const groupType = wordFor(GROUP_TYPES, type) as GroupType;
    r.skip(1);
    const groupId = r.u32();
    if (c.version < OF15) {
      return { command: command as GroupCommand, groupId, groupType, buckets: readBuckets(r, c.version, type) };
    }
    const length = r.u16();
    r.skip(2);
    const commandBucketId = r.u32();
    const end = r.narrow(length);
    const buckets = readBuckets(r, c.version, type);
    r.widen(end);
    return {
      command: command as GroupCommand,
      groupId,
      groupType,
      commandBucketId,
      buckets,
      ...readGroupProperties(r),
    };
  },
  write: (w, m, c) => {
    if (c.version < OF15 && (m.command === 'insert_bucket' || m.command === 'remove_bucket')) {
      throw new OpenFlowError('unencodable', `${m.command} needs OpenFlow 1.5`);
    }
    const type = numberFor(GROUP_TYPES, m.groupType, 'type');
    w.u16(numberFor(COMMANDS, m.command, 'command'));
    w.u8(type);
    w.zeros(1);
    w.u32(m.groupId);
    if (c.version < OF15) {
      for (const bucket of m.buckets) writeBucket(w, c.version, bucket, type);
      return;
    }
    const at = w.length;
    w.zeros(4);
    w.u32(m.commandBucketId ?? BUCKETS.ALL);
    const start = w.length;
    for (const bucket of m.buckets) writeBucket(w, c.version, bucket, type);
    w.patch16(at, w.length - start);
    writeGroupProperties(w, c.version, properties(m));
  },
  text: {
    format: (m, c) => {
      const onBuckets = m.command === 'insert_bucket' || m.command === 'remove_bucket';
      const bucket = onBuckets ? formatBucketId('command_bucket_id:', m.commandBucketId, c.version) : '';
      return `\n ${COMMAND.format(m.command, c)} ${bucket}${formatGroup(m, c.version, !onBuckets)}`;
    },
    parse: (r, c) => {
      r.skipSpace();
      const command = readScalar(r, COMMAND, c);
      r.skipSpace();
      return parseGroup(readScalar(r, line, c), command);
    },
  },
};

function properties({ selection, properties: raw }: Group): Parameters<typeof writeGroupProperties>[2] {
  return {
    ...(selection === undefined ? {} : { selection }),
    ...(raw === undefined ? {} : { properties: raw }),
  };
}

/** A group's number, or those that are none. */
const GROUP_ID: Scalar<number> = {
  pattern: /\w+/y,
  what: 'a group',
  format: (id) => {
    if (id === GROUPS.ALL) return 'ALL';
    return id === GROUPS.ANY ? 'ANY' : String(id);
  },
  parse: (text, c) => ({ ALL: GROUPS.ALL, ANY: GROUPS.ANY })[text] ?? decimal.parse(text, c),
};
const requestText = texts<MessageBody<GroupRequest>>();

/** Asks about one group or all. Before 1.5 a request for descriptions has no body. */
function request(
  type: GroupRequest['type'],
  name: string,
  number: number,
  alwaysId: boolean,
): MessageSpec<GroupRequest> {
  return {
    type,
    codes: [multipart(name, 'request', number)],
    read: (r, c) => {
      if (!alwaysId && c.version < OF15) return { groupId: GROUPS.ALL };
      const groupId = r.u32();
      r.skip(4);
      return { groupId };
    },
    write: (w, m, c) => {
      if (!alwaysId && c.version < OF15) return;
      w.u32(m.groupId ?? GROUPS.ALL);
      w.zeros(4);
    },
    text: requestText.text` group_id=${requestText.is('groupId', GROUP_ID, GROUPS.ALL)}`,
  };
}

/** A line as ovs-ofctl reads it, too. */
const GROUP: Text<Group> = {
  format: (group, c) => formatGroup(group, c.version),
  parse: (r, c) => parseGroup(readScalar(r, line, c)),
};
const descText = texts<MessageBody<GroupDescReply>>();

const GROUP_DESC_REPLY: MessageSpec<GroupDescReply> = {
  type: 'group_desc_reply',
  codes: [multipart('OFPST_GROUP_DESC', 'reply', 7)],
  read: (r, c) => {
    const groups: Group[] = [];
    while (r.left > 0) {
      const length = r.u16();
      if (length < 8) throw r.malformed(`a group of ${length} bytes`);
      const end = r.narrow(length - 2);
      const type = r.u8();
      r.skip(1);
      const groupId = r.u32();
      const groupType = wordFor(GROUP_TYPES, type) as GroupType;
      if (c.version < OF15) groups.push({ groupId, groupType, buckets: readBuckets(r, c.version, type) });
      else {
        const bucketsLength = r.u16();
        r.skip(6);
        const bucketsEnd = r.narrow(bucketsLength);
        const buckets = readBuckets(r, c.version, type);
        r.widen(bucketsEnd);
        groups.push({ groupId, groupType, buckets, ...readGroupProperties(r) });
      }
      r.widen(end);
    }
    return { groups };
  },
  write: (w, m, c) => {
    for (const group of m.groups) {
      const start = w.length;
      const type = numberFor(GROUP_TYPES, group.groupType, 'type');
      w.u16(0);
      w.u8(type);
      w.zeros(1);
      w.u32(group.groupId);
      const at = w.length;
      if (c.version >= OF15) w.zeros(8);
      const buckets = w.length;
      for (const bucket of group.buckets) writeBucket(w, c.version, bucket, type);
      if (c.version >= OF15) {
        w.patch16(at, w.length - buckets);
        writeGroupProperties(w, c.version, properties(group));
      }
      w.patch16(start, w.length - start);
    }
  },
  text: descText.text`${descText.each('groups', '\n ', GROUP)}`,
};

const bucketStats = texts<GroupStats['buckets'][number]>();
const BUCKET_STATS: Text<GroupStats['buckets'][number]> =
  bucketStats.text`packet_count=${bucketStats.is('packetCount', decimal64)},byte_count=${bucketStats.is('byteCount', decimal64)}`;
const stats = texts<GroupStats>();
const STATS: Text<GroupStats> = stats.text`group_id=${stats.is('groupId', decimal)},duration=${stats.duration('durationSec', 'durationNsec')},ref_count=${stats.is('refCount', decimal)},packet_count=${stats.is('packetCount', decimal64)},byte_count=${stats.is('byteCount', decimal64)}${stats.numbered('buckets', (place) => `,bucket${place}:`, BUCKET_STATS)}`;
const statsText = texts<MessageBody<GroupStatsReply>>();

const GROUP_STATS_REPLY: MessageSpec<GroupStatsReply> = {
  type: 'group_stats_reply',
  codes: [multipart('OFPST_GROUP', 'reply', 6)],
  read: (r) => {
    const groups: GroupStats[] = [];
    while (r.left > 0) {
      const length = r.u16();
      if (length < 40) throw r.malformed(`statistics of a group in ${length} bytes`);
      const end = r.narrow(length - 2);
      r.skip(2);
      const groupId = r.u32();
      const refCount = r.u32();
      r.skip(4);
      const packetCount = r.u64();
      const byteCount = r.u64();
      const durationSec = r.u32();
      const durationNsec = r.u32();
      const buckets: { packetCount: bigint; byteCount: bigint }[] = [];
      while (r.left > 0) buckets.push({ packetCount: r.u64(), byteCount: r.u64() });
      groups.push({ groupId, refCount, packetCount, byteCount, durationSec, durationNsec, buckets });
      r.widen(end);
    }
    return { groups };
  },
  write: (w, m) => {
    for (const group of m.groups) {
      w.u16(40 + group.buckets.length * 16);
      w.zeros(2);
      w.u32(group.groupId);
      w.u32(group.refCount);
      w.zeros(4);
      w.u64(group.packetCount);
      w.u64(group.byteCount);
      w.u32(group.durationSec);
      w.u32(group.durationNsec);
      for (const bucket of group.buckets) {
        w.u64(bucket.packetCount);
        w.u64(bucket.byteCount);
      }
    }
  },
  text: statsText.text`${statsText.each('groups', '\n ', STATS)}`,
};

export const GROUP_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(GROUP_MOD),
  erase(request('group_desc_request', 'OFPST_GROUP_DESC', 7, false)),
  erase(request('group_stats_request', 'OFPST_GROUP', 6, true)),
  erase(GROUP_DESC_REPLY),
  erase(GROUP_STATS_REPLY),
];
