import { listNamespaces } from '@ovenbird/deploy';
import { KubeClient, PODS, type Pod, Reflector, Store } from '@ovenbird/kube';
import { expect } from 'vitest';
import { firewalls, settledFirewalls } from './firewalls.ts';
import type { Leftovers, TestLab } from './lab.ts';
import { type NorthboundRows, ourRows, settledRows } from './northbound-rows.ts';
import { isReady, namespace, pod } from './objects.ts';
import { choices } from './random.ts';

/** Longest time for each part of a burst on a busy machine, in milliseconds, and for each of its pods. */
const base = 200_000;
const perPod = 400;
/** Peers that each pod of a burst is asked to reach. */
const peersEach = 5;

/** The state before a burst: what has to be there afterwards, and nothing else. */
interface Before {
  readonly rows: NorthboundRows;
  readonly firewalls: string;
  readonly leftovers: Leftovers;
}

/** Many pods created at once over all nodes, and deleted at once. */
export class Burst implements Disposable {
  readonly #lab: TestLab;
  readonly #pods = new Store<Pod>();
  readonly #stop = new AbortController();
  readonly #before: Before;
  readonly namespace: string;
  readonly names: readonly string[];
  readonly #deadline: number;
  readonly #progress: (line: string) => void;

  private constructor(lab: TestLab, before: Before, space: string, count: number, progress: (line: string) => void) {
    this.#deadline = base + count * perPod;
    this.#progress = progress;
    this.#lab = lab;
    this.#before = before;
    this.namespace = space;
    this.names = Array.from({ length: count }, (_, index) => `p${index}`);
  }

  /** Notes the state before, and makes the namespace. @param progress told of every tenth that is Ready, or gone */
  static async prepare(
    lab: TestLab,
    space: string,
    count: number,
    progress: (line: string) => void = () => undefined,
  ): Promise<Burst> {
    const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
    const before = {
      rows: await settledRows(lab),
      firewalls: await settledFirewalls(lab),
      leftovers: await lab.leftovers(),
    };
    await lab.apply(namespace(space));
    const burst = new Burst(lab, before, space, count, progress);
    // A watch, not polls: a list of hundreds of pods 20 times a second would be the larger part of the load.
    const { signal } = burst.#stop;
    const reflector = new Reflector<Pod>({ client, kind: PODS, namespace: space, sink: burst.#pods, signal });
    reflector.start();
    await reflector.synced;
    return burst;
  }

  #told = 0;

  /** Says how far it is, at every tenth. */
  #tell(what: string, count: number): void {
    const tenth = Math.floor((count * 10) / this.names.length);
    if (tenth <= this.#told) return;
    this.#told = tenth;
    this.#progress(`${what}: ${count} of ${this.names.length}`);
  }

  /** Asks for all pods by one `kubectl apply`. */
  async create(): Promise<void> {
    const { nodes } = this.#lab;
    await this.#lab.apply(
      ...this.names.map((name, index) => pod(this.namespace, name, { node: nodes[index % nodes.length] ?? '' })),
    );
  }

  /** Asks for all pods to be deleted by one `kubectl delete`, and does not wait for them. */
  async delete(): Promise<void> {
    await this.#lab.kubectl(['delete', 'pod', '--all', '-n', this.namespace, '--wait=false']);
  }

  /** The pods as the API server has them now. */
  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  /** How many of them are Ready now. */
  get readyCount(): number {
    return this.pods.filter(isReady).length;
  }

  /** How many of the pods have an interface on their node now. */
  async attached(): Promise<number> {
    const pods = [...(await this.#lab.podNamespaces()).keys()];
    return pods.filter((name) => name.startsWith(`${this.namespace}/`)).length;
  }

  /** Waits until all pods are Ready and returns them. */
  async ready(): Promise<readonly Pod[]> {
    return await this.#lab.waitFor(
      `${this.names.length} pods are Ready`,
      () => {
        const { pods } = this;
        const waiting = pods.filter((one) => !isReady(one));
        this.#tell('Ready', pods.length - waiting.length);
        if (pods.length === this.names.length && waiting.length === 0) return pods;
        const [first] = waiting;
        return `${pods.length - waiting.length} of ${pods.length}; ${first?.metadata.name}: ${JSON.stringify(first?.status)}`;
      },
      this.#deadline,
    );
  }

  /** Every pod has addresses of its own, and reaches both gateways and some random peers over both families. */
  async verify(): Promise<void> {
    const pods = await this.ready();
    const { seed, pick } = choices();
    const addresses = new Map(
      pods.map(({ metadata, status }) => [metadata.name ?? '', (status?.podIPs ?? []).map(({ ip }) => ip ?? '')]),
    );
    const all = [...addresses.values()].flat();
    expect(all).toHaveLength(2 * this.names.length);
    expect(new Set(all).size).toBe(all.length);
    let left = this.names.flatMap((from) => {
      const peers = pick(
        this.names.filter((name) => name !== from),
        peersEach,
      );
      const destinations = ['10.16.0.1', 'fd00:10:16::1', ...peers.flatMap((peer) => addresses.get(peer) ?? [])];
      return destinations.map((destination) => ({ from: `${this.namespace}/${from}`, destination }));
    });
    expect(left).toHaveLength(this.names.length * 2 * (peersEach + 1));
    await this.#lab.waitFor(
      `all pings are answered (SEED=${seed})`,
      async () => {
        const results = await this.#lab.probe(
          left.map((pair) => ({ ...pair, protocol: 'icmp' as const, timeoutMs: 3000 })),
        );
        left = left.filter((_, index) => results[index]?.verdict !== 'open');
        const [first] = left;
        return left.length === 0 || `${left.length} are not, the first ${first?.from} -> ${first?.destination}`;
      },
      this.#deadline,
    );
  }

