import { MAX_GROUP_PRIORITY } from '@ovenbird/crds';
import { type GroupBand, groupBand } from '../compile/bands.ts';
import type { Reader } from '../store/state.ts';
import type { GroupDirection, SecurityGroup } from './model.ts';

type Places = Pick<GroupBand, 'places' | 'exact'>;

/**
 * Where a priority stands when no other one is in its way: low ones at the place of their number, the others spread over the
 * rest of the band, so that most of what people write moves nothing that is there.
 */
export function ownPlace(priority: number, { places, exact }: Places): number {
  if (priority <= exact) return priority;
  const step = Math.ceil((MAX_GROUP_PRIORITY - exact) / (places - exact));
  return exact + Math.ceil((priority - exact) / step);
}

/**
 * Places of priorities that are used together, in their order: each its own one, or the next behind the one before; from the
 * end of the band they give way upwards. It depends on nothing but which priorities there are, so that a controller that
 * starts finds the same places, and one priority more moves those only that are next to it without a gap.
 * @param priorities distinct, ascending; no more than there are places
 */
export function placesOf(priorities: readonly number[], band: Places): readonly number[] {
  let before = 0;
  const pushed = priorities.map((priority) => {
    before = Math.max(ownPlace(priority, band), before + 1);
    return before;
  });
  return pushed.map((place, index) => Math.min(place, band.places - (pushed.length - 1 - index)));
}

/** Key of the groups whose rules may judge the same packets, in GroupOrder. */
export const orderKey = ({ vpc, tier }: Pick<SecurityGroup, 'vpc' | 'tier'>): string => `${vpc}/${tier}`;

/** OVN's priority of a rule of a group. @param tiers OVN has ACL tiers */
export function groupPriority(
  group: SecurityGroup,
  direction: GroupDirection,
  priority: number,
  { tiers, reader }: { readonly tiers: boolean; readonly reader: Reader },
): number {
  const band = groupBand(group.tier, tiers);
  const moved = reader.get('GroupOrder', orderKey(group))?.moved[direction][priority];
  return band.first - ((moved ?? ownPlace(priority, band)) - 1);
}
