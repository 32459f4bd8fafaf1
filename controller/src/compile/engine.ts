import type { Output } from '../northbound/rows.ts';
import type { Key, Kind, Tables } from '../store/model.ts';
import { indexRead, listRead, objectRead, type Reader, type ReadKey, type State } from '../store/state.ts';

/** Identity of a compile unit: `<Kind>/<key>` of the object it is compiled from, the owner of every row it emits. */
export type UnitId = string;

/** One kind of unit: a pure function from an object's key and the cluster to rows. No clock, no randomness, no I/O. */
export interface UnitDefinition {
  /** The kind whose objects each make one unit. */
  readonly kind: Kind;
  /** Parents first: a batch sends lower ranks before higher ones. */
  readonly rank: number;
  readonly lane: 'pod' | 'bulk';
  /** The unit of this kind with the same key has the row that this unit's members stand for. */
  readonly of?: Kind;
  compile(key: Key, reader: Reader): readonly Output[];
}

/** Where compiled units go; `Northbound` in production. */
export interface UnitSink {
  setUnit(
    unit: UnitId,
    outputs: readonly Output[],
    options: { rank: number; lane: 'pod' | 'bulk'; inferred: boolean; of?: UnitId },
  ): void;
}

/** Who read something; one object for all of them, so that a key is held once and not by each reader. */
interface Readers {
  readonly key: ReadKey;
  readonly units: Set<UnitId>;
}

interface Memo {
  readonly reads: readonly Readers[];
  readonly outputs: number;
}

class RecordingReader implements Reader {
  readonly reads = new Set<ReadKey>();
  readonly #state: State;
  constructor(state: State) {
    this.#state = state;
  }
  get<K extends Kind>(kind: K, key: Key): Tables[K] | undefined {
    this.reads.add(objectRead(kind, key));
    return this.#state.get(kind, key);
  }
  list<K extends Kind>(kind: K): readonly Tables[K][] {
    this.reads.add(listRead(kind));
    return this.#state.list(kind);
  }
  index<K extends Kind>(kind: K, name: string, value: string): readonly Tables[K][] {
    this.reads.add(indexRead(kind, name, value));
    return this.#state.index(kind, name, value);
  }
}

/**
 * Recompiles just the units whose recorded reads changed. Compiling everything from nothing gives the same rows, which
 * is the restart path and the oracle of the property tests.
 */
export class Engine {
  readonly #state: State;
  readonly #definitions: ReadonlyMap<Kind, UnitDefinition>;
  readonly #sink: UnitSink;
  readonly #onError: (unit: UnitId, error: unknown) => void;
  readonly #memos = new Map<UnitId, Memo>();
  readonly #readers = new Map<ReadKey, Readers>();
  readonly #dirty = new Set<UnitId>();
  readonly #inferred = new Set<UnitId>();
  #inferring = false;

  /** @param onError called when a unit throws (a defect of ours): the unit keeps its last rows, the others go on. */
  constructor(
    state: State,
    definitions: readonly UnitDefinition[],
    sink: UnitSink,
    onError: (unit: UnitId, error: unknown) => void,
  ) {
    this.#state = state;
    this.#definitions = new Map(definitions.map((definition) => [definition.kind, definition]));
    this.#sink = sink;
    this.#onError = onError;
    for (const definition of definitions) {
      for (const key of state.keys(definition.kind)) this.#dirty.add(`${definition.kind}/${key}`);
    }
    state.onTouch((kind, key, reads) => {
      if (this.#definitions.has(kind)) this.#touch(`${kind}/${key}`);
      for (const read of reads) for (const unit of this.#readers.get(read)?.units ?? []) this.#touch(unit);
    });
  }

  /** Changes made inside `change` are known from a list, not seen as watch events (the safety catch asks). */
  inferred(change: () => void): void {
    this.#inferring = true;
    try {
      change();
    } finally {
      this.#inferring = false;
    }
  }

  get dirty(): number {
    return this.#dirty.size;
  }

  /** Compiles every dirty unit and hands its rows to the sink. */
  flush(): void {
    for (const unit of this.#dirty) {
      const slash = unit.indexOf('/');
      const definition = this.#definitions.get(unit.slice(0, slash) as Kind);
      if (definition === undefined) continue;
      const key = unit.slice(slash + 1);
      const reader = new RecordingReader(this.#state);
      let outputs: readonly Output[];
      try {
        outputs = definition.compile(key, reader);
      } catch (error) {
        this.#remember(unit, reader.reads, this.#memos.get(unit)?.outputs ?? 0);
        this.#onError(unit, error);
        continue;
      }
      const before = this.#memos.get(unit)?.outputs ?? 0;
      this.#remember(unit, reader.reads, outputs.length);
      if (outputs.length > 0 || before > 0) {
        this.#sink.setUnit(unit, outputs, {
          rank: definition.rank,
          lane: definition.lane,
          inferred: this.#inferred.has(unit),
          ...(definition.of === undefined ? {} : { of: `${definition.of}/${key}` }),
        });
      }
    }
    this.#dirty.clear();
    this.#inferred.clear();
  }

  #touch(unit: UnitId): void {
    this.#dirty.add(unit);
    if (this.#inferring) this.#inferred.add(unit);
    // What follows from an inferred change (alloc taking the address back) is inferred as well; a seen object is not.
    else if (this.#exists(unit)) this.#inferred.delete(unit);
  }

  #exists(unit: UnitId): boolean {
    const slash = unit.indexOf('/');
    return this.#state.get(unit.slice(0, slash) as Kind, unit.slice(slash + 1)) !== undefined;
  }

  #remember(unit: UnitId, reads: ReadonlySet<ReadKey>, outputs: number): void {
    const old = this.#memos.get(unit);
    // A unit whose object is gone and that emits nothing is forgotten, so that churn does not grow memory.
    const forget = outputs === 0 && !this.#exists(unit);
    if (forget) this.#memos.delete(unit);
    else {
      const kept: Readers[] = [];
      for (const key of reads) {
        let readers = this.#readers.get(key);
        if (readers === undefined) {
          readers = { key, units: new Set() };
          this.#readers.set(key, readers);
        }
        readers.units.add(unit);
        kept.push(readers);
      }
      this.#memos.set(unit, { reads: kept, outputs });
    }
    for (const { key, units } of old?.reads ?? []) {
      if (!forget && reads.has(key)) continue;
      units.delete(unit);
      if (units.size === 0) this.#readers.delete(key);
    }
  }
}
