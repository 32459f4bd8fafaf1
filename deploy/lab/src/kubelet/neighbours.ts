import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Entries that the kernel keeps at least, tries to stay under, and never exceeds (ip-sysctl: neigh/default/gc_thresh*).
 * The tables are one per machine, shared by all network namespaces: with the default limit of 1024, 200 pods that talk
 * to five peers each get ENOBUFS (IPv6: EINVAL), which looks like a broken network.
 */
const LIMITS = { gc_thresh3: 65_536, gc_thresh2: 32_768, gc_thresh1: 16_384 } as const;

/** Raises the machine's neighbour table limits where they are lower. @returns what was changed, or could not be */
export function raiseNeighbourLimits(directory = '/proc/sys/net'): string[] {
  const notes: string[] = [];
  for (const family of ['ipv4', 'ipv6']) {
    for (const [name, wanted] of Object.entries(LIMITS)) {
      const path = `${directory}/${family}/neigh/default/${name}`;
      try {
        const present = Number(readFileSync(path, 'utf8'));
        if (present >= wanted) continue;
        writeFileSync(path, String(wanted));
        notes.push(`${family}.neigh.default.${name} raised from ${present} to ${wanted}`);
      } catch (cause) {
        notes.push(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
  }
  return notes;
}
