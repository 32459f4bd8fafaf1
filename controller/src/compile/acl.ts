import { ipFamily } from '@ovenbird/crds';
import { familiesOf } from '../store/families.ts';
import type { SubnetAcl, UsableSubnet } from '../store/model.ts';
import { aclColumns } from './acl-columns.ts';
import { aclPriority, aclTier } from './bands.ts';
import { logColumns } from './log-meter.ts';
import { aclName } from './names.ts';

/** An ACL row's columns, with the natural key that keeps its UUID over edits. */
export interface CompiledAcl extends Omit<SubnetAcl, 'log'>, Partial<ReturnType<typeof logColumns>> {
  readonly options?: ReadonlyMap<string, string>;
  readonly key: string;
  /** Where OVN has tiers. */
  readonly tier: number;
  readonly name: string;
}

/**
 * Matches nothing, and makes OVN track the connections of a subnet's pods: it does so only where some ACL is `allow-related`
 * (ovn-northd.c, `ls_get_acl_flags`). Where all of them drop, they would drop the answers as well: those of a pod that may be
 * asked and may ask nobody, or the other way round.
 */
export const trackingAcl = (subnet: string): CompiledAcl => ({
  key: 'tracking',
  name: aclName('subnet', subnet, 'tracking'),
  direction: 'to-lport',
  tier: aclTier.baseline,
  priority: aclPriority.tracking,
  match: '0',
  action: 'allow-related',
});

/** What pods ask the subnet's DHCP server, in each family: of the server and of all servers (RFC 2131 §4.1, RFC 8415 §7.1). */
export function dhcpAcls(subnet: UsableSubnet): readonly CompiledAcl[] {
  if (subnet.dhcp === undefined) return [];
  return familiesOf(subnet).map(([family, { gateway }]) => ({
    key: `dhcp_ip${family}`,
    name: aclName('subnet', subnet.name, `dhcp_ip${family}`),
    ...aclColumns.egress,
    tier: aclTier.node,
    priority: aclPriority.dhcp,
    match:
      family === 4
        ? `ip4.dst == {255.255.255.255, ${gateway}} && udp.src == 68 && udp.dst == 67`
        : 'ip6.dst == ff02::1:2 && udp.src == 546 && udp.dst == 547',
    action: 'allow-related',
  }));
}

/**
 * The ACLs of a subnet: what the user wrote in `acls`, `allowEWTraffic`, and the isolation of `private`.
 *
 * `private` closes the subnet for packets that come from elsewhere to its addresses; packets that leave it, and replies to
 * them (conntrack), pass. Neighbour discovery is let through by northd itself above every ACL.
 * @param join the nodes' subnet, when nodes can reach this subnet at all.
 */
export function subnetAcls(subnet: UsableSubnet, join: UsableSubnet | undefined): readonly CompiledAcl[] {
  const name = (key: string): string => aclName('subnet', subnet.name, key);
  const acls: CompiledAcl[] = subnet.acls.map(({ log, ...acl }, index) => ({
    key: `acl_${index}`,
    name: name(`acl_${index}`),
    tier: aclTier.network,
    ...acl,
    ...(log === true ? logColumns('subnet', subnet.name) : {}),
  }));
  if (subnet.allowEastWest) {
    for (const [family, { cidr }] of familiesOf(subnet)) {
      const ip = `ip${family}`;
      const match = `${ip}.src == ${cidr} && ${ip}.dst == ${cidr}`;
      for (const direction of ['from-lport', 'to-lport'] as const) {
        const key = `east_west_${direction === 'from-lport' ? 'from' : 'to'}_${ip}`;
        const priority = aclPriority.eastWest;
        acls.push({ key, name: name(key), direction, tier: aclTier.network, priority, match, action: 'allow-related' });
      }
    }
  }
  if (!subnet.private) return acls;
  const push = (key: string, priority: number, match: string, action: SubnetAcl['action']): void => {
    // Below Baseline, which decides for namespaces what `private` would else decide for the subnet.
    const tier = priority === aclPriority.nodeToPrivate ? aclTier.network : aclTier.baseline;
    acls.push({ key, name: name(key), direction: 'to-lport', tier, priority, match, action });
  };
  for (const [family, net] of familiesOf(subnet)) {
    const ip = `ip${family}`;
    push(`private_drop_${ip}`, aclPriority.privateDrop, `${ip}.dst == ${net.cidr}`, 'drop');
    const own = `${ip}.src == ${net.cidr} && ${ip}.dst == ${net.cidr}`;
    push(`private_own_${ip}`, aclPriority.privateAllow, own, 'allow-related');
    const sources = subnet.allowSubnets.filter((cidr) => ipFamily(cidr) === family);
    if (sources.length > 0) {
      const match = `${ip}.src == {${sources.join(', ')}} && ${ip}.dst == ${net.cidr}`;
      push(`private_allow_${ip}`, aclPriority.privateAllow, match, 'allow-related');
    }
    const nodes = family === 4 ? join?.v4 : join?.v6;
    if (nodes !== undefined) {
      push(
        `private_node_${ip}`,
        aclPriority.nodeToPrivate,
        `${ip}.src == ${nodes.cidr} && ${ip}.dst == ${net.cidr}`,
        'allow-related',
      );
    }
  }
  return acls;
}
