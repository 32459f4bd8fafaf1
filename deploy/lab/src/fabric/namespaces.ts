import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from './run.ts';

const netnsDirectory = '/run/netns';

/** Names of the machine's network namespaces (entries of /run/netns). */
export function listNamespaces(): readonly string[] {
  try {
    return readdirSync(netnsDirectory).sort();
  } catch {
    return []; // no namespace was ever made
  }
}

/** Creates network namespaces, all by one ip(8). */
export async function addNamespaces(names: readonly string[], signal?: AbortSignal): Promise<void> {
  await run(['ip', '-batch', '-'], { input: names.map((name) => `netns add ${name}\n`).join(''), signal });
}

/** Process ids whose network namespace is one of these. Identity is the namespace's inode, not a name in a command line. */
export function processesIn(names: readonly string[]): readonly number[] {
  const inodes = new Set<number>();
  for (const name of names) {
    try {
      inodes.add(statSync(`${netnsDirectory}/${name}`).ino);
    } catch {
      // gone already
    }
  }
  if (inodes.size === 0) return [];
  const found: number[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      if (inodes.has(statSync(`/proc/${entry}/ns/net`).ino)) found.push(Number(entry));
    } catch {
      // ended meanwhile
    }
  }
  return found;
}

/**
 * Removes network namespaces that exist: ends the processes inside (a namespace lives on, without a name, as long as a
 * process is in it), then deletes the names.
 */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const there = new Set(listNamespaces());
  const present = names.filter((name) => there.has(name));
  if (present.length === 0) return;
  for (let round = 0; round < 100; round += 1) {
    const inside = processesIn(present).filter((pid) => !isZombie(pid));
    if (inside.length === 0) break;
    for (const pid of inside) {
      try {
        process.kill(pid, round === 0 ? 'SIGTERM' : 'SIGKILL');
      } catch {
        // ended meanwhile
      }
    }
    await sleep(round === 0 ? 100 : 20);
  }
  await run(['ip', '-force', '-batch', '-'], { input: present.map((name) => `netns delete ${name}\n`).join('') });
}

function isZombie(pid: number): boolean {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, ''));
  } catch {
    return true;
  }
}
