import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';
import type { Flow } from '../src/pod-streams.ts';
import { PolicyPackets } from '../src/policy-packets.ts';

/**
 * Numbered packets while policies are rewritten and daemons restarted. What every version allows is never closed for a
 * moment, and what every version denies never opened.
 */
describe('changes of policies', () => {
  let lab: TestLab;
  const ns = 'policy-changes';
  const nodeOf = { server: 'node-1', client: 'node-2', stranger: 'node-3', neighbour: 'node-1' } as const;
  const others = ['other-1', 'other-2'];
  const pods = new Map<string, readonly string[]>();

  const policy = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: ns, name },
    spec,
  });
  const role = (name: string): { matchLabels: Record<string, string> } => ({ matchLabels: { role: name } });
  const udp = (port: number, endPort?: number): Record<string, unknown> => ({
    protocol: 'UDP',
    port,
    ...(endPort === undefined ? {} : { endPort }),
  });
  const namedPorts = { first: 9000, second: 9001, third: 9002 };
  const open = [udp(9000), udp(9001), udp(9002)];
  /** Of the server: clients may send to UDP 9000 to 9002, strangers to nothing, nobody to 9999. */
  const ingress = (...rules: readonly unknown[]): Manifest =>
    policy('server', { podSelector: role('server'), policyTypes: ['Ingress'], ingress: rules });
  /** Of the clients: to the server and to nobody else. */
  const egress = (...rules: readonly unknown[]): Manifest =>
    policy('client', { podSelector: role('client'), policyTypes: ['Egress'], egress: rules });

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      ingress({ from: [{ podSelector: role('client') }], ports: open }),
      egress({ to: [{ podSelector: role('server') }], ports: open }),
      ...Object.entries(nodeOf).map(([name, node]) =>
        pod(ns, name, {
          node,
          labels: { role: name === 'neighbour' ? 'client' : name },
          // Nobody listens there: packets are counted by who sends them.
          ...(name === 'server' ? { command: ['sleep', 'infinity'], namedPorts } : {}),
        }),
      ),
      ...others.map((name) => pod(ns, name, { labels: { role: 'other' } })),
    );
    await lab.podsReady(ns);
    for (const name of Object.keys(nodeOf))
      pods.set(name, addressesOf(await lab.get<PodObject>('pod', name, '-n', ns)));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const flows: readonly Flow[] = [
    { from: 'client', to: 'server', port: 9000 },
    { from: 'neighbour', to: 'server', port: 9001 },
    { from: 'client', to: 'server', port: 9999, closed: true },
    { from: 'stranger', to: 'server', port: 9002, closed: true },
    { from: 'client', to: 'stranger', port: 9000, closed: true },
    { from: 'neighbour', to: 'stranger', port: 9002, closed: true },
  ];

  it('neither close what all versions allow nor open what all deny', async () => {
    await using packets = await PolicyPackets.start(lab, ns, flows);
    const blocks = (names: readonly string[]): object[] =>
      names.flatMap((name) =>
        (pods.get(name) ?? []).map((address) => ({
          ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` },
        })),
      );
    const clients = { podSelector: role('client') };
    const server = { podSelector: role('server') };
    const versions: readonly Manifest[] = [
      // Rules in another order, more of them, other ports around the one in use.
      ingress({ from: [{ podSelector: role('nobody') }] }, { from: [clients], ports: [udp(8999), ...open] }),
      ingress({ from: [clients], ports: [udp(8990, 9005)] }),
      // The same pods by other selectors: other address sets, which have to be filled before they are used.
      ingress({
        from: [{ podSelector: { matchExpressions: [{ key: 'role', operator: 'In', values: ['client', 'nobody'] }] } }],
        ports: open,
      }),
      ingress({
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns } },
            podSelector: { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['stranger', 'server'] }] },
          },
        ],
        ports: open,
      }),
      // The same ports by their names, which makes a port group for each: members first, then the rule that names it.
      ingress({ from: [clients], ports: ['first', 'second', 'third'].map((port) => ({ protocol: 'UDP', port })) }),
      ingress({ from: [clients], ports: [udp(9000), { protocol: 'UDP', port: 'second' }, udp(9002)] }),
      // The same addresses by blocks, then by pods again.
      ingress({ from: blocks(['client', 'neighbour']), ports: open }),
      egress({ to: blocks(['server']), ports: open }),
      ingress({ from: [clients], ports: open }),
      egress({ to: [server], ports: [...open, { protocol: 'TCP' }] }),
      // A second policy that allows the same.
      policy('server-2', {
        podSelector: { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['client', 'stranger'] }] },
        ingress: [{ from: [clients], ports: open }],
      }),
    ];
    for (const version of versions) await packets.change(() => lab.apply(version));
    // Now either alone is enough: one goes and comes back, then the other goes.
    await packets.change(() => lab.kubectl(['delete', 'networkpolicy', 'server', '-n', ns]));
    await packets.change(() => lab.apply(ingress({ from: [clients], ports: open })));
    await packets.change(() => lab.kubectl(['delete', 'networkpolicy', 'server-2', '-n', ns]));
    // Members of the sets in use come and go. By labels, because ports that come and go cost packets by themselves here.
    const before = await packets.acls();
    const label = async (text: string, ...names: readonly string[]): Promise<void> => {
      await lab.kubectl(['label', 'pod', '-n', ns, '--overwrite', ...names, text]);
    };
    await label('more=labels', 'server', 'client', 'stranger');
    await label('role=client', 'other-1', 'other-2');
    await label('role=server', 'other-1');
    await label('role=stranger', 'other-2');
    await label('role=other', 'other-1', 'other-2');
    const [other = ''] = addressesOf(await lab.get<PodObject>('pod', 'other-1', '-n', ns));
    await lab.waitFor(
      'all sets are as they were',
      async () => (await lab.nbctl('find', 'Address_Set', `addresses{>=}${other}`)) === '' || 'not yet',
      20_000,
    );
    await lab.nbctl('--wait=hv', 'sync');
    expect(await packets.acls(), 'memberships rewrite no ACL').toBe(before);
    await packets.more(50);
    await packets.judge();
  });

  it('a rule that cannot be honoured is told as an event, and the rest is in force', async () => {
    const peer = { podSelector: role('client') };
    const odd = { from: [peer], ports: [{ protocol: 'UDP', port: 9005, endPort: 9001 }] };
    await lab.apply(policy('odd', { podSelector: role('other'), ingress: [odd, { from: [peer], ports: open }] }));
    await lab.waitFor(
      'an event RuleNotHonoured',
      async () =>
        (await lab.kubectl(['get', 'events', '-n', ns, '--field-selector', 'reason=RuleNotHonoured'])).includes(
          'spec.ingress[0]',
        ) || 'not yet',
      10_000,
    );
    const rules = await lab.nbctl('--bare', '--columns=external_ids', 'find', 'ACL', 'external_ids:policy=odd');
    expect(rules).toContain('rule=ingress/1');
    expect(rules).not.toContain('rule=ingress/0');
    await lab.kubectl(['delete', 'networkpolicy', 'odd', '-n', ns]);
  });

  it('stay in force while controller, northd and ovn-controller restart', async () => {
    await using packets = await PolicyPackets.start(lab, ns, flows);
    await packets.changeUnseen(() =>
      lab.apply(ingress({ from: [{ podSelector: role('client') }], ports: [...open, udp(7000)] })),
    );
    await packets.restartOvn();
    await packets.judge();
  });
});
