import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Accumulator, type FlowReading } from './accumulator.ts';
import type { Subject } from './count.ts';

const subject: Subject = {
  type: 'rule',
  rule: { kind: 'NetworkPolicy', namespace: 'a', name: 'p', rule: 'ingress/0', direction: 'ingress', action: 'allow' },
  state: 'new',
};

function flow(key: string, packets: number, ageMs: number, more: Partial<FlowReading> = {}): FlowReading {
  const counted = { key: packets === 0 ? '' : key, packets, bytes: packets * 100, ageMs };
  const where = { port: undefined, ports: undefined, datapath: 1 };
  return { ...counted, idleSeconds: undefined, subjects: [subject], ...where, ...more };
}

const at = (ms: number): { readonly startedAt: number; readonly endedAt: number } => ({
  startedAt: ms,
  endedAt: ms + 10,
});

const packetsOf = (accumulator: Accumulator): number => [...accumulator.series][0]?.packets ?? 0;

describe('Accumulator', () => {
  it('begins with what flows have counted so far', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 5, 1000)], at(10_000));
    expect(packetsOf(accumulator)).toBe(5);
  });

  it('sums over flows, and adds what they grew by', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 5, 1000), flow('b', 7, 1000)], at(10_000));
    const growth = accumulator.read([flow('a', 8, 2000), flow('b', 7, 2000)], at(11_000));
    expect(packetsOf(accumulator)).toBe(15);
    expect(growth.map(({ packets, bytes }) => [packets, bytes])).toEqual([[3, 300]]);
  });

  it('goes on counting when a flow begins at 0 again', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 50, 9000)], at(10_000));
    accumulator.read([flow('a', 0, 100)], at(11_000));
    accumulator.read([flow('a', 3, 1100)], at(12_000));
    expect(packetsOf(accumulator)).toBe(53);
  });

  it('sees by its age that a flow is another one that has counted more already', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 50, 9000)], at(10_000));
    accumulator.read([flow('a', 60, 700)], at(11_000));
    expect(packetsOf(accumulator)).toBe(110);
  });

  it('does not count a flow twice that was left out of a reading', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 50, 9000)], at(10_000));
    accumulator.read([], at(11_000));
    accumulator.read([flow('a', 60, 11_000)], at(12_000));
    expect(packetsOf(accumulator)).toBe(60);
  });

  it('keeps apart what is counted at one port and at several', () => {
    const accumulator = new Accumulator();
    const ports = new Set(['1.2', '1.3']);
    accumulator.read([flow('a', 5, 1000, { port: '1.2' }), flow('b', 7, 1000, { ports }), flow('c', 1, 9)], at(10_000));
    const [series] = accumulator.series;
    expect(series?.byPort).toEqual(new Map([['1.2', { packets: 5, bytes: 500 }]]));
    expect(series?.shared).toEqual({ packets: 8, bytes: 800 });
    expect(series?.sharedPorts).toEqual(ports);
    expect(series?.sharedDatapaths).toEqual(new Set([1]));
  });

  it('forgets counters whose flows are long gone, and remembers no flow without packets', () => {
    const accumulator = new Accumulator();
    accumulator.read([flow('a', 5, 1000), flow('b', 0, 1000)], at(0));
    expect(accumulator.flows).toBe(1);
    accumulator.read([], at(3_600_000));
    expect([...accumulator.series]).toEqual([]);
    expect(accumulator.flows).toBe(0);
  });

  it('says when the last packet was', () => {
    const accumulator = new Accumulator();
    accumulator.read(
      [flow('a', 5, 90_000, { idleSeconds: 30 }), flow('b', 5, 90_000, { idleSeconds: 50 })],
      at(90_000),
    );
    expect([...accumulator.series][0]?.lastPacketAt).toBe(60_010);
  });

  it('counts every packet once, whatever is added anew between readings', () => {
    const seed = process.env['SEED'];
    // Of each flow and interval: packets, and whether OVN added the flow anew at the interval's begin.
    const interval = fc.array(fc.record({ packets: fc.nat(20), isNew: fc.boolean() }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(interval, { minLength: 1, maxLength: 20 }), (intervals) => {
        const accumulator = new Accumulator();
        const flows = [0, 1, 2].map(() => ({ packets: 0, addedAt: 0 }));
        let truth = 0;
        intervals.forEach((changes, index) => {
          const begin = index * 1000 + 100;
          const now = (index + 1) * 1000;
          changes.forEach(({ packets, isNew }, which) => {
            const one = flows[which];
            if (one === undefined) return;
            if (isNew) Object.assign(one, { packets: 0, addedAt: begin });
            one.packets += packets;
            truth += packets;
          });
          const readings = flows.map(({ packets, addedAt }, which) => flow(`f${which}`, packets, now + 5 - addedAt));
          accumulator.read(readings, at(now));
        });
        expect(packetsOf(accumulator)).toBe(truth);
      }),
      seed === undefined ? {} : { seed: Number(seed) },
    );
  });
});
