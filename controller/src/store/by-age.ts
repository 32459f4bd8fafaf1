import type { Key } from './model.ts';
import type { State } from './state.ts';

/** Keys of all objects of a kind, the oldest first. */
export function keysByAge(state: State, kind: 'Pod' | 'Node' | 'Vip'): readonly Key[] {
  return [...state.entries(kind)]
    .sort(([, a], [, b]) => (a.created < b.created || (a.created === b.created && a.name < b.name) ? -1 : 1))
    .map(([key]) => key);
}
