import { type FieldName, type FlowStats, matchOn } from '@ovenbird/openflow';
import type { FlowMeaning, FlowRule, StageInfo } from './explainer.ts';

/** What a counter counts. */
export type Subject =
  /** `established`: packets of connections that were there before; `new`: all others. Replies meet no rule. */
  | { readonly type: 'rule'; readonly rule: FlowRule; readonly state: 'new' | 'established' }
  /** Packets that were dropped, by reason; `acl`: the sum of all rules that drop or reject. */
  | { readonly type: 'drop'; readonly reason: string; readonly network: string; readonly direction: Direction }
  /** Replies of established connections, which pass without meeting a rule. */
  | { readonly type: 'established'; readonly network: string; readonly direction: Direction };

/** As seen from the pod. */
export type Direction = 'ingress' | 'egress';

/** A text that is the same for the same subject. */
export function subjectKey(subject: Subject): string {
  if (subject.type === 'rule') {
    const { kind, namespace, name, rule, direction, action } = subject.rule;
    return ['rule', kind, namespace, name, rule, direction, action, subject.state].join('\0');
  }
  const reason = subject.type === 'drop' ? subject.reason : '';
  return [subject.type, reason, subject.network, subject.direction].join('\0');
}

/** Bits of ct_state (ovs-fields(7)). */
const CT_ESTABLISHED = 0x02;
const CT_REPLY = 0x08;
/**
 * Bits of reg0 by which ovn-northd tells an ACL's flow for packets of established connections from the one for new ones:
 * REGBIT_ACL_HINT_ALLOW and REGBIT_ACL_HINT_BLOCK (ovn-northd(8), "ACL hints").
 */
const HINTS_ESTABLISHED = 0x100 | 0x400;

/** Exact bits of a field that a flow requires to be set. */
function requiredBits(flow: FlowStats, field: FieldName): number {
  const entry = matchOn(flow.match, field);
  if (entry === undefined) return 0;
  return Number(entry.value) & (entry.mask === undefined ? 0xffff_ffff : Number(entry.mask));
}

/** What a flow's packets are to be counted under. Empty: nothing that tells anybody something. */
export function subjectsOf(flow: FlowStats, stage: StageInfo, meaning: FlowMeaning): readonly Subject[] {
  const { direction } = stage;
  const network = meaning.datapath;
  if (meaning.rule !== undefined) {
    const state = (requiredBits(flow, 'reg0') & HINTS_ESTABLISHED) === 0 ? 'new' : 'established';
    const own = { type: 'rule', rule: meaning.rule, state } as const;
    const isDrop = meaning.rule.action === 'drop' || meaning.rule.action === 'reject';
    return isDrop ? [own, { type: 'drop', reason: 'acl', network, direction }] : [own];
  }
  if (flow.actions.length === 0) return [{ type: 'drop', reason: stage.reason, network, direction }];
  const reply = CT_ESTABLISHED | CT_REPLY;
  const isReply = stage.acl && (requiredBits(flow, 'ct_state') & reply) === reply;
  return isReply ? [{ type: 'established', network, direction }] : [];
}

/** A logical port on this node's switch: `<datapath>.<tunnel key of the port>`. */
export type PortId = string;

/** Tunnel key of the datapath whose packets a flow is for; 0: of any. */
export const datapathOf = (flow: FlowStats): number => Number(matchOn(flow.match, 'metadata')?.value ?? 0);

/** The one logical port that a flow is for, if it is: OVN keeps inport in reg14 and outport in reg15 (ovn-architecture(7)). */
export function portOfFlow(flow: FlowStats, direction: Direction): PortId | undefined {
  const entry = matchOn(flow.match, direction === 'egress' ? 'reg14' : 'reg15');
  return entry === undefined || entry.mask !== undefined ? undefined : `${datapathOf(flow)}.${Number(entry.value)}`;
}

/** Key of a flow's meaning; undefined for flows without one: OVN shares parts of conjunctions, under cookie 0. */
export function meaningKey(flow: FlowStats): string | undefined {
  const cookie = flow.cookie & 0xffff_ffffn;
  return cookie === 0n ? undefined : `${cookie.toString(16).padStart(8, '0')}.${datapathOf(flow)}`;
}

/** The ports that are named by parts of conjunctions, by the conjunction's id (ovs-fields(7), "Conjunctive Match Fields"). */
export function conjunctionPorts(flows: readonly FlowStats[], direction: Direction): ReadonlyMap<number, Set<PortId>> {
  const ports = new Map<number, Set<PortId>>();
  for (const flow of flows) {
    for (const action of flow.actions) {
      if (action.type !== 'conjunction') continue;
      const port = portOfFlow(flow, direction);
      const found = ports.get(action.id);
      if (found === undefined) ports.set(action.id, new Set(port === undefined ? [] : [port]));
      else if (port !== undefined) found.add(port);
    }
  }
  return ports;
}

/** The conjunction that a flow completes. */
export function conjunctionOf(flow: FlowStats): number | undefined {
  const entry = matchOn(flow.match, 'conj_id');
  return entry === undefined ? undefined : Number(entry.value);
}
