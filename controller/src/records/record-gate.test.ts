import { describe, expect, it } from 'vitest';
import { ManualClock } from '../northbound/testing/manual-clock.ts';
import { RecordGate } from './record-gate.ts';

describe('RecordGate', () => {
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  function gate(): { clock: ManualClock; gate: RecordGate; finish: () => void; released: string[][] } {
    const clock = new ManualClock();
    const idle = Promise.withResolvers<void>();
    const released: string[][] = [];
    const made = new RecordGate({
      clock,
      announced: () => idle.promise,
      release: (owners) => void released.push([...owners]),
    });
    return { clock, gate: made, finish: () => idle.resolve(), released };
  }

  it('lets records through when the announcements are done, all at once and each only once', async () => {
    const { clock, gate: records, finish, released } = gate();
    for (const owner of ['a', 'b', 'a']) records.add(owner);
    clock.advance(1_000);
    await settle();
    expect(released).toEqual([]);
    records.add('c');
    finish();
    await settle();
    expect(released).toEqual([['a', 'b', 'c']]);
    clock.advance(60_000);
    await settle();
    expect(released).toHaveLength(1);
    records.add('d');
    clock.advance(1_000);
    await settle();
    expect(released.at(-1)).toEqual(['d']);
  });

  it('waits for the end of a burst, also when no announcement is under way for a moment', async () => {
    const { clock, gate: records, finish, released } = gate();
    finish();
    const names = (from: number): string[] => Array.from({ length: 50 }, (_, index) => `pod-${from + index}`);
    for (const from of [0, 50, 100]) {
      for (const owner of names(from)) records.add(owner);
      clock.advance(300);
      await settle();
      expect(released).toEqual([]);
    }
    clock.advance(300);
    await settle();
    expect(released.map((owners) => owners.length)).toEqual([150]);
  });

  it('writes records after a while in a burst without an end', async () => {
    const { clock, gate: records, finish, released } = gate();
    finish();
    for (let index = 0; released.length === 0 && index < 1_000_000; index += 1) {
      records.add(`pod-${index}`);
      clock.advance(1);
      if (index % 50 === 0) await settle();
    }
    expect(released[0]?.length).toBeGreaterThan(1_000);
  });

  it('does not wait for ever for announcements that never end', async () => {
    const { clock, gate: records, released } = gate();
    records.add('a');
    clock.advance(300);
    clock.advance(5_000);
    await settle();
    expect(released).toEqual([['a']]);
  });
});
