import { describe, expect, test } from 'vitest';
import { Backoff, backoffDelayMs } from './backoff.ts';
import { sleep } from './clock.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { toMicroTime, toTime } from './timestamp.ts';
import { TokenBucket } from './token-bucket.ts';

describe('Backoff', () => {
  test('doubles up to its limit, within half of the delay', () => {
    for (const random of [0, 0.5, 0.999]) {
      const backoff = new Backoff({ initialMs: 100, maxMs: 30_000, random: () => random });
      const delays = Array.from({ length: 12 }, () => backoff.next());
      for (const [attempt, delay] of delays.entries()) {
        const ceiling = Math.min(30_000, 100 * 2 ** attempt);
        expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
        expect(delay).toBeLessThanOrEqual(ceiling);
      }
      backoff.reset();
      expect(backoff.next()).toBeLessThanOrEqual(100);
    }
  });

  test('does not overflow', () => {
    expect(backoffDelayMs(1_000_000, { initialMs: 1, maxMs: 500, random: () => 0 })).toBe(250);
  });
});

describe('TokenBucket', () => {
  test('a burst, then a rate', () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ perSecond: 2, burst: 3, clock });
    expect([1, 2, 3, 4].map(() => bucket.tryTake())).toEqual([true, true, true, false]);
    clock.advance(499);
    expect(bucket.tryTake()).toBe(false);
    clock.advance(1);
    expect(bucket.tryTake()).toBe(true);
    expect([bucket.reserve(), bucket.reserve()]).toEqual([500, 1000]);
    clock.advance(3_600_000);
    expect([1, 2, 3, 4].map(() => bucket.tryTake())).toEqual([true, true, true, false]);
  });
});

describe('sleep', () => {
  test('ends by time or by signal, and leaves nothing behind', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const first = sleep(clock, 100, stop.signal);
    clock.advance(100);
    expect(await first).toBe(true);
    const second = sleep(clock, 100, stop.signal);
    stop.abort();
    expect(await second).toBe(false);
    expect(await sleep(clock, 100, stop.signal)).toBe(false);
    await settle();
    expect(clock.pending).toEqual([]);
  });
});

describe('time stamps', () => {
  test('whole seconds, and six digits', () => {
    expect(toTime(1_700_000_000_999)).toBe('2023-11-14T22:13:20Z');
    expect(toMicroTime(1_700_000_000_009)).toBe('2023-11-14T22:13:20.009000Z');
  });
});
