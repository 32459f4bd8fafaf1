import type { DesiredState, Unit } from './desired.ts';
import { differenceOf, type MembershipCache } from './diff.ts';
import { NorthboundError } from './error.ts';
import { isOurs } from './ours.ts';
import type { NbReader } from './store.ts';

/** Whether there are ports of ours: packets that changes of other rows may open or close. */
export function hasPorts(reader: NbReader): boolean {
  for (const [uuid, row] of reader.rows('Logical_Switch_Port'))
    if (isOurs('Logical_Switch_Port', uuid, row)) return true;
  return false;
}

/** Whether a unit changes what is in the database, or is no pod's: one with nothing but a new port opens and closes nothing. */
export function changesWhatIsThere(
  unit: Unit,
  desired: DesiredState,
  reader: NbReader,
  cache: MembershipCache,
): boolean {
  try {
    const difference = differenceOf(unit, desired, reader, cache);
    if (difference === undefined) return false;
    const { inserts, changes, deletes, removes } = difference;
    return unit.lane === 'bulk' || inserts.length === 0 || changes.length + deletes.size + removes.size > 0;
  } catch (error) {
    // What it lacks is told when it is its turn.
    if (error instanceof NorthboundError) return false;
    throw error;
  }
}
