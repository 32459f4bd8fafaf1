import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cookieFilter, decodeCookie, encodeCookie, nextRound } from './cookie.ts';
import { OpenFlowError } from './error.ts';
import { SEED } from './test-support.ts';

it(`takes cookies apart as it puts them together (SEED=${SEED})`, () => {
  fc.assert(
    fc.property(fc.nat(0xffff), fc.integer({ min: 1, max: 255 }), fc.nat(0xffff_ffff), (round, category, object) => {
      const cookie = encodeCookie({ round, category, object });
      expect(decodeCookie(cookie)).toEqual({ round, category, object });
      for (const filter of [{ category }, { round, category }, { object }, { round }, {}]) {
        const chosen = cookieFilter(filter);
        expect(cookie & chosen.cookieMask).toBe(chosen.cookie);
      }
    }),
    { seed: SEED },
  );
});

it('has places for round, category and object', () => {
  expect(encodeCookie({ round: 0x1234, category: 0x56, object: 0x789a_bcde })).toBe(0x1234_5600_789a_bcden);
  expect(cookieFilter({ category: 5 })).toEqual({ cookie: 0x0500_0000_0000n, cookieMask: 0xffff_0000_0000n });
});

it("knows other people's cookies", () => {
  expect(decodeCookie(0n)).toBeUndefined();
  expect(decodeCookie(0xdeff105n)).toBeUndefined(); // 32 bits, as of ovn-controller and ovn-kubernetes
  expect(decodeCookie(0x1234_5678_789a_bcden)).toBeUndefined();
});

it('refuses what does not fit', () => {
  for (const bad of [{ round: 0x1_0000 }, { category: 0 }, { category: 256 }, { object: -1 }, { object: 1.5 }]) {
    expect(() => encodeCookie({ round: 0, category: 1, object: 0, ...bad })).toThrow(OpenFlowError);
  }
});

it('counts rounds, and wraps without 0', () => {
  expect([nextRound(undefined), nextRound(0), nextRound(1), nextRound(0xffff)]).toEqual([1, 1, 2, 1]);
});
