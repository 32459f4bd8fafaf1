import { describe, expect, it } from 'vitest';
import { check, fuzz, recordedFrames } from './openflow-fuzz.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

describe('OpenFlow frames', () => {
  it('are kept as they were recorded', () => {
    for (const frame of recordedFrames()) expect(check(frame)).toBe('kept');
  });

  it(`are refused or kept when they are damaged, 20,000 of them (SEED=${SEED})`, () => {
    const { refused, kept } = fuzz(20_000, SEED);
    // Both ways must be gone, or the damage is no test.
    expect(refused).toBeGreaterThan(1_000);
    expect(kept).toBeGreaterThan(1_000);
  });
});
