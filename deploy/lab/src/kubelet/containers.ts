import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '@ovenbird/kube';
import { type LabContainer, type LabPod, timestamp } from '../workloads/objects.ts';
import { containerEnv, type EnvSources, expand } from './env.ts';
import type { ContainerRecord } from './pod-record.ts';
import type { PodServer, ServedPort } from './pod-server.ts';
import { restarts } from './pod-status.ts';
import { type Exit, isAlive, killGroup, startProcess, terminate } from './process.ts';

/** What the containers of a pod need from the rest of the kubelet. */
export interface ContainerContext {
  readonly podServer: Pick<PodServer, 'open' | 'close' | 'waitPid'>;
  readonly clock: Clock;
  /** Ends timers; containers keep running. */
  readonly signal: AbortSignal;
  /** Path of the namespace they run in. */
  readonly netnsPath: string;
  /** Words put before a command, to run it in that namespace. */
  readonly enter: readonly string[];
  /** Directory of the pod's log files. */
  readonly logDir: string;
  readonly sources: EnvSources;
  /** Called after every change of a container's state, once per change. */
  readonly onChange: () => void;
}

/** First delay before a container that ended is started again; a kubelet starts at 10 s, a lab should not. */
const RESTART_MS = { first: 1000, max: 300_000 } as const;

/**
 * The containers of one pod. A container with a command is a process; all without one are answered for by the pod
 * server, which is one process for the whole machine. An init container without a command has nothing to do and is
 * complete at once.
 */
export class PodContainers {
  readonly #pod: LabPod;
  readonly #context: ContainerContext;
  readonly #records = new Map<string, ContainerRecord>();
  /** Containers whose back-off has not passed yet. */
  readonly #held = new Set<string>();
  readonly #exits = new Map<string, Promise<void>>();
  #stopping = false;

  /** @param known records of an earlier kubelet; empty for a new pod */
  constructor(pod: LabPod, known: readonly ContainerRecord[], context: ContainerContext) {
    this.#pod = pod;
    this.#context = context;
    for (const [list, init] of [
      [pod.spec.initContainers ?? [], true],
      [pod.spec.containers, false],
    ] as const) {
      for (const { name } of list) {
        const waiting = { reason: init ? 'PodInitializing' : 'ContainerCreating' };
        const fresh: ContainerRecord = { name, init, state: { waiting }, lastState: {}, restartCount: 0 };
        this.#records.set(name, known.find((record) => record.name === name && record.init === init) ?? fresh);
      }
    }
  }

