import { describe, expect, it } from 'vitest';
import { Pacer } from './pace.ts';
import { ManualClock } from './testing/manual-clock.ts';

describe('pace of transactions', () => {
  const pace = { units: 8, ms: 50 };

  it('lets a storm wait for company, but neither its first transaction nor a full one', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, pace);
    expect(pacer.rest(100, 500)).toBe(0);
    clock.advance(20);
    expect(pacer.rest(100, 500)).toBe(30);
    expect(pacer.rest(500, 500)).toBe(0);
    clock.advance(49);
    expect(pacer.rest(9, 500)).toBe(1);
    clock.advance(1);
    expect(pacer.rest(9, 500)).toBe(0);
  });

  it('lets nobody wait where few come, nor without a pace', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, pace);
    expect([pacer.rest(1, 500), pacer.rest(8, 500), pacer.rest(8, 500)]).toEqual([0, 0, 0]);
    const unpaced = new Pacer(clock, undefined);
    expect([unpaced.rest(100, 500), unpaced.rest(100, 500)]).toEqual([0, 0]);
  });
});
