/** All messages. */
import type { MessageBase, MessageCode, MessageSpec } from './message-spec.ts';
import { ASYNC_MESSAGES } from './messages/async.ts';
import { BUNDLE_MESSAGES } from './messages/bundle.ts';
import { CT_FLUSH_MESSAGES } from './messages/ct-flush.ts';
import { FLOW_MESSAGES } from './messages/flow.ts';
import { FLOW_MONITOR_MESSAGES } from './messages/flow-monitor.ts';
import { FLOW_STATS_MESSAGES } from './messages/flow-stats.ts';
import { GROUP_MESSAGES } from './messages/group.ts';
import { GROUP_FEATURES_MESSAGES } from './messages/group-features.ts';
import { IPFIX_MESSAGES } from './messages/ipfix.ts';
import { METER_MESSAGES } from './messages/meter.ts';
import { NICIRA_MESSAGES } from './messages/nicira.ts';
import { PACKET_MESSAGES } from './messages/packet.ts';
import { PORT_MESSAGES } from './messages/port.ts';
import { QUEUE_MESSAGES } from './messages/queue.ts';
import { SESSION_MESSAGES } from './messages/session.ts';
import { TABLE_MESSAGES } from './messages/table.ts';
import { TABLE_CONFIG_MESSAGES } from './messages/table-config.ts';
import { OF10, OF13, OF14, OF15, type Version } from './version.ts';

/** Every declaration. */
const MESSAGES: readonly MessageSpec<MessageBase>[] = [
  ...SESSION_MESSAGES,
  ...FLOW_MESSAGES,
  ...FLOW_STATS_MESSAGES,
  ...FLOW_MONITOR_MESSAGES,
  ...GROUP_MESSAGES,
  ...GROUP_FEATURES_MESSAGES,
  ...METER_MESSAGES,
  ...PORT_MESSAGES,
  ...TABLE_MESSAGES,
  ...TABLE_CONFIG_MESSAGES,
  ...QUEUE_MESSAGES,
  ...BUNDLE_MESSAGES,
  ...PACKET_MESSAGES,
  ...NICIRA_MESSAGES,
  ...IPFIX_MESSAGES,
  ...CT_FLUSH_MESSAGES,
  ...ASYNC_MESSAGES,
];

/** A declaration and the code under which a version has it. */
export interface MessageEntry {
  readonly spec: MessageSpec<MessageBase>;
  readonly code: MessageCode;
  readonly version: Version;
}

const VERSIONS: readonly Version[] = [OF10, OF13, OF14, OF15];
const BY_NAME = new Map<string, MessageEntry>();
const BY_CODE = new Map<string, MessageEntry>();
const BY_TYPE: Readonly<Record<Version, Map<string, MessageEntry>>> = {
  [OF10]: new Map(),
  [OF13]: new Map(),
  [OF14]: new Map(),
  [OF15]: new Map(),
};

function key(version: Version, kind: string, number: number, experimenter?: number, subtype?: number): string {
  return `${version} ${kind} ${number} ${experimenter ?? ''} ${subtype ?? ''}`;
}

for (const spec of MESSAGES) {
  for (const code of spec.codes) {
    for (const version of VERSIONS) {
      if (version < code.from || version > code.to) continue;
      const entry = { spec, code, version };
      if (!BY_TYPE[version].has(spec.type)) BY_TYPE[version].set(spec.type, entry);
      BY_NAME.set(`${version} ${code.name}`, entry);
      BY_CODE.set(key(version, code.kind, code.number, code.experimenter, code.subtype), entry);
    }
  }
}

/** The message of a code in a version; undefined for unknown ones. */
export function entryOfCode(
  version: Version,
  kind: MessageCode['kind'],
  number: number,
  experimenter?: number,
  subtype?: number,
): MessageEntry | undefined {
  return BY_CODE.get(key(version, kind, number, experimenter, subtype));
}

/** The message that ovs-ofctl prints under a name in a version; undefined for unknown ones. */
export function entryOfName(version: Version, name: string): MessageEntry | undefined {
  return BY_NAME.get(`${version} ${name}`);
}

/** The message of a type in a version; undefined where the version lacks it. */
export function entryOfType(version: Version, type: string): MessageEntry | undefined {
  return BY_TYPE[version].get(type);
}
