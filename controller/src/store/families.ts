import type { FamilyNet, UsableSubnet } from './model.ts';

/** The families of a subnet that exist, in the order v4, v6. */
export function familiesOf(subnet: UsableSubnet): readonly (readonly [4 | 6, FamilyNet])[] {
  const families: (readonly [4 | 6, FamilyNet])[] = [];
  if (subnet.v4 !== undefined) families.push([4, subnet.v4]);
  if (subnet.v6 !== undefined) families.push([6, subnet.v6]);
  return families;
}
