import { bigintToIp, cidrContains, type Family, ipToBigint } from '@ovenbird/crds';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addressesOf } from './remote-part.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const first = { 4: ipToBigint('10.16.0.0'), 6: ipToBigint('fd00:10:16::') };
const ends = { 4: ['0.0.0.0', '10.15.255.255', '255.255.255.255'], 6: ['::', 'fe80::1', 'ffff::'] };
const remote = {
  4: [['0.0.0.0/0'], ['10.16.0.0/29', '10.16.0.12/30'], ['10.16.0.5/32']],
  6: [['::/0'], ['fd00:10:16::/125', 'fd00:10:16::c/126'], ['fd00:10:16::5/128']],
};

it(`addresses of a part are those of its networks or group that are in none of the others (SEED=${seed})`, () => {
  const members = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.uniqueArray(fc.nat({ max: 17 })));
  fc.assert(
    fc.property(
      fc.constantFrom<Family>(4, 6),
      fc.nat({ max: 2 }),
      members,
      fc.subarray(['a', 'b']),
      fc.option(fc.constant('c'), { nil: undefined }),
      (family, which, groups, without, group) => {
        const part = {
          family,
          remote: remote[family][which] ?? [],
          without,
          ...(group === undefined ? {} : { group }),
        };
        const textOf = (offset: number): string => bigintToIp(first[family] + BigInt(offset), family);
        // Interfaces have addresses of both families.
        const membersOf = (name: string): readonly string[] =>
          (groups[name] ?? []).flatMap((offset) =>
            ([4, 6] as const).map((one) => bigintToIp(first[one] + BigInt(offset), one)),
          );
        const found = addressesOf(part, membersOf);
        expect(found.some((cidr) => cidr.endsWith('/0'))).toBe(false);
        for (const address of [...Array.from({ length: 20 }, (_, offset) => textOf(offset)), ...ends[family]]) {
          const wanted =
            part.remote.some((cidr) => cidrContains(cidr, address)) &&
            (group === undefined || membersOf(group).includes(address)) &&
            !without.some((name) => membersOf(name).includes(address));
          expect(
            found.filter((one) => (one.includes('/') ? cidrContains(one, address) : one === address)).length,
            address,
          ).toBe(wanted ? 1 : 0);
        }
      },
    ),
    { seed, numRuns: 300 },
  );
});