  /** What to write down and to show. */
  get records(): ContainerRecord[] {
    return [...this.#records.values()];
  }

  /** Whether any container of this pod is a process. */
  get hasProcesses(): boolean {
    return this.#specs().some(({ command }) => (command?.length ?? 0) > 0);
  }

  /** Take over what an earlier kubelet started: ports are served again, processes are watched again. */
  async adopt(): Promise<void> {
    const served = this.#served().filter(({ name }) => this.#get(name).state.running);
    if (served.length > 0) await this.#open(served);
    for (const record of this.records) {
      const { process } = record;
      if (!record.state.running || process === undefined) continue;
      // Its exit code went to init with the old kubelet: the code is then unknown, as a kubelet would say it.
      const unknown = (): void => this.#ended(record.name, { exitCode: 137 }, 'ContainerStatusUnknown');
      if (!isAlive(process)) {
        unknown();
        continue;
      }
      // Rejected when the pod server ends, so when we do: the next kubelet looks again.
      const exited = this.#context.podServer.waitPid(process.pid).then(unknown, () => undefined);
      this.#exits.set(record.name, exited);
    }
  }

  /** Start whatever is due now: init containers one after the other, then all others. Safe to call at any time. */
  async advance(): Promise<void> {
    for (const container of this.#pod.spec.initContainers ?? []) {
      const record = this.#get(container.name);
      if (record.state.terminated?.exitCode === 0) continue;
      if (!record.state.running && this.#mayStart(record)) await this.#start(container, record);
      if (this.#get(container.name).state.terminated?.exitCode !== 0) return;
    }
    const served = this.#served().filter(({ name }) => !this.#get(name).state.running);
    if (served.length > 0 && served.every(({ name }) => this.#mayStart(this.#get(name)))) await this.#serve();
    for (const container of this.#pod.spec.containers) {
      const record = this.#get(container.name);
      if (hasCommand(container) && !record.state.running && this.#mayStart(record))
        await this.#start(container, record);
    }
  }

  /** End everything: SIGTERM, and SIGKILL for what still runs after `graceMs`. Resolves when all have ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await this.#context.podServer.close(this.#id());
    const running = this.records.flatMap((record) => (record.state.running && record.process ? [record.process] : []));
    if (running.length === 0) return;
    const ended = Promise.all(this.#exits.values());
    for (const process of running) terminate(process);
    const over = new AbortController();
    await Promise.race([ended, sleep(this.#context.clock, graceMs, over.signal)]);
    over.abort();
    for (const process of running) killGroup(process);
    await ended;
  }

  #id(): string {
    return this.#pod.metadata.uid ?? '';
  }

  #specs(): LabContainer[] {
    return [...(this.#pod.spec.initContainers ?? []), ...this.#pod.spec.containers];
  }

  #served(): LabContainer[] {
    return this.#pod.spec.containers.filter((container) => !hasCommand(container));
  }

  #get(name: string): ContainerRecord {
    const record = this.#records.get(name);
    if (!record) throw new Error(`pod ${this.#pod.metadata.name} has no container ${name}`);
    return record;
  }

  #set(name: string, change: Partial<ContainerRecord>): void {
    this.#records.set(name, { ...this.#get(name), ...change });
    this.#context.onChange();
  }

  #mayStart(record: ContainerRecord): boolean {
    if (this.#stopping) return false;
    const { terminated } = record.state;
    if (terminated) return false; // waiting for its restart is the state `waiting`
    return !this.#held.has(record.name);
  }

  async #serve(): Promise<void> {
    const containers = this.#served();
    try {
      await this.#open(containers);
    } catch (cause) {
      for (const { name } of containers) this.#later(name, 'RunContainerError', messageOf(cause), 1);
      return;
    }
    for (const { name } of containers) this.#running(name, undefined);
  }

  async #open(containers: readonly LabContainer[]): Promise<void> {
    const ports = containers.flatMap((container) =>
      (container.ports ?? []).map(
        ({ protocol, containerPort }): ServedPort => ({
          protocol: (protocol ?? 'TCP').toLowerCase() as ServedPort['protocol'],
          port: containerPort,
        }),
      ),
    );
    await this.#context.podServer.open(this.#id(), this.#context.netnsPath, this.#pod.metadata.name, ports);
  }

  async #start(container: LabContainer, record: ContainerRecord): Promise<void> {
    if (!hasCommand(container)) {
      this.#running(container.name, undefined);
      this.#ended(container.name, { exitCode: 0 });
      return;
    }
    mkdirSync(this.#context.logDir, { recursive: true, mode: 0o700 });
    try {
      const env = await containerEnv(container, this.#context.sources);
      const words = [...(container.command ?? []), ...(container.args ?? [])].map((word) => expand(word, env));
      const { id, exited } = await startProcess({
        words: [...this.#context.enter, ...words],
        env,
        cwd: container.workingDir ?? '/',
        logFile: join(this.#context.logDir, `${container.name}.log`),
      });
      this.#running(container.name, id);
      this.#exits.set(
        container.name,
        exited.then((exit) => this.#ended(container.name, exit)),
      );
    } catch (cause) {
      appendFileSync(join(this.#context.logDir, `${container.name}.log`), `${messageOf(cause)}\n`);
      this.#later(container.name, 'CreateContainerError', messageOf(cause), record.restartCount + 1);
    }
  }

  #running(name: string, process: ContainerRecord['process']): void {
    const containerId = randomBytes(32).toString('hex');
    const startedAt = timestamp(this.#context.clock.wallMs());
    this.#set(name, { state: { running: { startedAt } }, containerId, process });
  }

  #ended(name: string, exit: Exit, reason?: string): void {
    const { state, containerId, restartCount, process } = this.#get(name);
    if (process) killGroup(process); // with its first process a container ends
    const terminated = {
      ...exit,
      reason: reason ?? (exit.exitCode === 0 ? 'Completed' : 'Error'),
      startedAt: state.running?.startedAt ?? timestamp(this.#context.clock.wallMs()),
      finishedAt: timestamp(this.#context.clock.wallMs()),
      ...(containerId === undefined ? {} : { containerID: `ovenbird-lab://${containerId}` }),
    };
    this.#exits.delete(name);
    this.#records.set(name, { ...this.#get(name), process: undefined });
    const again =
      !this.#stopping && (this.#get(name).init ? exit.exitCode !== 0 : true) && restarts(this.#pod, exit.exitCode);
    if (!again) {
      this.#set(name, { state: { terminated } });
      return;
    }
    this.#records.set(name, { ...this.#get(name), lastState: { terminated }, restartCount: restartCount + 1 });
    this.#later(name, 'CrashLoopBackOff', undefined, restartCount + 1);
  }

  /** Start again after a delay that doubles with every failure. */
  #later(name: string, reason: string, message: string | undefined, failures: number): void {
    const delay = Math.min(RESTART_MS.max, RESTART_MS.first * 2 ** Math.min(failures - 1, 20));
    this.#held.add(name);
    this.#set(name, {
      state: { waiting: { reason, message: message ?? `back-off ${delay / 1000}s restarting container ${name}` } },
    });
    void sleep(this.#context.clock, delay, this.#context.signal).then((full) => {
      this.#held.delete(name);
      if (full && !this.#stopping) this.#context.onChange();
    });
  }
}

function hasCommand(container: LabContainer): boolean {
  return (container.command?.length ?? 0) > 0;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
