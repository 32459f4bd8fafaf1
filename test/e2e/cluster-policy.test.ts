import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Case, coveringCases } from '../conformance/network-policy/case.ts';
import { policyApiSuite } from '../conformance/policy-api/suite.ts';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';
import { testPolicyCases } from '../src/policy-cases.ts';

/** The rest is in test/long/cluster-policy.test.ts. */
describe('cluster policies: cases of every tag', () => {
  // Short ones first: of two that show the same, the one with fewer steps is chosen.
  const all = [...policyApiSuite.cases()].sort((a, b) => a.steps.length - b.steps.length);
  const chosen = coveringCases(all, 0, 1);

  it('are chosen', () => {
    const tagsOf = (cases: readonly Case[]): readonly string[] =>
      [...new Set(cases.flatMap(({ tags }) => tags))].sort();
    expect(tagsOf(chosen)).toEqual(tagsOf(all));
  });

  testPolicyCases(chosen, { turns: true, suite: policyApiSuite });
});

const file = new URL('../../deploy/lab/manifests/cluster-network-policies.yaml', import.meta.url);
const definitions = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest);

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

describe('cluster policies', () => {
  const ns = 'cluster-policy';
  const policy = (name: string, spec: object): Manifest => ({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec: { subject: { namespaces: { matchLabels: { 'kubernetes.io/metadata.name': ns } } }, ...spec },
  });
  const closed = policy('closed', {
    tier: 'Admin',
    priority: 1000,
    egress: [{ action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] }],
  });
  let lab: TestLab;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), pod(ns, 'one', { node: 'node-1' }), pod(ns, 'two', { node: 'node-2' }));
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.apply(...definitions);
    await lab.waitFor('the definitions are served', async () => (await isServed()) || 'not yet', 20_000);
    await lab.delete([closed, policy('far', {}), namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const isServed = async (): Promise<boolean> => (await lab.kubectlAny(['get', 'cnp'])).code === 0;
  const acls = async (): Promise<string> =>
    await lab.nbctl('--bare', '--columns=action', 'find', 'ACL', 'external_ids:kind=ClusterNetworkPolicy');
  const conditions = async (name: string): Promise<readonly Condition[]> =>
    (await lab.get<{ status?: { conditions?: readonly Condition[] } }>('cnp', name)).status?.conditions ?? [];

  /** Waits until the first pod reaches the second one, or does not. */
  async function reaches(expected: boolean): Promise<void> {
    const { status } = await lab.get<{ status: { podIP: string } }>('pod', 'two', '-n', ns);
    await lab.waitFor(
      `one ${expected ? 'reaches' : 'does not reach'} two`,
      async () => {
        const failed = (await lab.pingMatrix([`${ns}/one`], [status.podIP], 500)).length > 0;
        return failed !== expected || `it ${failed ? 'does not' : 'does'}`;
      },
      20_000,
    );
  }

  it('are in force as long as their definition is there, which may come and go', async () => {
    await lab.apply(closed);
    await reaches(false);
    await lab.delete(definitions, '--wait=true', '--timeout=60s');
    await reaches(true);
    expect(await acls()).toBe('');
    // A controller that starts without them has all it needs.
    await lab.restartProcess('controller');
    await lab.apply(pod(ns, 'three', { node: 'node-3' }));
    await lab.podsReady(ns);
    await lab.apply(...definitions);
    await lab.waitFor('the definitions are served', async () => (await isServed()) || 'not yet', 20_000);
    await lab.apply(closed);
    await reaches(false);
    await lab.delete([closed]);
    await reaches(true);
  });

  it('say in their status whether they are in force', async () => {
    await lab.apply(closed);
    await lab.waitFor(
      'closed is Ready',
      async () =>
        (await conditions('closed')).some(({ type, status }) => type === 'Ready' && status === 'True') || 'not yet',
      10_000,
    );
    const far = { tier: 'Baseline', egress: [{ action: 'Deny', to: [{ namespaces: {} }] }] };
    await lab.apply(policy('far', { ...far, priority: 87 }));
    const newer = await lab.waitFor(
      'far has the condition NeedsNewerOVN',
      async () => (await conditions('far')).find(({ type }) => type === 'NeedsNewerOVN') ?? 'not yet',
      10_000,
    );
    expect(newer).toMatchObject({ status: 'True', message: 'tier Baseline has room for priorities 0 to 86 here' });
    await lab.apply(policy('far', { ...far, priority: 86 }));
    await lab.waitFor(
      'far is in force',
      async () => ((text) => text === 'NeedsNewerOVN=False Ready=True' || text)(await summary('far')),
      10_000,
    );
    await lab.apply(
      policy('far', { ...far, priority: 86, egress: [{ action: 'Accept', to: [{ domainNames: ['example.com'] }] }] }),
    );
    await lab.waitFor(
      'far is not honoured',
      async () => ((text) => text === 'NeedsNewerOVN=False Ready=False' || text)(await summary('far')),
      10_000,
    );
    const ready = (await conditions('far')).find(({ type }) => type === 'Ready');
    expect(ready).toMatchObject({
      reason: 'RuleNotHonoured',
      message: 'spec.egress[0]: domainNames are not supported: use networks; that part of the rule matches nothing',
    });
    // What changed is told as an event as well, for those who look at no status.
    for (const reason of ['NeedsNewerOVN', 'RuleNotHonoured'])
      await lab.waitFor(
        `an event ${reason}`,
        async () =>
          (await lab.kubectl(['get', 'events', '-A', '--field-selector', `reason=${reason}`])).includes('far') ||
          'not yet',
        10_000,
      );
  });

  const summary = async (name: string): Promise<string> =>
    (await conditions(name))
      .map(({ type, status }) => `${type}=${status}`)
      .sort()
      .join(' ');
});
