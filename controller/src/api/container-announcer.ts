import { type IP, IPS, ipObject } from '@ovenbird/crds';
import { KubeError, type Requester, Resource, systemClock, toTime, WorkQueue, type WorkReport } from '@ovenbird/kube';
import { containerAnnouncement } from '../pod/announcement.ts';
import type { IpRecord, Key } from '../store/model.ts';
import type { State } from '../store/state.ts';

export interface ContainerAnnouncerOptions {
  readonly client: Requester;
  readonly state: State;
  readonly signal: AbortSignal;
  readonly onReport?: (report: WorkReport<string>) => void;
}

interface Refusal {
  readonly uid: string;
  readonly reason: string;
  readonly message: string;
}

/**
 * Writes what was decided for containers outside of Kubernetes into their IP objects: the address into the spec, for
 * people, and the announcement into annotations, for the agent; or, as condition `Ready=False`, why there is none.
 */
export class ContainerAnnouncer {
  readonly #options: ContainerAnnouncerOptions;
  readonly #queue: WorkQueue<string>;
  readonly #refusals = new Map<Key, Refusal>();

  constructor(options: ContainerAnnouncerOptions) {
    this.#options = options;
    this.#queue = new WorkQueue<string>({
      process: ({ key, signal }) => this.#write(key, signal),
      concurrency: 8,
      signal: options.signal,
      ...(options.onReport === undefined ? {} : { onReport: options.onReport }),
    });
    this.#queue.start();
  }

  announce(name: Key): void {
    this.#refusals.delete(name);
    this.#queue.add(name);
  }

  refuse(name: Key, reason: string, message: string): void {
    const uid = this.#options.state.get('IpRecord', name)?.uid;
    if (uid === undefined) return;
    this.#refusals.set(name, { uid, reason, message });
    this.#queue.add(name);
  }

  async #write(name: Key, signal: AbortSignal): Promise<void> {
    const { state } = this.#options;
    const record = state.get('IpRecord', name);
    const refusal = this.#refusals.get(name);
    this.#refusals.delete(name);
    if (record === undefined) return;
    try {
      if (refusal?.uid === record.uid) await this.#patchCondition(name, refusal, signal);
      else await this.#patchAnnouncement(name, signal);
    } catch (error) {
      // Gone, or another incarnation of the name: the watch brings it.
      if (error instanceof KubeError && (error.code === 'not-found' || error.code === 'conflict')) return;
      if (refusal !== undefined) this.#refusals.set(name, refusal);
      throw error;
    }
  }

  async #patchAnnouncement(name: Key, signal: AbortSignal): Promise<void> {
    const { state, client } = this.#options;
    const record = state.get('IpRecord', name);
    const address = state.get('AttachmentAddress', name);
    const subnet = address === undefined ? undefined : state.get('UsableSubnet', address.subnet);
    if (address?.committed !== true || subnet === undefined || address.uid !== record?.uid) return;
    const annotations = containerAnnouncement(name, address, subnet);
    if (Object.entries(annotations).every(([key, value]) => record.annotations?.[key] === value)) return;
    const patch = {
      metadata: { uid: address.uid, annotations, labels: { [ipObject.subnet]: address.subnet } },
      spec: {
        ipAddress: [address.v4, address.v6].filter((text) => text !== undefined).join(','),
        v4IpAddress: address.v4 ?? '',
        v6IpAddress: address.v6 ?? '',
        macAddress: address.mac,
      },
      status: readyStatus(record, 'True', 'InUse', `a container of node ${address.node} has it, on ${address.ifname}`),
    };
    await new Resource<IP>(client, IPS).patch({ name }, patch, { signal });
  }

  async #patchCondition(name: Key, { uid, reason, message }: Refusal, signal: AbortSignal): Promise<void> {
    const record = this.#options.state.get('IpRecord', name);
    const patch = { metadata: { uid }, status: readyStatus(record, 'False', reason, message) };
    await new Resource<IP>(this.#options.client, IPS).patchStatus({ name }, patch, { signal });
  }
}

/** The status of an object whose next generation this write makes. */
function readyStatus(
  record: IpRecord | undefined,
  status: 'True' | 'False',
  reason: string,
  message: string,
): NonNullable<IP['status']> {
  const lastTransitionTime = toTime(systemClock.wallMs());
  const observedGeneration = (record?.generation ?? 0) + 1;
  return { conditions: [{ type: 'Ready', status, observedGeneration, lastTransitionTime, reason, message }] };
}
