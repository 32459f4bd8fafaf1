import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Backoff, isKubeError, sleep } from '@ovenbird/kube';
import type { Logger } from 'pino';
import { isTerminal, LAB_PODS, type LabPod, type LabPodStatus, timestamp } from '../workloads/objects.ts';
import { loadConflist, podAddresses } from './cni.ts';
import type { NodeConfig } from './config.ts';
import { PodContainers } from './containers.ts';
import type { EnvSources } from './env.ts';
import { type NetworkContext, PodNetwork } from './pod-network.ts';
import { netnsName, type PodRecord, type RecordStore } from './pod-record.ts';
import type { PodServer } from './pod-server.ts';
import { podStatus, statusPatch } from './pod-status.ts';
import { killInNamespace } from './process.ts';

/** What all pods of the machine share. */
export interface KubeletContext extends NetworkContext {
  readonly podServer: PodServer;
  readonly records: RecordStore;
  readonly log: Logger;
  /** Ends all workers; pods keep running. */
  readonly signal: AbortSignal;
  readonly stateDir: string;
  readonly podNetnsPrefix: string;
  readonly nodeNames: readonly string[];
  readonly lookup: (namespace: string) => EnvSources['lookup'];
  /** Tells people what hinders a pod; repeated calls with the same text are counted, not repeated. */
  readonly warn: (pod: LabPod, reason: string, message: string) => void;
}

/** A pod as exec and logs see it. */
export interface PodView {
  readonly record: PodRecord;
  readonly pod: LabPod;
  /** Words that put a command into the pod's network namespace. */
  readonly enter: readonly string[];
  readonly logDir: string;
}

const RETRY_MS = { initialMs: 500, maxMs: 15_000 } as const;

/**
 * One pod (one UID) from binding to its end, as a level-triggered loop: every round compares what the API wants with
 * what is recorded, and does what is missing. Events (an update, a container that ended, a delay that passed) only
 * wake it.
 */
export class PodWorker {
  readonly #context: KubeletContext;
  readonly #network: PodNetwork;
  readonly #onDone: () => void;
  readonly #backoff = new Backoff(RETRY_MS);
  #pod: LabPod | undefined;
  #record: PodRecord | undefined;
  #containers: PodContainers | undefined;
  #wake = Promise.withResolvers<void>();
  #setup: AbortController | undefined;
  /** Followers of logs; they are asked after every change of a container. */
  readonly #followers = new Set<() => void>();
  /** Status as the API showed it last, also by the answer to our own patch, which precedes its watch event. */
  #shown: { status: LabPodStatus | undefined; version: number } = { status: undefined, version: -1 };

  /**
   * @param pod the pod as the API has it; undefined when only a record is left of it
   * @param record what an earlier kubelet made for it
   * @param onDone called once, when nothing is left to do for this UID
   */
  constructor(context: KubeletContext, pod: LabPod | undefined, record: PodRecord | undefined, onDone: () => void) {
    this.#context = context;
    this.#network = new PodNetwork(context);
    this.#record = record;
    this.#onDone = onDone;
    if (pod) this.update(pod);
  }

