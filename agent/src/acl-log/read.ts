import { open } from 'node:fs/promises';
import { announcement } from '@ovenbird/crds';
import type { Pod } from '@ovenbird/kube';
import { readInterfaces } from '../pod/interfaces.ts';
import { type AclLogEnd, type AclLogEntry, parseAclLog } from './entry.ts';

/** How much of the end of the log is read, bytes: about 10,000 entries. */
const reach = 4 << 20;

/**
 * The last entries of ovn-controller's log, oldest first. The log is read when somebody asks: following it all the time would
 * cost a node that nobody looks at.
 * @param path the log; one that does not exist has no entries
 * @param pods of this node, whose interfaces are told by MAC and address together: VPCs may share addresses
 */
export async function readAclLog(
  path: string,
  options: {
    readonly node: string;
    readonly pods: readonly Pod[];
    /** Of `namespace/name`; all when absent. */
    readonly pod?: string;
    readonly limit: number;
  },
): Promise<readonly AclLogEntry[]> {
  const owners = ownersOf(options.pods);
  const named = (end: AclLogEnd): AclLogEnd => {
    const pod = owners.get(`${end.mac} ${end.address ?? ''}`);
    return pod === undefined ? end : { ...end, pod };
  };
  const entries: AclLogEntry[] = [];
  for (const line of (await tail(path)).split('\n').reverse()) {
    if (entries.length >= options.limit) break;
    const entry = parseAclLog(line, options.node);
    if (entry === undefined) continue;
    const whole = { ...entry, source: named(entry.source), destination: named(entry.destination) };
    if (options.pod === undefined || [whole.source.pod, whole.destination.pod].includes(options.pod))
      entries.push(whole);
  }
  return entries.reverse();
}

/** Pods by `MAC address` of each of their interfaces. */
function ownersOf(pods: readonly Pod[]): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const { metadata } of pods) {
    const pod = `${metadata.namespace ?? ''}/${metadata.name}`;
    const annotations = metadata.annotations ?? {};
    const mac = annotations[announcement.macAddress];
    for (const address of (annotations[announcement.ipAddress] ?? '').split(',')) owners.set(`${mac} ${address}`, pod);
    for (const { mac: own, addresses = [] } of readInterfaces(annotations))
      for (const { address } of addresses) owners.set(`${own ?? ''} ${address}`, pod);
  }
  return owners;
}

async function tail(path: string): Promise<string> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, reach);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
