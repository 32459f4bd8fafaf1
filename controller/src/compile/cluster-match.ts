import type { PlannedAcl } from '../policy/cluster-model.ts';
import { families, type Networks } from '../policy/networks.ts';
import { type PortSet, transports } from '../policy/port-set.ts';
import { nodeSetName, peerSetName } from './names.ts';
import { anyOf, oneOf, sides } from './policy-match.ts';

/**
 * IP protocols besides TCP, UDP and SCTP that pods send in practice: ICMP, IGMP, IP in IP, DCCP, IPv6 in IP, RSVP, GRE, ESP,
 * AH, ICMPv6, EIGRP, OSPF, EtherIP, PIM, IPComp, VRRP, L2TP, UDP-Lite, MPLS in IP. OVN can only ask whether a protocol is one
 * of a list (ovn-sb(5), nominal fields), and each of a list costs flows, so this is not all 253.
 */
const otherProtocols = [1, 2, 4, 33, 41, 46, 47, 50, 51, 58, 88, 89, 97, 103, 108, 112, 115, 136, 137];

/**
 * The match of an ACL of a cluster policy.
 * @param group name of the Port_Group of its pods
 * @returns undefined when it matches nothing
 */
export function clusterMatch({ direction, peers, ports }: PlannedAcl, group: string): string | undefined {
  const { port, peer } = sides[direction];
  const terms: string[] = [];
  const add = (family: 4 | 6, set: string, within: Networks | undefined): void => {
    const field = `ip${family}.${peer}`;
    const own = `${field} == $${set}`;
    if (within === undefined) terms.push(own);
    else if (within[family].length > 0) terms.push(`(${own} && ${field} == ${oneOf(within[family])})`);
  };
  for (const { set, within } of peers.pods)
    for (const family of families) add(family, peerSetName(set.id, family), within);
  for (const { set, within } of peers.nodes)
    for (const family of families) add(family, nodeSetName(set.id, family), within);
  for (const family of families) {
    const own = peers.networks[family];
    if (own.length > 0) terms.push(own.includes(zero[family]) ? `ip${family}` : `ip${family}.${peer} == ${oneOf(own)}`);
  }
  if (terms.length === 0) return undefined;
  const parts = [`${port} == @${group}`, anyOf(terms)];
  if (ports !== undefined) {
    const asked = portTerms(ports);
    if (asked.length === 0) return undefined;
    parts.push(anyOf(asked));
  }
  return parts.join(' && ');
}

const zero = { 4: '0.0.0.0/0', 6: '::/0' } as const;

function portTerms(ports: PortSet): readonly string[] {
  const terms: string[] = [];
  for (const protocol of transports) {
    const numbers: string[] = [];
    for (const { from, to } of ports[protocol]) {
      if (from === 0 && to === 65_535) terms.push(protocol);
      else if (from === to) numbers.push(String(from));
      else terms.push(`${from} <= ${protocol}.dst <= ${to}`);
    }
    if (numbers.length > 0) terms.push(`${protocol}.dst == ${oneOf(numbers)}`);
  }
  if (ports.others) terms.push(`ip.proto == ${oneOf(otherProtocols.map(String))}`);
  return terms;
}
