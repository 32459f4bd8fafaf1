import { describe, expect, it } from 'vitest';
import { MemoryStore, northboundSchema } from '../../controller/src/northbound/testing/memory-store.ts';
import { assertChanges, type Changing, ladders, seed } from './changing.ts';
import { ClusterBoth, type ClusterChange, clusterChange } from './random-cluster-policies.ts';
import { Both, type Change, change } from './random-policies.ts';
import { GroupsBoth, groupChange } from './random-security-groups.ts';
import { SmallTransactions, verdicts } from './small-transactions.ts';

/** `transaction n of m closes PACKET`: differences that neither `before` nor `now` have. */
function gaps(
  before: ReadonlyMap<string, boolean>,
  between: readonly ReadonlyMap<string, boolean>[],
  now: ReadonlyMap<string, boolean>,
): readonly string[] {
  return between.flatMap((moment, at) =>
    [...now]
      .filter(([packet, verdict]) => before.get(packet) === verdict)
      .filter(([packet, verdict]) => moment.has(packet) && moment.get(packet) !== verdict)
      .map(
        ([packet, verdict]) => `transaction ${at + 1} of ${between.length} ${verdict ? 'closes' : 'opens'} ${packet}`,
      ),
  );
}

/** The second half of the changes happens while no controller runs. */
async function checkRestart<T>(both: Changing<T>, store: MemoryStore, changes: readonly T[]): Promise<void> {
  using first = new SmallTransactions(both.world, store);
  await first.start();
  const half = Math.ceil(changes.length / 2);
  for (const item of changes.slice(0, half)) both.apply(item);
  await first.settle();
  const before = verdicts(first);
  for (const item of changes.slice(half)) both.apply(item);
  using second = await first.successor();
  const between: ReadonlyMap<string, boolean>[] = [];
  store.after = () => between.push(verdicts(second));
  await second.start();
  store.after = () => undefined;
  expect(gaps(before, between, verdicts(second))).toEqual([]);
}

async function check<T>(both: Changing<T>, store: MemoryStore, changes: readonly T[]): Promise<void> {
  using controller = new SmallTransactions(both.world, store);
  await controller.start();
  for (const item of changes) {
    const before = verdicts(controller);
    const between: ReadonlyMap<string, boolean>[] = [];
    store.after = () => between.push(verdicts(controller));
    both.apply(item);
    await controller.settle();
    store.after = () => undefined;
    const wrong = gaps(before, between, verdicts(controller));
    expect(wrong, JSON.stringify(item)).toEqual([]);
  }
  expect(both.disagreements()).toEqual([]);
}

describe(`no transaction opens or closes what the states before and after a change treat alike (SEED=${seed})`, () => {
  it('of NetworkPolicies, pods and namespaces', async () => {
    const extent = { numRuns: 15, minLength: 10, maxLength: 40 };
    await assertChanges(change, extent, (changes) => check(new Both(), new MemoryStore(), changes));
  }, 120_000);

  it('of changes that a controller finds when it starts', async () => {
    await assertChanges(change, { numRuns: 25, minLength: 10, maxLength: 50 }, (changes) =>
      checkRestart(new Both(), new MemoryStore(), changes),
    );
    await assertChanges(clusterChange, { numRuns: 10, minLength: 10, maxLength: 30 }, (changes) =>
      checkRestart(new ClusterBoth(false), new MemoryStore(), changes),
    );
    await assertChanges(groupChange, { numRuns: 5, minLength: 10, maxLength: 20 }, (changes) =>
      checkRestart(new GroupsBoth(false), new MemoryStore(), changes),
    );
  }, 120_000);

  describe.each(ladders)('in %s', (_name, release, tiers) => {
    const store = (): MemoryStore => new MemoryStore(northboundSchema(release));

    it('of cluster policies', async () => {
      const extent = { numRuns: 6, minLength: 10, maxLength: 30 };
      await assertChanges(clusterChange, extent, (changes) => check(new ClusterBoth(tiers), store(), changes));
    }, 120_000);

    it('of SecurityGroups', async () => {
      const extent = { numRuns: 3, minLength: 6, maxLength: 15 };
      await assertChanges(groupChange, extent, (changes) => check(new GroupsBoth(tiers), store(), changes));
    }, 120_000);
  });

  it('of a set that a pod has not been in any of before', async () => {
    const pod = (namespace: string) =>
      ({ type: 'pod', namespace, name: 'a', labels: {}, ports: [], node: 'node-1' }) as const;
    const policy = (spec: object) =>
      ({
        type: 'policy',
        policy: {
          kind: 'ClusterNetworkPolicy',
          metadata: { name: 'b' },
          spec: { subject: { namespaces: {} }, priority: 0, tier: 'Admin', ...spec },
        },
      }) as const;
    const toNetworks = { action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] };
    const fromLabelled = { action: 'Accept', from: [{ namespaces: { matchLabels: { app: 'db' } } }] };
    const changes: readonly ClusterChange[] = [
      pod('x'),
      { type: 'namespace', namespace: 'x', labels: { app: 'db' } },
      pod('y'),
      policy({ ingress: [fromLabelled], egress: [toNetworks] }),
      policy({ egress: [{ action: 'Deny', to: [{ namespaces: {} }] }] }),
    ];
    await check(new ClusterBoth(false), new MemoryStore(northboundSchema('23.03')), changes);
  });

  it('of pods and a policy that came together while no controller ran', async () => {
    const pod = (namespace: string) =>
      ({
        ...({ type: 'pod', namespace, name: 'a', labels: {}, ports: [], node: 'node-1' } as const),
        ...{ hostNetwork: false, finished: false, address: '', island: false },
      }) as const;
    const labelled = { namespaceSelector: { matchExpressions: [{ key: 'app', operator: 'Exists' as const }] } };
    const spec = { podSelector: {}, egress: [{ to: [labelled] }] };
    const before: readonly Change[] = [1, 2, 3, 4].map(() => ({ type: 'no node', name: 'node-1' }));
    const since: readonly Change[] = [
      pod('x'),
      { type: 'policy', namespace: 'x', name: 'a', spec },
      pod('y'),
      { type: 'no node', name: 'node-1' },
    ];
    await checkRestart(new Both(), new MemoryStore(), [...before, ...since]);
  });
});
