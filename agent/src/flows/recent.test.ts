import { describe, expect, it } from 'vitest';
import type { Growth, Series } from './accumulator.ts';
import { Recent } from './recent.ts';

const series: Series = {
  subject: { type: 'established', network: 'n', direction: 'ingress' },
  packets: 0,
  bytes: 0,
  byPort: new Map(),
  shared: { packets: 0, bytes: 0 },
  sharedPorts: new Set(),
  sharedDatapaths: new Set(),
  lastPacketAt: undefined,
  seenAt: 0,
};
const grown = (packets: number, port?: string): Growth => ({ series, port, packets, bytes: packets * 10 });

describe('Recent', () => {
  it('takes the first sample as the beginning: what was before has no time', () => {
    const recent = new Recent();
    expect(recent.since).toBeUndefined();
    recent.push(1000, [grown(500)]);
    expect(recent.since).toBe(1000);
    expect(recent.growth().size).toBe(0);
  });

  it('sums by counter and port', () => {
    const recent = new Recent();
    recent.push(0, []);
    recent.push(5000, [grown(1), grown(2, '1.2')]);
    recent.push(10_000, [grown(3), grown(4, '1.2')]);
    expect(recent.growth().get(series)).toEqual(
      new Map([
        [undefined, { packets: 4, bytes: 40 }],
        ['1.2', { packets: 6, bytes: 60 }],
      ]),
    );
  });

  it('drops what is older than a minute, and says since when it counts', () => {
    const recent = new Recent();
    for (let second = 0; second <= 200; second += 10) recent.push(second * 1000, [grown(1)]);
    expect(recent.since).toBe(140_000);
    expect(recent.growth().get(series)?.get(undefined)?.packets).toBe(6);
  });

  it('says so when nobody asked for longer', () => {
    const recent = new Recent();
    recent.push(0, []);
    recent.push(600_000, [grown(9)]);
    expect(recent.since).toBe(0);
    expect(recent.growth().get(series)?.get(undefined)?.packets).toBe(9);
  });
});
