import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OpenFlowError } from './error.ts';
import { rangeMasks } from './ranges.ts';
import { SEED } from './test-support.ts';

it('makes one mask of an aligned block', () => {
  expect(rangeMasks('tcp_dst', 0, 0xffff)).toEqual([[0, 0]]);
  expect(rangeMasks('tcp_dst', 1024, 2047)).toEqual([[1024, 0xfc00]]);
  expect(rangeMasks('tcp_dst', 80, 80)).toEqual([[80, 0xffff]]);
});

it('begins at zero as anywhere else', () => {
  expect(rangeMasks('tcp_dst', 0, 2)).toEqual([
    [0, 0xfffe],
    [2, 0xffff],
  ]);
  expect(rangeMasks('tcp_dst', 0, 0)).toEqual([[0, 0xffff]]);
});

it('takes 128 bits', () => {
  expect(rangeMasks('ipv6_src', 1n, 2n ** 128n - 1n)).toHaveLength(128);
});

it(`covers just the range, with the fewest masks (SEED=${SEED})`, () => {
  const byte = fc.nat(0xffff);
  fc.assert(
    fc.property(byte, byte, (a, b) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      const masks = rangeMasks('udp_src', low, high);
      expect(masks.length).toBeLessThanOrEqual(30);
      let next = low;
      for (const [value, mask] of masks) {
        expect(value).toBe(next);
        next = Number(value) + (0xffff ^ Number(mask)) + 1;
      }
      expect(next).toBe(high + 1);
      // No two neighbours are the halves of one larger block.
      masks.slice(1).forEach(([value, mask], place) => {
        const before = masks[place];
        const half = before?.[1] === mask && (Number(before[0]) & ((0x1_0000 - Number(mask)) * 2 - 1)) === 0;
        expect(half && Number(value) - Number(before[0]) === 0x1_0000 - Number(mask)).toBe(false);
      });
    }),
    { seed: SEED, numRuns: 500 },
  );
});

it('refuses empty ranges and values that do not fit', () => {
  expect(() => rangeMasks('tcp_dst', 2, 1)).toThrow(OpenFlowError);
  expect(() => rangeMasks('tcp_dst', 0, 0x1_0000)).toThrow(/does not fit tcp_dst/);
  expect(() => rangeMasks('nw_proto', 0, 1)).toThrow(/takes no mask/);
});
