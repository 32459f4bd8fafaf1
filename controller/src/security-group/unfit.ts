import { groupBand } from '../compile/bands.ts';
import type { Reader } from '../store/state.ts';
import type { SecurityGroup } from './model.ts';
import { orderKey } from './places.ts';

/** Why the rows of a group cannot be written for the connected OVN. */
export interface Unfit {
  readonly reason: 'NeedsNewerOVN' | 'DoesNotFit';
  readonly message: string;
}

/** Whether the connected OVN has a place for a group's rules (docs/acl-order.md). @param tiers it has ACL tiers */
export function unfitGroup(group: SecurityGroup, tiers: boolean, reader: Reader): Unfit | undefined {
  const { name, tier, vpc } = group;
  if (reader.get('GroupOrder', orderKey(group))?.crowded.includes(name) !== true) return undefined;
  const { places } = groupBand(tier, tiers);
  return {
    reason: tier === 0 ? 'NeedsNewerOVN' : 'DoesNotFit',
    message: `the SecurityGroups of tier ${tier} in vpc "${vpc}" have more than ${places} different priorities, and older ones go first; until there are fewer this group lets nothing through. Use priorities that other groups use as well`,
  };
}
