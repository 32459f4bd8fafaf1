import { type HasMetadata, type ObjectEvent, objectKey, type ReflectorSink } from '@ovenbird/kube';
import type { Key, Kind, Tables } from './model.ts';
import type { State } from './state.ts';

/** An object on its way from a reflector into the state: the identity that a Reflector wants, and what we keep. */
export interface Projected<K extends Kind> extends HasMetadata {
  readonly slim: Tables[K];
}

export interface StateSinkOptions<K extends Kind> {
  readonly state: State;
  readonly kind: K;
  /** Runs changes that are inferred from a list (see `Engine.inferred`). */
  readonly inferred: (change: () => void) => void;
  /** Called with the keys of each batch after they are in the state. */
  readonly changed: (keys: readonly Key[]) => void;
  /** Likewise with those on which only what we announced changed. */
  readonly announced: (keys: readonly Key[]) => void;
}

/** Puts what a reflector sees into the controller's state. */
export class StateSink<K extends Kind> implements ReflectorSink<Projected<K>> {
  readonly #options: StateSinkOptions<K>;

  constructor(options: StateSinkOptions<K>) {
    this.#options = options;
  }

  replace(objects: readonly Projected<K>[], unreadable: readonly HasMetadata['metadata'][]): void {
    const { state, kind, inferred, changed } = this.#options;
    const present = new Set<Key>(unreadable.map((metadata) => objectKey({ metadata })));
    const keys: Key[] = [];
    for (const object of objects) {
      const key = objectKey(object);
      present.add(key);
      if (state.set(kind, key, object.slim)) keys.push(key);
    }
    const gone = [...state.keys(kind)].filter((key) => !present.has(key));
    if (gone.length > 0) {
      inferred(() => {
        for (const key of gone) state.delete(kind, key);
        changed(gone);
      });
    }
    if (keys.length > 0) changed(keys);
  }

  apply(events: readonly ObjectEvent<Projected<K>>[]): void {
    const { state, kind, changed, announced } = this.#options;
    const keys: Key[] = [];
    const echoes: Key[] = [];
    for (const { type, object } of events) {
      const key = objectKey(object);
      const what = type === 'DELETED' ? state.delete(kind, key) && 'changed' : state.put(kind, key, object.slim);
      if (what === 'changed') keys.push(key);
      else if (what === 'announced') echoes.push(key);
    }
    if (keys.length > 0) changed(keys);
    if (echoes.length > 0) announced(echoes);
  }
}
