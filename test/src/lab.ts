import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import {
  commandEnvironment,
  down,
  kubectlPath,
  type LabOptions,
  type LabState,
  type Layout,
  layoutOf,
  listNamespaces,
  managerOf,
  type Probe,
  type ProbeResult,
  probeAll,
  type RunResult,
  requireState,
  restartProcess,
  run,
  runAny,
  startProcess,
  stopProcess,
  up,
  waitFor,
} from '@ovenbird/deploy';
import type { Pod } from '@ovenbird/kube';
import { ObjectReader } from './object-reader.ts';
import { isReady } from './objects.ts';

/** A Kubernetes object to apply. */
export type Manifest = Readonly<Record<string, unknown>>;

/** Directory of a lab that this run's test files share; set by the e2e project's global set-up, or by hand. */
const sharedVariable = 'OVENBIRD_TEST_LAB';

const standard: LabOptions = { nodes: 3, dualStack: true, fabricOnly: false, keepState: false, without: [] };

/** What {@link TestLab.leftovers} counts: everything that pods leave behind when something forgets to clean up. */
export interface Leftovers {
  /** Names of pods' ports in the northbound database. */
  readonly logicalPorts: readonly string[];
  /** Pods' interfaces in the nodes' Open_vSwitch databases, `<node>/<interface>`. */
  readonly ovsInterfaces: readonly string[];
  /** Host ends of pods' veths, `<node>/<link>`. */
  readonly veths: readonly string[];
  /** Network namespaces of pods. */
  readonly namespaces: readonly string[];
}

/** A running lab in the hands of a test. Dispose of it (`await using`) at the end of the file. */
export class TestLab implements AsyncDisposable {
  readonly state: LabState;
  readonly layout: Layout;
  readonly #objects: ObjectReader;
  readonly #end: () => Promise<void>;

  constructor(directory: string, end: () => Promise<void>) {
    this.state = requireState(directory);
    this.layout = layoutOf(directory);
    this.#objects = new ObjectReader(this.layout.kubeconfig);
    this.#end = end;
  }

  /** Names of the nodes. */
  get nodes(): readonly string[] {
    return this.state.nodes.map((node) => node.name);
  }

  /** Runs kubectl and returns its standard output. @throws LabError `command-failed` with what it said */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return await run(this.#kubectl(args), input === undefined ? {} : { input });
  }

  /** Runs kubectl whatever its exit code. */
  async kubectlAny(args: readonly string[], input?: string): Promise<RunResult> {
    return await runAny(this.#kubectl(args), input === undefined ? {} : { input });
  }

  #kubectl(args: readonly string[]): readonly string[] {
    return [kubectlPath(), `--kubeconfig=${this.layout.kubeconfig}`, ...args];
  }

