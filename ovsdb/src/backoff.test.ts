import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff, shuffled } from './backoff.ts';
import { seeded } from './test-support.ts';

const middle = (): number => 0.5;

describe('Backoff', () => {
  it('grows from 100 ms over 1 s to 8 s', () => {
    const backoff = new Backoff(1, middle);
    expect(Array.from({ length: 7 }, () => backoff.next(undefined))).toEqual([100, 1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('tries the other remotes at once and waits between rounds', () => {
    const backoff = new Backoff(3, middle);
    expect(Array.from({ length: 9 }, () => backoff.next(undefined))).toEqual([0, 0, 100, 0, 0, 1000, 0, 0, 2000]);
  });

  it('starts over after a session that held longer than the last wait, and only then', () => {
    const backoff = new Backoff(1, middle);
    for (let i = 0; i < 4; i += 1) {
      backoff.next(undefined);
    }
    expect(backoff.next(3_999)).toBe(8_000);
    expect(backoff.next(8_001)).toBe(100);
    expect(backoff.next(undefined)).toBe(100);
    expect(backoff.next(undefined)).toBe(1_000);
  });

  it('spreads by a quarter both ways', () => {
    expect(new Backoff(1, () => 0).next(undefined)).toBe(75);
    expect(new Backoff(1, () => 0.999).next(undefined)).toBe(125);
  });
});

describe('shuffled', () => {
  it('keeps every remote once, and knows every order', () => {
    const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 8,
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 8 }), draws, (list, numbers) => {
        let i = 0;
        const out = shuffled(list, () => numbers[i++] ?? 0);
        expect(out.toSorted()).toEqual(list.toSorted());
      }),
      seeded(100),
    );
    const orders = new Set<string>();
    for (const a of [0, 0.4, 0.7]) {
      for (const b of [0, 0.5]) {
        const numbers = [a, b, 0];
        orders.add(shuffled(['x', 'y', 'z'], () => numbers.shift() ?? 0).join(''));
      }
    }
    expect(orders.size).toBe(6);
  });
});
