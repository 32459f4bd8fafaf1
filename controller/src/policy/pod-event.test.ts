import type { ClusterPolicyObject } from '@ovenbird/kube';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fence } from '../northbound/fence.ts';
import { Northbound } from '../northbound/northbound.ts';
import type { NbOp } from '../northbound/store.ts';
import { ManualClock } from '../northbound/testing/manual-clock.ts';
import { MemoryStore } from '../northbound/testing/memory-store.ts';
import { projectClusterPolicy, projectNetworkPolicy } from '../store/projections.ts';
import { clusterUid, makeNamespace, makePod, World } from '../testing/world.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A controller's middle whose rows go through the real writer into a database in memory. */
class Controller {
  readonly world: World = World.standard();
  readonly store = new MemoryStore();
  /** Units that were compiled and handed over since {@link forget}. */
  compiled: string[] = [];
  readonly #northbound: Northbound;

  private constructor(fence: Fence, clock: ManualClock, signal: AbortSignal, store: MemoryStore) {
    this.store = store;
    this.#northbound = new Northbound({ store, fence, clock, random: () => 0.5, log: silent });
    this.world.sink.onUnit = (unit, outputs, options) => {
      this.compiled.push(unit);
      this.#northbound.setUnit(unit, outputs, options);
    };
    this.#northbound.start(signal);
  }

  static async start(signal: AbortSignal): Promise<Controller> {
    const [store, clock] = [new MemoryStore(), new ManualClock()];
    const fence = new Fence({ store, clusterUid, identity: 'test', clock });
    await fence.acquire(signal);
    return new Controller(fence, clock, signal, store);
  }

  /** Until everything is in the database. */
  async settle(): Promise<void> {
    await this.world.settle();
    await this.#northbound.idle();
  }

  /** Does something and returns what it came to: units compiled, and per transaction what was done to which table. */
  async costOf(
    change: () => void,
  ): Promise<{ readonly compiled: readonly string[]; readonly transactions: string[][] }> {
    this.compiled = [];
    this.store.commits = [];
    change();
    await this.settle();
    return { compiled: [...new Set(this.compiled)].sort(), transactions: this.store.commits.map(writesOf) };
  }
}

/** What a transaction writes, without its guards. */
const writesOf = (ops: readonly NbOp[]): string[] =>
  ops
    .filter(({ op }) => op === 'insert' || op === 'update' || op === 'mutate' || op === 'delete')
    .map((op) =>
      op.op === 'mutate'
        ? op.mutations.map(([column, how, value]) => `${how} ${String(sizeOf(value))} ${op.table}.${column}`).join(', ')
        : `${op.op} ${op.table}`,
    )
    .sort();

const sizeOf = (value: unknown): number => (Array.isArray(value) ? value.length : 1);

/** Policies of one namespace: on all pods, on those of one label, with peers of its own and of all namespaces. */
function policiesOf(namespace: string): readonly Parameters<typeof projectNetworkPolicy>[0][] {
  const app = { matchLabels: { app: 'web' } };
  return [
    { metadata: { namespace, name: 'deny' }, spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } },
    {
      metadata: { namespace, name: 'web' },
      spec: { podSelector: app, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }] },
    },
    {
      metadata: { namespace, name: 'same-labels' },
      spec: {
        podSelector: { matchLabels: { app: 'client' } },
        egress: [{ to: [{ podSelector: app }, { namespaceSelector: { matchLabels: { team: namespace } } }] }],
      },
    },
  ];
}

