import { ipFamily } from '@ovenbird/crds';
import { familiesOf } from '../store/families.ts';
import type { SubnetAcl, UsableSubnet } from '../store/model.ts';
import { aclPriority, aclTier } from './bands.ts';

/** An ACL row's columns, with the natural key that keeps its UUID over edits. */
export interface CompiledAcl extends SubnetAcl {
  readonly key: string;
  /** Where OVN has tiers. */
  readonly tier: number;
  readonly name: string;
}

/**
 * The ACLs of a subnet: what the user wrote in `acls`, and the isolation of `private`.
 *
 * `private` closes the subnet for packets that come from elsewhere to its addresses; packets that leave it, and replies to
 * them (conntrack), pass. Neighbour discovery is let through by northd itself above every ACL.
 * @param join the nodes' subnet, when nodes can reach this subnet at all.
 */
export function subnetAcls(subnet: UsableSubnet, join: UsableSubnet | undefined): readonly CompiledAcl[] {
  const acls: CompiledAcl[] = subnet.acls.map((acl, index) => ({
    key: `acl_${index}`,
    name: label(`${subnet.name}/acl/${index}`),
    tier: aclTier.network,
    ...acl,
  }));
  if (!subnet.private) return acls;
  const push = (key: string, priority: number, match: string, action: SubnetAcl['action']): void => {
    // Below Baseline, which decides for namespaces what `private` would else decide for the subnet.
    const tier = priority === aclPriority.nodeToPrivate ? aclTier.network : aclTier.baseline;
    acls.push({ key, name: label(`${subnet.name}/${key}`), direction: 'to-lport', tier, priority, match, action });
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

/** ovn-nb(5): ACL.name is at most 63 characters; it is for logs and people only. */
const label = (text: string): string => text.slice(0, 63);
