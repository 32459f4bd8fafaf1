import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerState } from '../workloads/objects.ts';
import type { CniResult, NetworkList } from './cni.ts';

/** A container of a pod, as far as a restarted kubelet must know it. */
export interface ContainerRecord {
  readonly name: string;
  readonly init: boolean;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
  readonly restartCount: number;
  /** Random, new with every start; also part of the status. */
  readonly containerId?: string | undefined;
  /** Process of a container with a command; `startTicks` tells it from a later process of the same number. */
  readonly process?: { readonly pid: number; readonly startTicks: string } | undefined;
}

/** A network that a pod is attached to beside the cluster's own, and how. */
export interface FurtherNetwork {
  readonly ifname: string;
  readonly network: NetworkList;
  readonly runtimeConfig: Readonly<Record<string, unknown>>;
  /** What Multus adds to CNI_ARGS. */
  readonly multus: readonly string[];
  /** Where its default routes go (`default-route`); empty: it gets none by this. */
  readonly gateways: readonly string[];
  readonly result?: CniResult | undefined;
}

/**
 * What the kubelet has made for one pod. It is written before anything is made, so whatever a dead kubelet left can be
 * found by name and removed.
 */
export interface PodRecord {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly hostNetwork: boolean;
  /** CNI_CONTAINERID; a new one for every attempt. */
  readonly containerId: string;
  /** Name below /run/netns; the node's own for hostNetwork pods. */
  readonly netns: string;
  /** `ready` after ADD succeeded; a sandbox found in any other state is removed. */
  readonly sandbox: 'adding' | 'ready' | 'gone';
  /** The list ADD was called with: DEL must get the same one. */
  readonly network?: NetworkList | undefined;
  readonly result?: CniResult | undefined;
  /** Further interfaces, in the order of their ADD; each is recorded before it. */
  readonly further?: readonly FurtherNetwork[] | undefined;
  readonly startTime: string;
  readonly containers: readonly ContainerRecord[];
  /** Something was executed in the namespace (a command or kubectl exec): sweep it at the end. */
  readonly ran: boolean;
}

/** Network namespace of a pod: `<prefix>-<12 hex of a hash of the UID>`. */
export function netnsName(prefix: string, uid: string): string {
  return `${prefix}-${createHash('sha256').update(uid).digest('hex').slice(0, 12)}`;
}

/** The pods' records, one file each, in memory-like storage: written with a rename, never half. */
export class RecordStore {
  readonly #dir: string;

  /** @param stateDir its subdirectory `pods` is made */
  constructor(stateDir: string) {
    this.#dir = join(stateDir, 'pods');
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
  }

  /** All records; files that cannot be read are reported and skipped. */
  load(report: (problem: string) => void): PodRecord[] {
    const records: PodRecord[] = [];
    for (const name of readdirSync(this.#dir)) {
      if (!name.endsWith('.json')) continue;
      const path = join(this.#dir, name);
      try {
        records.push(JSON.parse(readFileSync(path, 'utf8')) as PodRecord);
      } catch (cause) {
        report(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
    return records;
  }

  write(record: PodRecord): void {
    const path = this.#path(record.uid);
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  remove(uid: string): void {
    rmSync(this.#path(uid), { force: true });
  }

  #path(uid: string): string {
    return join(this.#dir, `${uid}.json`);
  }
}
