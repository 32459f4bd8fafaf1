import type { PolicyPort } from '../policy/model.ts';
import type { PeerPlan, RulePlan } from '../policy/plan.ts';
import { nodeBlockName, peerSetName } from './names.ts';

/** Which side of a packet is the policy's pod, and which the peer, in the language of ovn-sb(5). */
export const sides = {
  ingress: { port: 'outport', peer: 'src' },
  egress: { port: 'inport', peer: 'dst' },
} as const;

/** Packets of a policy's pods in one direction. `ip` keeps ARP out of it: without it pods would lose their neighbours. */
export const isolationMatch = (direction: 'ingress' | 'egress', group: string): string =>
  `${sides[direction].port} == @${group} && ip`;

/**
 * The match of one rule's ACL.
 * @param group name of the Port_Group of the rule's pods
 * @param hasNodes whether nodes have addresses in a block (by the block's id)
 * @returns undefined when the rule lets nothing through
 */
export function ruleMatch(rule: RulePlan, group: string, hasNodes: (block: string) => boolean): string | undefined {
  const { port, peer } = sides[rule.direction];
  const parts = [`${port} == @${group}`];
  if (rule.peers !== undefined) {
    const terms = peerTerms(rule.peers, peer, hasNodes);
    if (terms.length === 0) return undefined;
    parts.push(anyOf(terms));
  }
  if (rule.ports !== undefined) {
    const terms = portTerms(rule.ports);
    if (terms.length === 0) return undefined;
    parts.push(anyOf(terms));
  }
  if (parts.length === 1) parts.push('ip');
  return parts.join(' && ');
}

/**
 * Each set is a comparison of its own: ovn-controller then follows its changes element by element, which it does not for
 * sets inside braces (ovn-controller, lflow incremental processing of address sets).
 */
function peerTerms(peers: PeerPlan, side: 'src' | 'dst', hasNodes: (block: string) => boolean): readonly string[] {
  const terms: string[] = [];
  for (const { id } of peers.sets)
    for (const family of [4, 6] as const) terms.push(`ip${family}.${side} == $${peerSetName(id, family)}`);
  for (const { family, networks } of peers.networks) {
    const field = `ip${family}.${side}`;
    const listed = `${field} == ${oneOf(networks)}`;
    terms.push(
      peers.within === undefined ? listed : `(${field} == $${peerSetName(peers.within.id, family)} && ${listed})`,
    );
  }
  for (const { id, family } of peers.nodes)
    if (hasNodes(id)) terms.push(`ip${family}.${side} == $${nodeBlockName(id, family)}`);
  return terms;
}

function portTerms(ports: readonly PolicyPort[]): readonly string[] {
  const terms: string[] = [];
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    const own = ports.filter((port) => port.protocol === protocol);
    if (own.some(({ port }) => port === undefined)) {
      terms.push(protocol);
      continue;
    }
    const numbers = new Set<string>();
    for (const { port, endPort } of own) {
      if (endPort === undefined || endPort === port) numbers.add(String(port));
      else terms.push(`${port} <= ${protocol}.dst <= ${endPort}`);
    }
    if (numbers.size > 0) terms.push(`${protocol}.dst == ${oneOf([...numbers])}`);
  }
  return terms;
}

/** A value, or several in braces. */
export const oneOf = (values: readonly string[]): string =>
  values.length === 1 ? String(values[0]) : `{${values.join(', ')}}`;

/** Terms of which one must hold, in parentheses when there are several. */
export const anyOf = (terms: readonly string[]): string =>
  terms.length === 1 ? String(terms[0]) : `(${terms.join(' || ')})`;
