import { expect, it } from 'vitest';
import { fuzz } from '../src/openflow-fuzz.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const ROUNDS = 10;
const FRAMES = 100_000;
const MB = 1024 * 1024;

it(`a million damaged OpenFlow frames neither crash nor fill the memory (SEED=${SEED})`, () => {
  let kept = 0;
  for (let round = 0; round < ROUNDS; round += 1) kept += fuzz(FRAMES, SEED + round).kept;
  expect(kept).toBeGreaterThan(10_000);
  // Nothing may be held: what is decoded is garbage when the next frame comes.
  expect(process.memoryUsage().heapUsed / MB).toBeLessThan(512);
});