describe('an event of a pod', () => {
  let ends: AbortController;
  beforeEach(() => {
    ends = new AbortController();
  });
  afterEach(() => ends.abort());

  it.each([3, 300])(
    'writes its port and its memberships, in one transaction, with policies of %i namespaces',
    async (count) => {
      const controller = await Controller.start(ends.signal);
      const { world } = controller;
      const namespaces = Array.from({ length: count }, (_, index) => `n${index}`);
      for (const name of namespaces) {
        world.set('Namespace', { ...makeNamespace(name), labels: { team: name } });
        for (const policy of policiesOf(name)) world.set('NetworkPolicy', projectNetworkPolicy(policy));
        world.set('Pod', makePod(name, 'first', 'node-1', { labels: { app: 'web' } }));
      }
      await controller.settle();

      const pod = makePod('n1', 'second', 'node-2', { labels: { app: 'web' } });
      const created = await controller.costOf(() => world.set('Pod', pod));
      expect(created.compiled).toEqual(['Pod/n1/second', 'PodAddress/n1/second']);
      expect(created.transactions).toEqual([
        [
          'insert 1 Address_Set.addresses',
          'insert 1 Address_Set.addresses',
          'insert 1 Address_Set.addresses',
          'insert 1 Address_Set.addresses',
          'insert 1 Logical_Switch.ports',
          'insert 1 Port_Group.ports',
          'insert 1 Port_Group.ports',
          'insert 1 Port_Group.ports',
          'insert Logical_Switch_Port',
        ],
      ]);

      // From the policy on `app=web` to the one on `app=client`; as a peer the same way.
      const changed = await controller.costOf(() => world.set('Pod', { ...pod, labels: { app: 'client' } }));
      expect(changed.compiled).toEqual(['Pod/n1/second', 'PodAddress/n1/second']);
      expect(changed.transactions).toEqual([
        [
          'delete 1 Address_Set.addresses',
          'delete 1 Address_Set.addresses',
          'delete 1 Port_Group.ports',
          'insert 1 Address_Set.addresses',
          'insert 1 Address_Set.addresses',
          'insert 1 Port_Group.ports',
        ],
      ]);

      const unrelated = await controller.costOf(() =>
        world.set('Pod', { ...pod, labels: { app: 'client', version: '2' } }),
      );
      expect(unrelated.transactions).toEqual([]);

      const deleted = await controller.costOf(() => world.delete('Pod', 'n1/second'));
      expect(deleted.compiled).toEqual(['Pod/n1/second', 'PodAddress/n1/second']);
      expect(deleted.transactions).toHaveLength(1);
      expect(deleted.transactions[0]?.filter((text) => !text.startsWith('delete'))).toEqual([]);
    },
  );

  it.each([3, 150])('costs the same with %i policies of the whole cluster', async (count) => {
    const controller = await Controller.start(ends.signal);
    const { world } = controller;
    const teamOf = (index: number): object => ({ namespaces: { matchLabels: { team: `n${index % count}` } } });
    for (let index = 0; index < count; index += 1) {
      const name = `n${index}`;
      world.set('Namespace', { ...makeNamespace(name), labels: { team: name } });
      world.set('Pod', makePod(name, 'first', 'node-1'));
      const spec = {
        tier: 'Admin',
        priority: index,
        subject: teamOf(index),
        egress: [
          { action: 'Pass', to: [teamOf(index + 2)], protocols: [{ udp: { destinationPort: { number: 53 } } }] },
          { action: 'Deny', to: [teamOf(index + 1), teamOf(index + 2)] },
        ],
      };
      const policy = { metadata: { name }, spec } as ClusterPolicyObject;
      world.set('ClusterNetworkPolicy', projectClusterPolicy('ClusterNetworkPolicy', policy));
    }
    await controller.settle();

    const created = await controller.costOf(() => world.set('Pod', makePod('n1', 'second', 'node-2')));
    expect(created.compiled).toEqual(['Pod/n1/second', 'PodAddress/n1/second']);
    expect(created.transactions).toEqual([
      [
        // One peer of two policies, in two families.
        'insert 1 Address_Set.addresses',
        'insert 1 Address_Set.addresses',
        'insert 1 Logical_Switch.ports',
        // The node's and the policy's.
        'insert 1 Port_Group.ports',
        'insert 1 Port_Group.ports',
        'insert Logical_Switch_Port',
      ],
    ]);
    const relabelled = await controller.costOf(() =>
      world.set('Namespace', { ...makeNamespace('n1'), labels: { team: 'n2' } }),
    );
    // The pods of the namespace, no policy.
    expect(relabelled.compiled).toEqual([
      'Pod/n1/first',
      'Pod/n1/second',
      'PodAddress/n1/first',
      'PodAddress/n1/second',
    ]);
  });
});
