import { cidrRange, type Family, ipToBigint, rangeToCidrs } from '@ovenbird/crds';
import type { Box } from './box.ts';

/** Other sides that are in none of some groups. */
export type RemotePart = Pick<Box, 'family' | 'remote' | 'group' | 'without'>;

/**
 * The other sides of a part of a rule, written positively as everything else (docs/decisions/0020): addresses of its group, or
 * networks, without the addresses of those groups.
 * @param membersOf addresses of a group's interfaces
 */
export function addressesOf(
  { family, remote, group, without }: RemotePart,
  membersOf: (group: string) => readonly string[],
): readonly string[] {
  const numbersOf = (name: string): readonly bigint[] =>
    membersOf(name).flatMap((text) => (text.includes(':') === (family === 6) ? [ipToBigint(text)] : []));
  const left = new Set(without.flatMap(numbersOf));
  const ranges = remote.map((cidr) => cidrRange(cidr));
  if (group !== undefined)
    return [...new Set(numbersOf(group))]
      .filter((one) => !left.has(one) && ranges.some(({ first, last }) => first <= one && one <= last))
      .flatMap((one) => rangeToCidrs({ family, first: one, last: one }));
  const holes = [...left].sort((a, b) => (a < b ? -1 : 1));
  return ranges.flatMap(({ first, last }) => {
    const found: string[] = [];
    let from = first;
    for (const hole of holes) {
      if (hole < from || hole > last) continue;
      if (hole > from) found.push(...rangeToCidrs({ family, first: from, last: hole - 1n }));
      from = hole + 1n;
    }
    if (from <= last) found.push(...rangeToCidrs({ family, first: from, last }));
    return found.flatMap((cidr) => halves[family].get(cidr) ?? [cidr]);
  });
}

/** A prefix of no bits is no comparison to OVN. */
const halves: Readonly<Record<Family, ReadonlyMap<string, readonly string[]>>> = {
  4: new Map([['0.0.0.0/0', ['0.0.0.0/1', '128.0.0.0/1']]]),
  6: new Map([['::/0', ['::/1', '8000::/1']]]),
};
