import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { raiseNeighbourLimits } from './neighbours.ts';

test('low limits are raised, high ones stay, a host without IPv6 is told about', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ovenbird-neigh-'));
  try {
    const ipv4 = join(dir, 'ipv4/neigh/default');
    mkdirSync(ipv4, { recursive: true });
    for (const [name, value] of [
      ['gc_thresh1', 128],
      ['gc_thresh2', 512],
      ['gc_thresh3', 1_000_000],
    ] as const) {
      writeFileSync(join(ipv4, name), `${value}\n`);
    }
    const notes = raiseNeighbourLimits(dir);
    expect(notes[0]).toBe('ipv4.neigh.default.gc_thresh2 raised from 512 to 32768');
    expect(notes.filter((note) => note.includes('ENOENT'))).toHaveLength(3);
    expect(readFileSync(join(ipv4, 'gc_thresh1'), 'utf8')).toBe('16384');
    expect(readFileSync(join(ipv4, 'gc_thresh3'), 'utf8')).toBe('1000000\n');
    expect(raiseNeighbourLimits(dir).every((note) => note.includes('ENOENT'))).toBe(true);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
