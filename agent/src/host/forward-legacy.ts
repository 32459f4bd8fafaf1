import { readFileSync } from 'node:fs';
import type { ForwardingReport } from './forward.ts';
import { HOST_PORT } from './ovn0.ts';
import { run, runRaw } from './run.ts';

/** The two programs of the older iptables, and where the kernel says which tables they use in this namespace. */
const VARIANTS = [
  { program: 'iptables-legacy', tables: '/proc/self/net/ip_tables_names' },
  { program: 'ip6tables-legacy', tables: '/proc/self/net/ip6_tables_names' },
] as const;

/** Asking for a table that is not in use would load it, so the kernel is asked first. */
function usesFilterTable(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').split('\n').includes('filter');
  } catch {
    return false;
  }
}

/** Whether `iptables -S FORWARD` shows a chain that drops what no rule accepts. */
export function dropsForwarded(listing: string): boolean {
  return /^(-P FORWARD DROP|-A FORWARD -j (DROP|REJECT)( .*)?)$/m.test(listing);
}

const acceptRule = (direction: '-i' | '-o'): readonly string[] => [
  'FORWARD',
  direction,
  HOST_PORT,
  '-m',
  'comment',
  '--comment',
  'ovenbird',
  '-j',
  'ACCEPT',
];

/**
 * The same for the older iptables (`iptables-legacy`, Docker on older systems), whose chains nftables does not show and
 * does not report changes of.
 * @throws AgentError `host-command` when a rule cannot be added
 */
export async function openLegacyForwarding(): Promise<ForwardingReport> {
  const opened: string[] = [];
  const blocking: string[] = [];
  for (const { program, tables } of VARIANTS) {
    if (!usesFilterTable(tables)) continue;
    const listing = await runRaw(program, ['-w', '-S', 'FORWARD']).catch(() => undefined);
    if (listing?.status !== 0) {
      blocking.push(
        `this node has tables of the older iptables (${tables}) and no ${program} to look at them; if their FORWARD chain drops, let ${HOST_PORT} through`,
      );
      continue;
    }
    if (!dropsForwarded(listing.stdout)) continue;
    for (const direction of ['-i', '-o'] as const) {
      const present = await runRaw(program, ['-w', '-C', ...acceptRule(direction)]);
      if (present.status !== 0) await run(program, ['-w', '-I', ...acceptRule(direction)]);
    }
    opened.push(`${program} FORWARD`);
  }
  return { opened, blocking };
}
