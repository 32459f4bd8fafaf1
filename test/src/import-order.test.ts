import { expect, it } from 'vitest';
import { bands } from '../../cli/src/import/order.ts';
import { aclPriority, adminLadder, groupBand } from '../../controller/src/compile/bands.ts';

it('what the importer says about priorities is about the numbers that the controller uses', () => {
  const [groups, behind] = [groupBand(0, false), groupBand(1, false)];
  expect(bands.map(({ above }) => above)).toEqual([
    adminLadder.bands.step.highest,
    groups.base,
    groups.drop - 1,
    behind.base,
    behind.drop - 1,
    aclPriority.tracking - 1,
  ]);
  const admin = adminLadder.bands;
  expect(admin.step.highest - admin.priorities * admin.step.levels).toBe(groups.base);
  expect(groups.first - (groups.places - 1)).toBeGreaterThan(groups.sameGroup);
  expect(behind.first - (behind.places - 1)).toBeGreaterThan(behind.sameGroup);
});
