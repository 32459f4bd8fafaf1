import type { Key, Meta } from './model.ts';
import type { Reader, State } from './state.ts';

/** What the age of an object is told by. */
type Aged = Pick<Meta, 'created' | 'name'>;

/** Orders objects of a kind by age; of those of one second, which is what `created` tells apart, the one with the first name. */
export function olderFirst(a: Aged, b: Aged): number {
  return a.created < b.created || (a.created === b.created && a.name < b.name) ? -1 : 1;
}

/** What is derived from objects of a kind, and has their names, by the age of these; what is of none any more comes first. */
export function byAge<T extends { readonly name: string }>(
  reader: Reader,
  kind: 'Subnet' | 'IPPool',
  derived: Iterable<T>,
): readonly T[] {
  const ageOf = ({ name }: T): Aged => ({ name, created: reader.get(kind, name)?.created ?? '' });
  return [...derived].sort((a, b) => olderFirst(ageOf(a), ageOf(b)));
}

/** Keys of all objects of a kind, the oldest first. */
export function keysByAge(state: State, kind: 'Pod' | 'Node' | 'Vip'): readonly Key[] {
  return [...state.entries(kind)].sort(([, a], [, b]) => olderFirst(a, b)).map(([key]) => key);
}