  /** Waits until every trace of the pods is gone: objects, rows, interfaces, links, firewall elements, namespaces. */
  async gone(): Promise<void> {
    this.#told = 0;
    await this.#lab.waitFor(
      'the pods are gone',
      () => {
        this.#tell('deleted', this.names.length - this.#pods.size);
        return this.#pods.size === 0 || `${this.#pods.size} left`;
      },
      this.#deadline,
    );
    const known = new Set(Object.values(this.#before.leftovers).flat());
    // Cheap to look at, and among the last things that go.
    await this.#lab.waitFor(
      'network namespaces of the pods are gone',
      () => {
        const { podPrefix } = this.#lab.state.namespaces;
        const left = listNamespaces().filter((name) => name.startsWith(`${podPrefix}-`) && !known.has(name));
        return left.length === 0 || `${left.length} left`;
      },
      this.#deadline,
    );
    await this.#lab.waitFor(
      'nothing of the pods is left',
      async () => {
        const left = Object.values(await this.#lab.leftovers()).flatMap((names: readonly string[]) =>
          names.filter((name) => !known.has(name)),
        );
        return left.length === 0 || `${left.length}: ${left.slice(0, 10).join(' ')}`;
      },
      this.#deadline,
    );
    await this.#lab.waitFor(
      'no IP object is left',
      async () => {
        const names = (await this.#lab.kubectl(['get', 'ips', '-o', 'name'])).split('\n');
        const left = names.filter((name) => name.endsWith(`.${this.namespace}`));
        return left.length === 0 || `${left.length}: ${left[0]}`;
      },
      this.#deadline,
    );
    await this.#lab.waitFor(
      'rows and firewalls are as before',
      async () => {
        const rows = this.#before.rows.difference(await ourRows(this.#lab));
        if (rows.length > 0) return rows.join('\n');
        const now = await firewalls(this.#lab);
        return now === this.#before.firewalls || `${this.#before.firewalls}\nbecame\n${now}`;
      },
      this.#deadline,
    );
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