  /** `kubectl apply` of objects, all in one call. */
  async apply(...objects: readonly Manifest[]): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], list(objects));
  }

  /** `kubectl delete` of objects; those that are gone already are no error. */
  async delete(objects: readonly Manifest[], ...options: readonly string[]): Promise<void> {
    await this.kubectl(['delete', '--ignore-not-found', ...options, '-f', '-'], list(objects));
  }

  /** Reads objects as JSON, as kubectl would: `get<Pod>('pod', 'a', '-n', 'default')`. */
  async get<T>(...args: readonly string[]): Promise<T> {
    const found = await this.#objects.get(args);
    if (found !== undefined) return found as T;
    return JSON.parse(await this.kubectl(['get', ...args, '-o', 'json'])) as T;
  }

  /** ovn-nbctl on the lab's northbound database. */
  async nbctl(...args: readonly string[]): Promise<string> {
    return await run(['ovn-nbctl', `--db=unix:${this.layout.central.northbound}`, '--timeout=30', ...args]);
  }

  /** ovn-sbctl on the lab's southbound database. */
  async sbctl(...args: readonly string[]): Promise<string> {
    return await run(['ovn-sbctl', `--db=unix:${this.layout.central.southbound}`, '--timeout=30', ...args]);
  }

  /** ovs-vsctl on a node. */
  async vsctl(node: string, ...args: readonly string[]): Promise<string> {
    return await run(['ovs-vsctl', `--db=unix:${this.layout.node(node).db}`, '--timeout=30', ...args]);
  }

  /** ovs-appctl on a node's ovs-vswitchd. */
  async appctl(node: string, ...args: readonly string[]): Promise<string> {
    const directory = this.layout.node(node).run;
    const pid = readFileSync(join(directory, 'ovs-vswitchd.pid'), 'utf8').trim();
    return await run(['ovs-appctl', '-t', join(directory, `ovs-vswitchd.${pid}.ctl`), ...args]);
  }

  /** Has every cached flow of the nodes' datapaths made anew from the OpenFlow tables. */
  async clearCaches(): Promise<void> {
    await Promise.all(this.nodes.map(async (node) => await this.appctl(node, 'revalidator/purge')));
  }

  /** Runs a command in a node's network namespace. */
  async onNode(node: string, ...argv: readonly string[]): Promise<string> {
    return await run(argv, { namespace: this.#node(node) });
  }

  /** What the agent of a node says on its read-only socket. */
  async agentStatus<T>(node: string): Promise<T> {
    const { querySocket } = this.layout.node(node);
    return await new Promise<T>((resolve, reject) => {
      get({ socketPath: querySocket, path: '/status' }, (response) => {
        json(response).then((body) => resolve(body as T), reject);
      }).on('error', reject);
    });
  }

  /** Runs a command in the namespace of the fabric, which is outside of the cluster. */
  async outside(...argv: readonly string[]): Promise<string> {
    return await run(argv, { namespace: this.state.namespaces.fabric });
  }

  #node(name: string): string {
    const found = this.state.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}; the lab has ${this.nodes.join(', ')}`);
    return found.namespace;
  }

  /** Runs a command in a pod by `kubectl exec`. */
  async exec(namespace: string, pod: string, ...argv: readonly string[]): Promise<string> {
    return await this.kubectl(['exec', '-n', namespace, pod, '--', ...argv]);
  }

  /**
   * Looks at something until `look` returns neither `undefined`, `false` nor a string; a string says what is missing and
   * is in the error after the deadline.
   * @param deadline milliseconds
   */
  async waitFor<T>(
    describe: string,
    look: () => Promise<T | string | false | undefined> | T | string | false | undefined,
    deadline: number,
  ): Promise<Exclude<T, string | false | undefined>> {
    return await waitFor(describe, look, { deadline, interval: 50 });
  }

  /**
   * {@link waitFor} for what packets do. A flow that Open vSwitch's userspace datapath cached may contradict the OpenFlow tables for as
   * long as packets meet it (docs/decisions/0015-conformance-on-userspace-datapath.md): when packets still do something else after half of the
   * time, the caches are cleared, once, and it is said.
   */
  async waitForPackets(describe: string, look: () => Promise<true | string>, deadline: number): Promise<void> {
    const started = performance.now();
    let cleared = false;
    await this.waitFor(
      describe,
      async () => {
        const seen = await look();
        if (seen !== true && !cleared && performance.now() - started > deadline / 2) {
          cleared = true;
          process.stderr.write(`${describe}: cleared the caches of the datapaths (${seen})\n`);
          await this.clearCaches();
        }
        return seen;
      },
      deadline,
    );
  }

  /** Waits for pods to be Ready: all there are, or those named. @param seconds deadline */
  async podsReady(namespace: string, seconds = 60, ...names: readonly string[]): Promise<void> {
    try {
      await this.waitFor(
        `pods of ${namespace} are Ready`,
        async () => {
          const { items } = await this.get<{ items: Pod[] }>('pods', '-n', namespace);
          const ready = new Map(items.map((pod) => [pod.metadata.name, isReady(pod)]));
          const missing = (names.length > 0 ? names : [...ready.keys()]).filter((name) => ready.get(name) !== true);
          return ready.size > 0 && missing.length === 0 ? true : `not yet: ${missing.join(' ') || 'there is no pod'}`;
        },
        seconds * 1000,
      );
    } catch (error) {
      const pods = await this.kubectlAny(['get', 'pods', '-n', namespace, '-o', 'wide']);
      const events = await this.kubectlAny(['get', 'events', '-n', namespace, '--sort-by=.lastTimestamp']);
      const last = events.stdout.split('\n').slice(-20).join('\n');
      throw new Error(`${(error as Error).message}\n${pods.stdout}\n${last}`, { cause: error });
    }
  }

  /**
   * Network namespaces of pods, by `<namespace>/<pod>`, from the Interfaces' `pod_netns`: what they are attached to now.
   */
  async podNamespaces(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const ids of (await this.#interfaces()).map((entry) => entry.ids)) {
      const netns = ids.get('pod_netns');
      if (netns !== undefined) found.set(`${ids.get('pod_namespace')}/${ids.get('pod_name')}`, netns);
    }
    return found;
  }

  async #interfaces(): Promise<readonly { node: string; name: string; ids: ReadonlyMap<string, string> }[]> {
    const lists = await Promise.all(
      this.nodes.map(async (node) => {
        const text = await this.vsctl(node, '--format=json', '--columns=name,external_ids', 'list', 'Interface');
        const rows = (JSON.parse(text) as { data: [string, ['map', [string, string][]]][] }).data;
        return rows.map(([name, [, pairs]]) => ({ node, name, ids: new Map(pairs) }));
      }),
    );
    return lists.flat();
  }

  /** Asks many probes at once, each from a pod's namespace, named `<namespace>/<pod>` in `from`. */
  async probe(probes: readonly (Omit<Probe, 'netns'> & { readonly from: string })[]): Promise<ProbeResult[]> {
    const netns = await this.podNamespaces();
    return await probeAll(
      probes.map(({ from, ...probe }) => {
        const path = netns.get(from);
        if (path === undefined) throw new Error(`no interface of pod ${from} on any node`);
        return { ...probe, netns: path };
      }),
    );
  }

  /**
   * Pings every destination from every pod named, and returns the pairs that got no answer, as text. One look: wrap it in
   * {@link waitFor} where flows may still be on their way.
   */
  async pingMatrix(from: readonly string[], destinations: readonly string[], timeoutMs = 2000): Promise<string[]> {
    const pairs = from.flatMap((pod) => destinations.map((destination) => ({ pod, destination })));
    const results = await this.probe(
      pairs.map(({ pod, destination }) => ({ from: pod, protocol: 'icmp' as const, destination, timeoutMs })),
    );
    return pairs.flatMap(({ pod, destination }, at) =>
      results[at]?.verdict === 'open' ? [] : [`${pod} -> ${destination}: ${results[at]?.verdict} ${results[at]?.text}`],
    );
  }

  /** What pods have and leave behind; after the last pod is gone all lists must be empty. */
  async leftovers(): Promise<Leftovers> {
    const ports = await this.nbctl(
      '--bare',
      '--columns=name',
      'find',
      'Logical_Switch_Port',
      'external_ids:vendor=ovenbird',
    );
    const links = await Promise.all(
      this.nodes.map(async (node) => {
        const text = await this.onNode(node, 'ip', '-o', 'link', 'show', 'type', 'veth');
        const names = text.split('\n').map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? '');
        return names.filter((name) => /^h[0-9a-f]{12}$/.test(name)).map((name) => `${node}/${name}`);
      }),
    );
    return {
      // Only pods' ports hold a dot: every other port joins its parts with `_` (design, 5).
      logicalPorts: ports.split('\n').filter((name) => name.includes('.')),
      ovsInterfaces: (await this.#interfaces())
        .filter((entry) => entry.ids.has('pod_name'))
        .map((entry) => `${entry.node}/${entry.name}`),
      veths: links.flat(),
      namespaces: listNamespaces().filter((name) => name.startsWith(`${this.state.namespaces.podPrefix}-`)),
    };
  }

  /** Waits until nothing of any pod is left. */
  async nothingLeft(deadline = 30_000): Promise<void> {
    await this.waitFor(
      'nothing of the pods is left',
      async () => {
        const left = await this.leftovers();
        return Object.values(left).every((names: readonly string[]) => names.length === 0)
          ? true
          : JSON.stringify(left);
      },
      deadline,
    );
  }

  /** Acts on one process of the lab: `controller`, `node-1.agent` ... */
  async startProcess(name: string): Promise<void> {
    await startProcess(this.state.directory, name);
  }

  async stopProcess(name: string): Promise<void> {
    await stopProcess(this.state.directory, name);
  }

  async restartProcess(name: string): Promise<void> {
    await restartProcess(this.state.directory, name);
  }

  /** Sends a signal to the process that does the work; see `ovenbird lab kill`. */
  async killProcess(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await managerOf(this.state.directory).kill(name, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#objects[Symbol.asyncDispose]();
    await this.#end();
  }
}

/** A stream of documents, as kubectl reads it (a List would make it ask for OpenAPI v2). */
function list(objects: readonly Manifest[]): string {
  return objects.map((object) => `${JSON.stringify(object)}\n`).join('');
}

/** Progress of a lab goes to stderr only when asked for: a test that passes is quiet. */
function progress(line: string): void {
  if (commandEnvironment()['OVENBIRD_TEST_VERBOSE'] !== undefined) process.stderr.write(`lab: ${line}\n`);
}

/** Starts a lab in a directory of its own and returns the directory. */
async function startLab(options: Partial<LabOptions>): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'ovenbird-lab-'));
  await up(directory, { ...standard, ...options }, progress);
  return directory;
}

async function endLab(directory: string): Promise<void> {
  await down(directory, progress, false);
  rmSync(directory, { recursive: true, force: true });
}

/**
 * A lab for a test file: the one that the run shares, when its options fit, else a lab of its own, which is removed at the
 * end.
 * @param options deviations from three dual-stack nodes; any of them means a lab of its own
 */
export async function openLab(options: Partial<LabOptions> = {}): Promise<TestLab> {
  const shared = process.env[sharedVariable];
  if (shared !== undefined && Object.keys(options).length === 0) return new TestLab(shared, () => Promise.resolve());
  const directory = await startLab(options);
  return new TestLab(directory, () => endLab(directory));
}

/**
 * Global set-up of the e2e project: one lab for all test files of a run.
 * @returns the global tear-down
 */
export async function shareLab(): Promise<() => Promise<void>> {
  if (process.env[sharedVariable] !== undefined) return () => Promise.resolve();
  const directory = await startLab({});
  process.env[sharedVariable] = directory;
  return async () => {
    delete process.env[sharedVariable];
    await endLab(directory);
  };
}
