/** Which message answers which request, and how a reply in several parts becomes one. */
import type { Message, Narrow, Outgoing } from './message.ts';

/** Requests and the type of their reply. */
export interface Replies {
  readonly echo_request: 'echo_reply';
  readonly features_request: 'features_reply';
  readonly get_config_request: 'get_config_reply';
  readonly barrier_request: 'barrier_reply';
  readonly role_request: 'role_reply';
  readonly get_async_request: 'get_async_reply';
  readonly tlv_table_request: 'tlv_table_reply';
  readonly bundle_control: 'bundle_control';
  readonly desc_request: 'desc_reply';
  readonly flow_stats_request: 'flow_stats_reply';
  readonly aggregate_request: 'aggregate_reply';
  readonly table_stats_request: 'table_stats_reply';
  readonly table_desc_request: 'table_desc_reply';
  readonly table_features_request: 'table_features_reply';
  readonly port_desc_request: 'port_desc_reply';
  readonly port_stats_request: 'port_stats_reply';
  readonly queue_stats_request: 'queue_stats_reply';
  readonly group_desc_request: 'group_desc_reply';
  readonly group_stats_request: 'group_stats_reply';
  readonly group_features_request: 'group_features_reply';
  readonly meter_config_request: 'meter_config_reply';
  readonly meter_stats_request: 'meter_stats_reply';
  readonly meter_features_request: 'meter_features_reply';
  readonly flow_monitor_request: 'flow_monitor_reply';
  readonly flow_counters_request: 'flow_counters_reply';
  readonly queue_get_config_request: 'queue_get_config_reply';
  readonly queue_desc_request: 'queue_desc_reply';
  readonly ipfix_bridge_request: 'ipfix_bridge_reply';
  readonly ipfix_flow_request: 'ipfix_flow_reply';
  readonly unknown_multipart_request: 'unknown_multipart_reply';
}

/** The type of a message that has a reply. */
export type RequestType = keyof Replies;

/** A request of a type, to send. */
export type RequestOf<T extends RequestType> = Narrow<Outgoing, T>;

/** The reply to a request of a type. */
export type ReplyOf<T extends RequestType> = Narrow<Message, Replies[T]>;

/** The list of each multipart reply that has one. */
const LISTS: { readonly [type in Message['type']]?: string } = {
  flow_stats_reply: 'flows',
  table_stats_reply: 'tables',
  table_desc_reply: 'tables',
  table_features_reply: 'tables',
  port_desc_reply: 'ports',
  port_stats_reply: 'ports',
  queue_stats_reply: 'queues',
  group_desc_reply: 'groups',
  group_stats_reply: 'groups',
  meter_config_reply: 'meters',
  meter_stats_reply: 'meters',
  flow_monitor_reply: 'updates',
  flow_counters_reply: 'flows',
  queue_desc_reply: 'queues',
  ipfix_bridge_reply: 'exporters',
  ipfix_flow_reply: 'exporters',
};

/** Whether more parts of the reply follow. */
export function hasMore(message: Message): boolean {
  return 'more' in message && message.more === true;
}

/**
 * The parts of a multipart reply as one message, in order: lists are joined (an entry never spans two parts), the
 * bytes of unknown ones too, of others the first part is the whole.
 */
export function joinParts(parts: readonly [Message, ...Message[]]): Message {
  const [first] = parts;
  if (parts.length === 1) return first;
  if (first.type === 'unknown_multipart_reply') {
    const data = parts.flatMap((part) => (part.type === 'unknown_multipart_reply' ? [part.data] : []));
    return { ...first, more: false, data: Buffer.concat(data) };
  }
  const list = LISTS[first.type];
  if (list === undefined) return { ...first, more: false } as Message;
  const items = parts.flatMap((part) => (part as unknown as Record<string, readonly unknown[]>)[list] ?? []);
  return { ...first, more: false, [list]: items } as Message;
}
