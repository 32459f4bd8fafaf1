import { type Box, type BoxProtocol, boxProtocols, everyPort } from '../security-group/box.ts';
import type { GroupDirection, GroupRule, Ports } from '../security-group/model.ts';
import { securityGroupName } from './names.ts';
import { anyOf, oneOf, sides } from './policy-match.ts';

/** The Port_Groups that hold the pods of a group. */
export interface RemoteGroups {
  readonly group: string;
  readonly portGroups: readonly string[];
}

/** That a field is an address of a group. */
const inGroup = (field: string, family: 4 | 6, group: string, remotes: readonly RemoteGroups[]): readonly string[] =>
  // Each set is a comparison of its own: see policy-match.ts.
  (remotes.find((remote) => remote.group === group)?.portGroups ?? [securityGroupName(group)]).map(
    (portGroup) => `${field} == $${portGroup}_ip${family}`,
  );

/** The match of what the pods of a group send to each other. */
export function sameGroupMatch(
  direction: GroupDirection,
  portGroup: string,
  group: string,
  remotes: readonly RemoteGroups[],
): string {
  const { port, peer } = sides[direction];
  const terms = ([4, 6] as const).flatMap((family) => inGroup(`ip${family}.${peer}`, family, group, remotes));
  return `${port} == @${portGroup} && (${terms.join(' || ')})`;
}

/**
 * The match of a rule, in the language of ovn-sb(5).
 * @param group name of the Port_Group of the rule's pods
 */
export function groupRuleMatch(
  direction: GroupDirection,
  group: string,
  rule: GroupRule,
  remotes: readonly RemoteGroups[],
): string {
  const { port, peer } = sides[direction];
  const { family, protocol, remote, local, ports, sourcePorts } = rule;
  const ip = `ip${family}`;
  const parts = [`${port} == @${group}`];
  if ('group' in remote) parts.push(anyOf(inGroup(`${ip}.${peer}`, family, remote.group, remotes)));
  // A prefix of no bits is no comparison to OVN.
  else parts.push(remote.cidr.endsWith('/0') ? ip : `${ip}.${peer} == ${remote.cidr}`);
  if (local !== undefined && !local.endsWith('/0')) parts.push(`${ip}.${otherSide(peer)} == ${local}`);
  if (protocol === 'icmp') parts.push(`icmp${family}`);
  else if (protocol !== 'all') {
    if (ports !== undefined) parts.push(compare(`${protocol}.dst`, ports));
    if (sourcePorts !== undefined) parts.push(compare(`${protocol}.src`, sourcePorts));
    if (ports === undefined && sourcePorts === undefined) parts.push(protocol);
  }
  return parts.join(' && ');
}

const otherSide = (side: 'src' | 'dst'): 'src' | 'dst' => (side === 'src' ? 'dst' : 'src');

const compare = (field: string, { from, to }: Ports): string =>
  from === to ? `${field} == ${from}` : `${from} <= ${field} <= ${to}`;

/** Where the names of other sides lead to. */
export interface SideNames {
  readonly remotes: readonly RemoteGroups[];
  /** Address_Set of the other sides of a part that are not in a group. */
  readonly partName: (part: Box) => string;
}

/** The match of a part of a rule. */
export function boxMatch(direction: GroupDirection, portGroup: string, box: Box, names: SideNames): string {
  const { port, peer } = sides[direction];
  const { family, remote, group, without, local, protocols, ports, sourcePorts } = box;
  const ip = `ip${family}`;
  const isAll = (cidrs: readonly string[]): boolean => cidrs.some((cidr) => cidr.endsWith('/0'));
  const parts = [`${port} == @${portGroup}`];
  if (without.length > 0) parts.push(`${ip}.${peer} == $${names.partName(box)}`);
  else {
    if (group !== undefined) parts.push(anyOf(inGroup(`${ip}.${peer}`, family, group, names.remotes)));
    if (!isAll(remote)) parts.push(`${ip}.${peer} == ${oneOf(remote)}`);
  }
  if (!isAll(local)) parts.push(`${ip}.${otherSide(peer)} == ${oneOf(local)}`);
  if (parts.length === 1) parts.push(ip);
  if (protocols.length < boxProtocols.length)
    parts.push(anyOf(protocols.map((protocol) => protocolMatch(protocol, family, ports, sourcePorts))));
  return parts.join(' && ');
}

function protocolMatch(protocol: BoxProtocol, family: 4 | 6, ports: Ports, sourcePorts: Ports): string {
  if (protocol === 'icmp') return `icmp${family}`;
  if (protocol === 'others') return `ip.proto == {${otherProtocols[family].join(', ')}}`;
  const parts = [
    ...(isEveryPort(ports) ? [] : [compare(`${protocol}.dst`, ports)]),
    ...(isEveryPort(sourcePorts) ? [] : [compare(`${protocol}.src`, sourcePorts)]),
  ];
  return parts.length === 0 ? protocol : parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' && ')})`;
}

const isEveryPort = ({ from, to }: Ports): boolean => from === everyPort.from && to === everyPort.to;

/**
 * Protocols that have neither ports nor are the family's ICMP. OVN can only ask whether a protocol is one of a list (ovn-sb(5),
 * nominal fields), and a list that is not whole would open a closed pod for the rest.
 */
const otherProtocols = ((): Readonly<Record<4 | 6, readonly number[]>> => {
  const without = (icmp: number): readonly number[] =>
    Array.from({ length: 256 }, (_, protocol) => protocol).filter((protocol) => ![6, 17, 132, icmp].includes(protocol));
  return { 4: without(1), 6: without(58) };
})();