  /** Runs until the pod is gone or the kubelet ends. Never rejects. */
  async run(): Promise<void> {
    const { signal, clock, log } = this.#context;
    if (this.#pod && this.#record?.sandbox === 'ready') {
      this.#network.check(this.#record).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ pod: this.#name(), error: messageOf(error) }, 'CHECK');
      });
    }
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      try {
        if (await this.#sync()) {
          this.#onDone();
          return;
        }
        this.#backoff.reset();
        await this.#wake.promise;
      } catch (error) {
        if (signal.aborted) return;
        const interrupted = this.#setup?.signal.aborted === true;
        this.#setup = undefined;
        if (interrupted) continue; // the pod went away meanwhile: that is no failure
        const delay = this.#backoff.next();
        log.warn({ pod: this.#name(), retryMs: Math.round(delay), error: messageOf(error) }, 'pod');
        await Promise.race([sleep(clock, delay, signal), this.#wake.promise]);
      }
    }
  }

  /** The pod changed, or (undefined) is gone from the API. */
  update(pod: LabPod | undefined): void {
    if (pod) {
      const version = Number(pod.metadata.resourceVersion);
      if (version < this.#shown.version) return; // older than the answer to our own patch; the newer event follows
      this.#shown = { status: pod.status, version };
    }
    this.#pod = pod;
    if (!pod || pod.metadata.deletionTimestamp !== undefined) this.#setup?.abort();
    this.#wake.resolve();
  }

  /** Look again: the kubelet ends, or something outside changed. */
  poke(): void {
    this.#wake.resolve();
  }

  /** What exec and logs need; undefined before anything was made for the pod. */
  get view(): PodView | undefined {
    const [record, pod] = [this.#record, this.#pod];
    if (!record || !pod) return undefined;
    return { record, pod, enter: this.#enter(record), logDir: this.#logDir(record.uid) };
  }

  /** Fires when a container runs no more (or `signal` does): the end of a followed log. */
  whenEnded(container: string, signal: AbortSignal): AbortSignal {
    const ended = new AbortController();
    const look = (): void => {
      const record = this.#containers?.records.find(({ name }) => name === container);
      if (signal.aborted || record?.state.terminated || !this.#record) ended.abort();
      if (ended.signal.aborted) this.#followers.delete(look);
    };
    this.#followers.add(look);
    signal.addEventListener('abort', look, { once: true });
    look();
    return ended.signal;
  }

  /** Something was executed in the pod: look for its leftovers at the end. */
  markRan(): void {
    if (this.#record && !this.#record.ran) this.#write({ ...this.#record, ran: true });
  }

  async #sync(): Promise<boolean> {
    const pod = this.#pod;
    if (!pod || pod.metadata.deletionTimestamp !== undefined) return await this.#terminate(pod);
    if (isTerminal(pod)) {
      // Logs stay until the pod is deleted.
      await this.#containers?.stop(0);
      if (this.#record && this.#record.sandbox !== 'gone') await this.#removeSandbox(this.#record, 'gone');
      return false;
    }
    if (this.#record?.sandbox !== 'ready' && this.#record?.sandbox !== 'gone') await this.#createSandbox(pod);
    await this.#runContainers(pod);
    await this.#report(pod);
    return false;
  }

  async #createSandbox(pod: LabPod): Promise<void> {
    const setup = new AbortController();
    this.#setup = setup;
    const node = this.#node(pod.spec.nodeName ?? '');
    if (this.#record) await this.#removeSandbox(this.#record, 'adding');
    const uid = pod.metadata.uid ?? '';
    const hostNetwork = pod.spec.hostNetwork === true;
    const base = {
      uid,
      namespace: pod.metadata.namespace ?? '',
      name: pod.metadata.name,
      node: node.name,
      hostNetwork,
      containerId: randomBytes(32).toString('hex'),
      netns: hostNetwork ? node.netns : netnsName(this.#context.podNetnsPrefix, uid),
      startTime: this.#record?.startTime ?? timestamp(this.#context.clock.wallMs()),
      containers: [],
      ran: false,
    };
    if (hostNetwork) {
      this.#write({ ...base, sandbox: 'ready' });
      return;
    }
    try {
      const network = loadConflist(node.cniConf);
      const record: PodRecord = { ...base, sandbox: 'adding', network };
      this.#write(record);
      await this.#context.podServer.addNetns(record.netns);
      const result = await this.#network.add(record, node, network, setup.signal);
      if (podAddresses(result).length === 0) throw new Error('the network plugin returned no address for eth0');
      const first: PodRecord = { ...record, result };
      this.#write(first);
      const keep = (made: Partial<PodRecord>): void => this.#write({ ...(this.#record ?? first), ...made });
      await this.#network.addFurther(pod, first, node, keep, setup.signal);
      keep({ sandbox: 'ready' });
    } catch (error) {
      if (!setup.signal.aborted) {
        this.#context.warn(pod, 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${messageOf(error)}`);
      }
      throw error;
    } finally {
      this.#containers = undefined;
    }
  }

  async #runContainers(pod: LabPod): Promise<void> {
    const record = this.#record;
    if (record?.sandbox !== 'ready') return;
    if (!this.#containers) {
      const containers = this.#containersOf(pod, record);
      this.#containers = containers;
      if (containers.hasProcesses) this.markRan();
      await containers.adopt();
    }
    await this.#containers.advance();
    this.#keepContainers();
  }

  /** Show the status, if it differs. A pod that ends gives its network back first: its address may be taken at once. */
  async #report(pod: LabPod): Promise<void> {
    const record = this.#record;
    if (!record) return;
    const node = this.#node(record.node);
    const now = timestamp(this.#context.clock.wallMs());
    const status = podStatus({
      pod: { ...pod, status: this.#shown.status },
      record,
      hostAddresses: node.addresses,
      now,
    });
    let failure: Error | undefined;
    if ((status.phase === 'Succeeded' || status.phase === 'Failed') && record.sandbox !== 'gone') {
      await this.#containers?.stop(0);
      // Not a reason to hide that the pod has ended: it is tried again afterwards.
      await this.#removeSandbox(record, 'gone').catch((error: unknown) => {
        failure = error instanceof Error ? error : new Error(String(error));
      });
    }
    const patch = statusPatch(this.#shown.status, status);
    if (patch) {
      const ref = { namespace: record.namespace, name: record.name };
      try {
        const body = { metadata: { uid: record.uid }, status: patch };
        const answer = await this.#context.client
          .resource(LAB_PODS)
          .patchStatus(ref, body, { fieldManager: 'kubelet' });
        const version = Number(answer.metadata.resourceVersion);
        if (version > this.#shown.version) this.#shown = { status: answer.status, version };
      } catch (error) {
        // Gone, or another incarnation: the watch brings it.
        if (!isKubeError(error, 'not-found', 'conflict')) throw error;
      }
    }
    if (failure) throw failure;
  }

  async #terminate(pod: LabPod | undefined): Promise<boolean> {
    const record = this.#record;
    if (record && record.sandbox !== 'gone') {
      const grace = pod?.metadata.deletionGracePeriodSeconds ?? pod?.spec.terminationGracePeriodSeconds ?? 30;
      const spec = pod ?? podOfRecord(record);
      if (!this.#containers) {
        this.#containers = this.#containersOf(spec, record);
        await this.#containers.adopt();
      }
      await this.#containers.stop(pod ? 1000 * grace : 0);
      await this.#removeSandbox(record, 'gone');
    }
    if (pod) {
      const { name, namespace, uid } = pod.metadata;
      try {
        await this.#context.client.resource(LAB_PODS).delete({ name, namespace }, { uid, gracePeriodSeconds: 0 });
      } catch (error) {
        if (!isKubeError(error, 'not-found', 'conflict')) throw error;
      }
    }
    if (record) {
      this.#context.records.remove(record.uid);
      rmSync(this.#logDir(record.uid), { recursive: true, force: true });
      this.#record = undefined;
    }
    for (const look of this.#followers) look();
    return true;
  }

  /** CNI DEL and the namespace's end; safe to repeat, also after half an ADD. */
  async #removeSandbox(record: PodRecord, after: PodRecord['sandbox']): Promise<void> {
    await this.#context.podServer.close(record.uid);
    if (record.hostNetwork) {
      this.#write({ ...record, ...this.#current(), sandbox: after });
      return;
    }
    if (record.ran) killInNamespace(`/run/netns/${record.netns}`);
    await this.#network.delete(record);
    await this.#context.podServer.deleteNetns(record.netns);
    this.#write({ ...record, ...this.#current(), sandbox: after });
  }

  /** What the variables of the pod's containers refer to; undefined before it has a sandbox. */
  get sources(): EnvSources | undefined {
    const [pod, record] = [this.#pod, this.#record];
    return pod && record ? this.#sourcesOf(pod, record) : undefined;
  }

  #sourcesOf(pod: LabPod, record: PodRecord): EnvSources {
    const node = this.#node(record.node);
    const podIPs = record.hostNetwork ? node.addresses : podAddresses(record.result ?? {});
    return { pod, podIPs, hostIPs: node.addresses, lookup: this.#context.lookup(record.namespace) };
  }

  #containersOf(pod: LabPod, record: PodRecord): PodContainers {
    const { podServer, clock, signal } = this.#context;
    return new PodContainers(pod, record.containers, {
      podServer,
      clock,
      signal,
      netnsPath: `/run/netns/${record.netns}`,
      enter: this.#enter(record),
      logDir: this.#logDir(record.uid),
      sources: this.#sourcesOf(pod, record),
      onChange: () => {
        this.#wake.resolve();
        for (const look of this.#followers) look();
      },
    });
  }

  #current(): Pick<PodRecord, 'containers'> | undefined {
    return this.#containers ? { containers: this.#containers.records } : undefined;
  }

  #keepContainers(): void {
    const record = this.#record;
    const now = this.#current();
    if (!record || !now) return;
    if (JSON.stringify(record.containers) !== JSON.stringify(now.containers)) this.#write({ ...record, ...now });
  }

  #write(record: PodRecord): void {
    this.#context.records.write(record);
    this.#record = record;
  }

  #enter(record: PodRecord): readonly string[] {
    return ['nsenter', `--net=/run/netns/${record.netns}`, '--'];
  }

  #logDir(uid: string): string {
    return join(this.#context.stateDir, 'logs', uid);
  }

  #node(name: string): NodeConfig {
    const node = this.#context.node(name);
    if (!node) throw new Error(`node ${name} is not one of this kubelet's`);
    return node;
  }

  #name(): string {
    const { namespace, name } = this.#pod?.metadata ?? this.#record ?? { namespace: '', name: '' };
    return `${namespace ?? ''}/${name}`;
  }
}

/** Whether a recorded sandbox can be taken over: its ADD succeeded and its namespace is still there. */
export function isHealthy(record: PodRecord): boolean {
  return record.sandbox === 'ready' && existsSync(`/run/netns/${record.netns}`);
}

/** Enough of a pod to stop its recorded containers when the API does not know it any more. */
function podOfRecord(record: PodRecord): LabPod {
  const named = record.containers.map(({ name, init, process }) => ({
    init,
    container: { name, ...(process ? { command: ['unknown'] } : {}) },
  }));
  return {
    metadata: { uid: record.uid, namespace: record.namespace, name: record.name },
    spec: {
      nodeName: record.node,
      restartPolicy: 'Never',
      containers: named.filter(({ init }) => !init).map(({ container }) => container),
      initContainers: named.filter(({ init }) => init).map(({ container }) => container),
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
