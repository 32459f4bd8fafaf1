import { describe, expect, it } from 'vitest';
import { Pacer } from './pace.ts';
import { ManualClock } from './testing/manual-clock.ts';

describe('pace of transactions', () => {
  const pace = { units: 8, ms: 100, quietMs: 10 };

  it('lets a storm wait for company, but neither its first transaction nor a full one', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, pace);
    expect(pacer.rest(100, 500)).toBe(0);
    clock.advance(20);
    expect(pacer.rest(100, 500)).toBe(10);
    clock.advance(75);
    expect(pacer.rest(130, 500)).toBe(5);
    clock.advance(5);
    expect(pacer.rest(140, 500)).toBe(0);
    expect(pacer.rest(100, 500)).toBe(10);
    expect(pacer.rest(500, 500)).toBe(0);
  });

  it('goes on when nothing came meanwhile', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, pace);
    expect([pacer.rest(1, 500), pacer.rest(20, 500)]).toEqual([0, 10]);
    clock.advance(10);
    expect(pacer.rest(21, 500)).toBe(10);
    clock.advance(10);
    expect([pacer.rest(21, 500), pacer.rest(21, 500)]).toEqual([0, 10]);
  });

  it('lets nobody wait where few come, nor without a pace', () => {
    const clock = new ManualClock();
    const pacer = new Pacer(clock, pace);
    expect([pacer.rest(1, 500), pacer.rest(8, 500), pacer.rest(8, 500)]).toEqual([0, 0, 0]);
    const unpaced = new Pacer(clock, undefined);
    expect([unpaced.rest(100, 500), unpaced.rest(100, 500)]).toEqual([0, 0]);
  });
});
