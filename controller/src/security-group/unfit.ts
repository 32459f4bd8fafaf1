import { groupBand } from '../compile/bands.ts';
import type { SecurityGroup } from './model.ts';

/** Why the rows of a group cannot be written for the connected OVN. */
export interface Unfit {
  readonly reason: 'NeedsNewerOVN';
  readonly message: string;
}

/** Whether the connected OVN has a place for a group's rules (docs/acl-order.md). @param tiers it has ACL tiers */
export function unfitGroup({ tier, ingress, egress }: SecurityGroup, tiers: boolean): Unfit | undefined {
  const { last } = groupBand(tier, tiers);
  if (tiers || tier === 1) return undefined;
  for (const [field, rules] of [
    ['ingressRules', ingress],
    ['egressRules', egress],
  ] as const) {
    for (const [index, { priority, policy, remote }] of rules.entries()) {
      const where = `${field}[${index}]`;
      const because = (what: string, instead: string): Unfit => ({
        reason: 'NeedsNewerOVN',
        message: `${where}: ${what} OVN 23.06 or later; until then the group lets nothing through. ${instead}`,
      });
      // What is not in a set of addresses cannot be written positively, and the set changes with each pod.
      if (policy === 'pass' && 'group' in remote)
        return because('pass by remoteSecurityGroup needs', 'Write remoteAddress, or allow or drop');
      if (priority > last) return because(`priorities above ${last} need`, `Write 1 to ${last}`);
    }
  }
  return undefined;
}
