import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';
import type { Flow } from '../src/pod-streams.ts';
import { PolicyPackets } from '../src/policy-packets.ts';

/**
 * Numbered packets while policies of the whole cluster are rewritten and daemons restarted: what every version lets through
 * is never closed for a moment, and what every version denies never opened.
 */
describe('changes of cluster policies', () => {
  const ns = 'cluster-changes';
  const nodeOf = { server: 'node-1', client: 'node-2', stranger: 'node-3', neighbour: 'node-1' } as const;
  const namedPorts = { first: 9000, second: 9001, third: 9002 };
  const flows: readonly Flow[] = [
    { from: 'client', to: 'server', port: 9000 },
    { from: 'neighbour', to: 'server', port: 9001 },
    { from: 'client', to: 'server', port: 9999, closed: true },
    { from: 'stranger', to: 'server', port: 9002, closed: true },
    { from: 'client', to: 'stranger', port: 9000, closed: true },
    { from: 'neighbour', to: 'stranger', port: 9002, closed: true },
  ];
  let lab: TestLab;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      ...Object.entries(nodeOf).map(([name, node]) =>
        pod(ns, name, {
          node,
          labels: { role: name === 'neighbour' ? 'client' : name },
          ...(name === 'server' ? { command: ['sleep', 'infinity'], namedPorts } : {}),
        }),
      ),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const here = { matchLabels: { 'kubernetes.io/metadata.name': ns } };
  const selected = (role: string): object => ({ namespaceSelector: here, podSelector: { matchLabels: { role } } });
  const all = { namespaces: here };
  const clients = { pods: selected('client') };
  const server = { pods: selected('server') };
  const stranger = { pods: selected('stranger') };

  const of = (apiVersion: string, kind: string, name: string, spec: object): Manifest => ({
    apiVersion: `policy.networking.k8s.io/${apiVersion}`,
    kind,
    metadata: { name },
    spec,
  });
  const admin = (name: string, priority: number, spec: object): Manifest =>
    of('v1alpha1', 'AdminNetworkPolicy', name, { priority, ...spec });
  const baseline = (spec: object): Manifest => of('v1alpha1', 'BaselineAdminNetworkPolicy', 'default', spec);
  const cluster = (name: string, tier: 'Admin' | 'Baseline', priority: number, spec: object): Manifest =>
    of('v1alpha2', 'ClusterNetworkPolicy', name, { tier, priority, ...spec });
  const remove = (policy: Manifest): Promise<void> => lab.delete([policy]);

  const numbered = [9000, 9001, 9002].map((port) => ({ portNumber: { protocol: 'UDP', port } }));
  const named = Object.keys(namedPorts).map((namedPort) => ({ namedPort }));
  const ranged = [{ portRange: { protocol: 'UDP', start: 8990, end: 9005 } }];
  const protocols = [{ udp: { destinationPort: { range: { start: 9000, end: 9002 } } } }];
  const denied = { action: 'Deny', from: [all] };
  const ingress = (...rules: readonly object[]): object => ({ subject: server, ingress: rules });
  const egress = (...rules: readonly object[]): object => ({ subject: clients, egress: rules });

  it('neither close what all versions allow nor open what all deny', async () => {
    const guard = admin('guard', 10, ingress({ action: 'Allow', from: [clients], ports: numbered }, denied));
    const leave = admin('leave', 11, egress({ action: 'Allow', to: [server] }, { action: 'Deny', to: [all] }));
    const fallback = baseline(ingress({ action: 'Allow', from: [clients], ports: numbered }, denied));
    const recent = cluster('guard', 'Admin', 5, ingress({ action: 'Accept', from: [clients], protocols }, denied));
    const low = cluster('low', 'Baseline', 3, ingress({ action: 'Accept', from: [clients], protocols }, denied));
    await lab.apply(guard, leave);
    await lab.waitFor('both are written', async () => (await ready('anp', 'guard', 'leave')) || 'not yet', 20_000);
    await using packets = await PolicyPackets.start(lab, ns, flows);
    const applied = async (...versions: readonly Manifest[]): Promise<void> => {
      for (const version of versions) await packets.change(() => lab.apply(version));
    };
    await applied(
      // More rules, in another order, with other ports around the ones in use.
      admin('guard', 10, ingress({ action: 'Deny', from: [stranger] }, ...rulesOf(guard, 'ingress'))),
      admin('guard', 10, ingress({ action: 'Allow', from: [clients], ports: ranged }, denied)),
      // The same ports by name: port groups that have to be filled before a rule names them.
      admin('guard', 10, ingress({ action: 'Allow', from: [clients], ports: named }, denied)),
      // Another place among the policies: every priority changes.
      admin('guard', 500, ingress({ action: 'Allow', from: [clients], ports: numbered }, denied)),
      admin('leave', 3, egress({ action: 'Allow', to: [server], ports: numbered }, { action: 'Deny', to: [all] })),
      // The decision wanders to the Baseline tier, by Pass, and into another kind of that tier.
      fallback,
      admin(
        'guard',
        500,
        ingress(
          { action: 'Deny', from: [stranger] },
          { action: 'Pass', from: [clients] },
          { action: 'Deny', from: [all] },
        ),
      ),
      low,
    );
    await packets.change(() => remove(fallback));
    // And back to the Admin tier, into the other kind.
    await applied(recent);
    await packets.change(() => remove(guard));
    await packets.change(() => remove(low));
    await applied(
      cluster('guard', 'Admin', 900, ingress({ action: 'Deny', from: [stranger] }, ...rulesOf(recent, 'ingress'))),
      cluster('leave', 'Admin', 900, egress({ action: 'Accept', to: [server] }, { action: 'Deny', to: [all] })),
    );
    await packets.change(() => remove(leave));
    // Members of the sets in use come and go by labels.
    const before = await packets.acls();
    for (const text of ['more=labels', 'more=others', 'more-'])
      await lab.kubectl(['label', 'pod', '-n', ns, '--overwrite', ...Object.keys(nodeOf), text]);
    await lab.nbctl('--wait=hv', 'sync');
    expect(await packets.acls(), 'memberships rewrite no ACL').toBe(before);
    await packets.more(50);
    await packets.judge();
    await lab.delete([cluster('guard', 'Admin', 900, {}), cluster('leave', 'Admin', 900, {})]);
  });

  it('stay in force while controller, northd and ovn-controller restart', async () => {
    const pass = admin(
      'pass',
      10,
      ingress({ action: 'Deny', from: [stranger] }, { action: 'Pass', from: [clients], ports: ranged }),
    );
    const leave = cluster(
      'leave',
      'Admin',
      20,
      egress({ action: 'Accept', to: [server] }, { action: 'Deny', to: [all] }),
    );
    const fallback = baseline(ingress({ action: 'Allow', from: [clients], ports: named }, denied));
    await lab.apply(fallback, pass, leave);
    await lab.waitFor(
      'all are written',
      async () =>
        ((await ready('anp', 'pass')) && (await ready('cnp', 'leave')) && (await ready('banp', 'default'))) ||
        'not yet',
      20_000,
    );
    await using packets = await PolicyPackets.start(lab, ns, flows);
    await packets.changeUnseen(() =>
      lab.apply(baseline(ingress({ action: 'Allow', from: [clients], ports: numbered }, denied))),
    );
    await packets.restartOvn();
    await packets.judge();
    await lab.delete([pass, leave, fallback]);
  });

  const rulesOf = ({ spec }: Manifest, direction: 'ingress' | 'egress'): readonly object[] =>
    (spec as Readonly<Record<string, readonly object[]>>)[direction] ?? [];

  /** Whether all of these say that they are in the database. */
  async function ready(kind: string, ...names: readonly string[]): Promise<boolean> {
    for (const name of names) {
      const { status } = await lab.get<{
        status?: { conditions?: readonly { readonly type: string; readonly status: string }[] };
      }>(kind, name);
      if (!(status?.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True')) return false;
    }
    return true;
  }
});
