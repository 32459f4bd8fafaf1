import { type FlowStats, parseFlow } from '@ovenbird/openflow';
import type { FlowMeaning, FlowRule, StageInfo } from './explainer.ts';

/** Shared by this folder's tests. */

/** A flow as the switch reports it, from the text of `ovs-ofctl dump-flows`: table, cookie, match, actions. */
export function flowOf(text: string, counted: Partial<FlowStats> = {}): FlowStats {
  const { match, priority = 0, tableId = 0, cookie = 0n, actions } = parseFlow(text);
  return {
    tableId,
    priority,
    match,
    cookie,
    idleTimeout: 0,
    hardTimeout: 0,
    flags: 0,
    importance: 0,
    durationSec: 100,
    durationNsec: 0,
    packetCount: 0n,
    byteCount: 0n,
    idleAge: 0,
    idleNsec: 0,
    actions,
    ...counted,
  };
}

/** The egress stage of a switch, which is what pods receive. */
export const outAcl: StageInfo = {
  name: 'ls_out_acl',
  acl: true,
  direction: 'ingress',
  reason: 'conntrack',
  examples: ['68971284'],
};

/** A rule's meaning. */
export const ruleOf = (rule: string, action: FlowRule['action']): FlowMeaning => ({
  stage: outAcl.name,
  datapath: 'net',
  rule: { kind: 'NetworkPolicy', namespace: 'a', name: 'p', rule, direction: 'ingress', action },
});
