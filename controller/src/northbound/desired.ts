import { type Atoms, type MemberAtom, NO_ATOMS, sameAtoms } from './atoms.ts';
import { NorthboundError } from './error.ts';
import type { Orphan } from './orphans.ts';
import type { DesiredRow } from './rows.ts';

/** Which queue a unit waits in: pods before everything else, look-overs of what should be right last. */
export type Lane = 'pod' | 'bulk';

/** How a unit is sent. */
export interface UnitOptions {
  /** Parents first: lower ranks are sent before (or together with) higher ones. Default 0. */
  readonly rank?: number;
  /** Default `bulk`. */
  readonly lane?: Lane;
  /** What the unit no longer emits is known from a list, not from a watch event: the safety catch counts it. */
  readonly inferred?: boolean;
  /** The unit with the row that this unit's members stand for: when that is in the database, they change what is there. */
  readonly of?: string;
}

/** What one unit wants, and what it once wanted and may still be in the database. Never split over two transactions. */
export interface Unit {
  readonly name: string;
  rank: number;
  lane: Lane;
  /** Grows with every change of `atoms`. */
  version: number;
  atoms: Atoms;
  /** Rows emitted before and not now: UUID → table. */
  readonly staleRows: Map<string, string>;
  /** Members emitted before and not now. */
  readonly staleMembers: Map<string, MemberAtom>;
  inferred: boolean;
  /** To be committed together with all other joint units that wait: it changes what is in the database already. */
  joint: boolean;
  /** Version that the database is known to hold; below `version` while there is something to send. */
  writtenVersion: number;
}

/** All units, and who emits which atom. No I/O. */
export class DesiredState {
  readonly #units = new Map<string, Unit>();
  readonly #rows = new Map<string, { readonly row: DesiredRow; readonly unit: Unit }>();
  readonly #members = new Map<string, Set<Unit>>();
  /** Rows (by UUID) and members (by key) that a unit is about to remove. */
  readonly #leaving = new Map<string, Unit>();

  get units(): Iterable<Unit> {
    return this.#units.values();
  }

  get size(): number {
    return this.#units.size;
  }

  get(name: string): Unit | undefined {
    return this.#units.get(name);
  }

  /** The row with this UUID and the unit that emits it. */
  row(uuid: string): { readonly row: DesiredRow; readonly unit: Unit } | undefined {
    return this.#rows.get(uuid);
  }

  /** Whether some unit is about to remove the row (by UUID) or member (by key). */
  isLeaving(atom: string): boolean {
    return this.#leaving.has(atom);
  }

  /** Units that emit a member, by {@link memberKey}. */
  emitters(key: string): ReadonlySet<Unit> | undefined {
    return this.#members.get(key);
  }

  /**
   * Replaces what a unit wants.
   * @returns the unit when that changed anything, else undefined.
   * @throws NorthboundError `conflict` when another unit emits one of the rows; nothing is changed then.
   */
  set(name: string, atoms: Atoms, options: UnitOptions = {}): Unit | undefined {
    const known = this.#units.get(name);
    if (known === undefined && atoms.rows.size === 0 && atoms.members.size === 0) return undefined;
    for (const uuid of atoms.rows.keys()) {
      const other = this.#rows.get(uuid);
      if (other !== undefined && other.unit !== known) {
        const row = atoms.rows.get(uuid);
        throw new NorthboundError(
          'conflict',
          `${name}: ${row?.table} row "${row?.key}" (${uuid}) is emitted by ${other.unit.name} as well: one row has one unit`,
        );
      }
    }
    const unit = known ?? this.#create(name);
    unit.rank = options.rank ?? 0;
    unit.lane = options.lane ?? 'bulk';
    if (known !== undefined && sameAtoms(known.atoms, atoms)) return undefined;
    this.#replace(unit, atoms);
    if (options.inferred === true) unit.inferred = true;
    if (unit.staleRows.size === 0 && unit.staleMembers.size === 0) unit.inferred = false;
    return unit;
  }

  /**
   * Makes a unit without wishes for atoms found in the database that nobody wants.
   * @returns undefined when it is known already.
   */
  orphan({ name, rows, members }: Orphan): Unit | undefined {
    const known = this.#units.get(name);
    if (known !== undefined) return undefined;
    const unit = this.#create(name);
    // After everything wanted, so that what refers to an orphan has let go of it.
    unit.rank = Number.MAX_SAFE_INTEGER;
    unit.inferred = true;
    for (const [uuid, table] of rows) {
      unit.staleRows.set(uuid, table);
      this.#leaving.set(uuid, unit);
    }
    for (const [key, member] of members) {
      unit.staleMembers.set(key, member);
      this.#leaving.set(key, unit);
    }
    return unit;
  }

  /** The unit, made if need be, marked as not being in the database: its outputs were not accepted. */
  reject(name: string): Unit {
    const unit = this.#units.get(name) ?? this.#create(name);
    unit.version += 1;
    return unit;
  }

  /** The database holds `version` of the unit. A unit that wants nothing is forgotten. */
  written(unit: Unit, version: number): void {
    unit.writtenVersion = Math.max(unit.writtenVersion, version);
    if (version !== unit.version) return;
    for (const atom of [...unit.staleRows.keys(), ...unit.staleMembers.keys()]) {
      if (this.#leaving.get(atom) === unit) this.#leaving.delete(atom);
    }
    unit.staleRows.clear();
    unit.staleMembers.clear();
    unit.inferred = false;
    unit.joint = false;
    if (unit.atoms.rows.size > 0 || unit.atoms.members.size > 0) return;
    // Who was forgotten before, and compared once more, must not take along the unit that has its name by now.
    if (this.#units.get(unit.name) === unit) this.#units.delete(unit.name);
  }

  #create(name: string): Unit {
    const unit: Unit = {
      name,
      rank: 0,
      lane: 'bulk',
      version: 0,
      atoms: NO_ATOMS,
      staleRows: new Map(),
      staleMembers: new Map(),
      inferred: false,
      joint: false,
      writtenVersion: -1,
    };
    this.#units.set(name, unit);
    return unit;
  }

  #replace(unit: Unit, atoms: Atoms): void {
    for (const [uuid, row] of unit.atoms.rows) {
      if (atoms.rows.has(uuid)) continue;
      this.#rows.delete(uuid);
      unit.staleRows.set(uuid, row.table);
      this.#leaving.set(uuid, unit);
    }
    for (const [key, member] of unit.atoms.members) {
      if (atoms.members.has(key)) continue;
      const emitters = this.#members.get(key);
      emitters?.delete(unit);
      if (emitters?.size === 0) this.#members.delete(key);
      unit.staleMembers.set(key, member);
      this.#leaving.set(key, unit);
    }
    for (const [uuid, row] of atoms.rows) {
      this.#rows.set(uuid, { row, unit });
      unit.staleRows.delete(uuid);
      this.#leaving.delete(uuid);
    }
    for (const key of atoms.members.keys()) {
      const emitters = this.#members.get(key);
      if (emitters === undefined) this.#members.set(key, new Set([unit]));
      else emitters.add(unit);
      unit.staleMembers.delete(key);
      this.#leaving.delete(key);
    }
    unit.atoms = atoms;
    unit.version += 1;
  }
}
