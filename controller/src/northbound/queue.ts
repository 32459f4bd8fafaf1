import type { Unit } from './desired.ts';

/** Units wait in one of these; earlier ones are served first. */
const LANES = ['pod', 'bulk', 'audit'] as const;
export type QueueLane = (typeof LANES)[number];

/**
 * Joint units of one transaction at most: beyond that (a policy for more pods) the database would be busy with one change for
 * seconds, and it is split after all.
 */
const JOINT_UNITS = 20_000;

/** The size of one transaction. */
export interface BatchLimits {
  readonly units: number;
  /** Rows and members together; the first pod and the first of the rest are taken whatever their size: units are not split. */
  readonly atoms: number;
}

/**
 * Units to compare with the database. Pods go first, but every batch keeps a quarter for the rest, and takes the first of it
 * however large, so that a stream of pods cannot starve a policy. Within a lane parents (lower ranks) go first. Joint units
 * are taken together, whatever the limits: rules that change, and the members of the sets that they name, are one change for
 * packets.
 */
export class UnitQueue {
  readonly #lanes: Readonly<Record<QueueLane, Map<number, Set<Unit>>>> = {
    pod: new Map(),
    bulk: new Map(),
    audit: new Map(),
  };
  readonly #where = new Map<Unit, { lane: QueueLane; rank: number }>();
  readonly #joint = new Set<Unit>();

  get size(): number {
    return this.#where.size;
  }

  has(unit: Unit): boolean {
    return this.#where.has(unit);
  }

  /** Adds a unit, or moves it to a lane that is served earlier. */
  add(unit: Unit, lane: QueueLane): void {
    if (unit.joint) this.#joint.add(unit);
    const known = this.#where.get(unit);
    if (known !== undefined) {
      if (known.rank === unit.rank && LANES.indexOf(known.lane) <= LANES.indexOf(lane)) return;
      this.remove(unit);
      if (unit.joint) this.#joint.add(unit);
    }
    const ranks = this.#lanes[lane];
    const units = ranks.get(unit.rank);
    if (units === undefined) ranks.set(unit.rank, new Set([unit]));
    else units.add(unit);
    this.#where.set(unit, { lane, rank: unit.rank });
  }

  /** @returns whether the unit was there. */
  remove(unit: Unit): boolean {
    const known = this.#where.get(unit);
    if (known === undefined) return false;
    const units = this.#lanes[known.lane].get(known.rank);
    units?.delete(unit);
    if (units?.size === 0) this.#lanes[known.lane].delete(known.rank);
    this.#where.delete(unit);
    this.#joint.delete(unit);
    return true;
  }

  /** Takes the units of the next transaction. */
  take(limits: BatchLimits): Unit[] {
    const batch: Unit[] = [];
    let atoms = 0;
    let pods = 0;
    for (const lane of LANES) {
      const share = lane === 'pod' && this.size > this.#count('pod') ? 0.75 : 1;
      const ranks = [...this.#lanes[lane].keys()].sort((a, b) => a - b);
      for (const rank of ranks) {
        for (const unit of this.#lanes[lane].get(rank) ?? []) {
          const size = sizeOf(unit);
          const isFirst = batch.length === pods;
          if (batch.length >= limits.units * share || (!isFirst && atoms + size > limits.atoms * share)) break;
          batch.push(unit);
          atoms += size;
        }
      }
      if (lane === 'pod') pods = batch.length;
    }
    for (const unit of batch) this.remove(unit);
    if (batch.some(({ joint }) => joint)) batch.push(...this.takeJoint());
    return batch;
  }

  /** Takes the joint units that are left, for which `wanted` holds. */
  takeJoint(wanted: (unit: Unit) => boolean = () => true): readonly Unit[] {
    const units = [...this.#joint].filter(wanted).slice(0, JOINT_UNITS);
    for (const unit of units) this.remove(unit);
    return units;
  }

  #count(lane: QueueLane): number {
    let count = 0;
    for (const units of this.#lanes[lane].values()) count += units.size;
    return count;
  }
}

function sizeOf({ atoms, staleRows, staleMembers }: Unit): number {
  return atoms.rows.size + atoms.members.size + staleRows.size + staleMembers.size;
}
