/** How IPFIX exporters do: Nicira's multipart messages NXST_IPFIX_BRIDGE and NXST_IPFIX_FLOW. */
import { type Body, layout } from '../layout.ts';
import {
  erase,
  experimenterMultipart,
  type MessageBase,
  type MessageBody,
  type MessageSpec,
  NO_TEXT,
} from '../message-spec.ts';
import { decimal, decimal64, part, readScalar, type Scalar, type Text, type TextItem, texts } from '../text.ts';
import { NX } from '../version.ts';

/** Asks how the exporter of the bridge does, or those that `sample` actions name. */
export interface IpfixRequest extends MessageBase {
  readonly type: 'ipfix_bridge_request' | 'ipfix_flow_request';
}

/** What an exporter has done. */
export interface IpfixStats {
  readonly totalFlows: bigint;
  readonly currentFlows: bigint;
  readonly sampledPackets: bigint;
  readonly ipv4Packets: bigint;
  readonly ipv6Packets: bigint;
  readonly errorPackets: bigint;
  readonly ipv4ErrorPackets: bigint;
  readonly ipv6ErrorPackets: bigint;
  readonly sentPackets: bigint;
  readonly sendErrors: bigint;
  /** 0 for the bridge's exporter. */
  readonly collectorSetId: number;
}

/** How exporters do: one for the bridge, one for each collector set of `sample` actions. */
export interface IpfixReply extends MessageBase {
  readonly type: 'ipfix_bridge_reply' | 'ipfix_flow_reply';
  readonly more?: boolean | undefined;
  readonly exporters: readonly IpfixStats[];
}

const stats = layout<IpfixStats>();
const STATS: Body<IpfixStats> = stats.struct([
  stats.u64('totalFlows'),
  stats.u64('currentFlows'),
  stats.u64('sampledPackets'),
  stats.u64('ipv4Packets'),
  stats.u64('ipv6Packets'),
  stats.u64('errorPackets'),
  stats.u64('ipv4ErrorPackets'),
  stats.u64('ipv6ErrorPackets'),
  stats.u64('sentPackets'),
  stats.u64('sendErrors'),
  stats.u32('collectorSetId'),
  stats.pad(4),
]);

const reply = layout<MessageBody<IpfixReply>>();
const REPLY: Body<MessageBody<IpfixReply>> = reply.struct([reply.list('exporters', STATS)]);

const shown = texts<IpfixStats>();

/** What follows an exporter's name, on two lines. */
function counts(id: TextItem<IpfixStats>, indent: number): Text<IpfixStats> {
  const blanks = part<IpfixStats>(
    () => ' '.repeat(indent),
    (r) => r.skipSpace(),
  );
  return shown.text`${id}: flows=${shown.is('totalFlows', decimal64)}, current flows=${shown.is('currentFlows', decimal64)}, sampled pkts=${shown.is('sampledPackets', decimal64)}, ipv4 ok=${shown.is('ipv4Packets', decimal64)}, ipv6 ok=${shown.is('ipv6Packets', decimal64)}, tx pkts=${shown.is('sentPackets', decimal64)}
${blanks}pkts errs=${shown.is('errorPackets', decimal64)}, ipv4 errs=${shown.is('ipv4ErrorPackets', decimal64)}, ipv6 errs=${shown.is('ipv6ErrorPackets', decimal64)}, tx errs=${shown.is('sendErrors', decimal64)}
`;
}

/** Three columns. */
const ID: Scalar<number> = {
  ...decimal,
  pattern: / *\d+/y,
  format: (id) => String(id).padStart(3),
  parse: (text, c) => decimal.parse(text.trim(), c),
};

const OF_SET: Text<IpfixStats> = counts(
  part(
    (from, c) => `  id ${ID.format(from.collectorSetId, c)}`,
    (r, into, c) => {
      r.expect('  id ');
      into['collectorSetId'] = readScalar(r, ID, c);
    },
  ),
  10,
);

const exporters = texts<MessageBody<IpfixReply>>();
const BRIDGE: Text<MessageBody<IpfixReply>> =
  exporters.text`\n${exporters.each('exporters', '  bridge ipfix', counts(shown.none('collectorSetId', 0), 16))}`;
const FLOWS: Text<MessageBody<IpfixReply>> = exporters.text` ${exporters.counted('exporters', 'ids', OF_SET)}`;

function request(type: IpfixRequest['type'], name: string, subtype: number): MessageSpec<IpfixRequest> {
  return {
    type,
    codes: [experimenterMultipart(name, 'request', NX, subtype)],
    read: () => ({}),
    write: () => undefined,
    text: NO_TEXT,
  };
}

function answer(
  type: IpfixReply['type'],
  name: string,
  subtype: number,
  text: Text<MessageBody<IpfixReply>>,
): MessageSpec<IpfixReply> {
  return {
    type,
    codes: [experimenterMultipart(name, 'reply', NX, subtype)],
    read: (r, c) => REPLY.read(r, c.version),
    write: (w, message, c) => REPLY.write(w, message, c.version),
    text,
  };
}

export const IPFIX_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(request('ipfix_bridge_request', 'NXST_IPFIX_BRIDGE', 3)),
  erase(request('ipfix_flow_request', 'NXST_IPFIX_FLOW', 4)),
  erase(answer('ipfix_bridge_reply', 'NXST_IPFIX_BRIDGE', 3, BRIDGE)),
  erase(answer('ipfix_flow_reply', 'NXST_IPFIX_FLOW', 4, FLOWS)),
];
