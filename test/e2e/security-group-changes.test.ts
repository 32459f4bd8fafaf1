import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startController } from '../src/interruption.ts';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';
import type { Flow } from '../src/pod-streams.ts';
import { PolicyPackets } from '../src/policy-packets.ts';
import { SecondController } from '../src/second-controller.ts';

type Rule = Readonly<Record<string, unknown>>;

/**
 * Numbered packets while the rules of SecurityGroups are edited, the controller restarts and another takes over. What every
 * version allows is never closed for a moment, and what every version denies never opened.
 */
describe('changes of security groups', () => {
  let lab: TestLab;
  const ns = 'group-changes';
  const nodeOf = {
    server: 'node-1',
    client: 'node-2',
    stranger: 'node-3',
    neighbour: 'node-1',
    // In no group: the subnet's rules decide.
    open: 'node-1',
    walker: 'node-2',
    // Of another subnet.
    outsider: 'node-2',
    guest: 'node-3',
  } as const;
  const elsewhere: readonly string[] = ['outsider', 'guest'];
  const pods = new Map<string, readonly string[]>();

  const group = (name: string, spec: Rule): Manifest => ({
    apiVersion: 'ovenbird.io/v1',
    kind: 'SecurityGroup',
    metadata: { name: `changes-${name}` },
    spec: {
      selectors: [
        {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns } },
          podSelector: { matchLabels: { role: name } },
        },
      ],
      ...spec,
    },
  });
  /** A rule of each family. */
  const both = (more: Rule): readonly Rule[] =>
    (['ipv4', 'ipv6'] as const).map((ipVersion) => ({
      ipVersion,
      protocol: 'udp',
      priority: 10,
      policy: 'allow',
      ...more,
    }));
  const ports = (min: number, max = min): Rule => ({ portRangeMin: min, portRangeMax: max });
  const byGroup = (name: string): Rule => ({ remoteType: 'securityGroup', remoteSecurityGroup: `changes-${name}` });
  /** A rule for each address of pods. */
  const byAddress = (names: readonly string[], more: Rule): readonly Rule[] =>
    names
      .flatMap((name) => pods.get(name) ?? [])
      .map((remoteAddress) => ({
        ipVersion: remoteAddress.includes(':') ? 'ipv6' : 'ipv4',
        protocol: 'udp',
        priority: 10,
        policy: 'allow',
        remoteType: 'address',
        remoteAddress,
        ...more,
      }));
  const open = ports(9000, 9002);
  const server = (ingressRules: readonly Rule[], more: Rule = {}): Manifest =>
    group('server', { ingressRules, ...more });
  const client = (egressRules: readonly Rule[], more: Rule = {}): Manifest => group('client', { egressRules, ...more });
  const first = [server(both({ ...byGroup('client'), ...open })), client(both({ ...byGroup('server'), ...open }))];

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), network(), ...first);
    await lab.apply(
      ...Object.entries(nodeOf).map(([name, node]) =>
        pod(ns, name, {
          node,
          labels: { role: name === 'neighbour' ? 'client' : name },
          ...(elsewhere.includes(name) ? { annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' } } : {}),
        }),
      ),
    );
    await lab.podsReady(ns);
    for (const name of Object.keys(nodeOf))
      pods.set(name, addressesOf(await lab.get<PodObject>('pod', name, '-n', ns)));
  });
  afterAll(async () => {
    await lab.delete([...first, group('nobody', {}), namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.delete([network()], '--wait=true', '--timeout=60s');
  });

  const rule = (priority: number, match: string, action: string, more: Rule = {}): Rule => ({
    direction: 'to-lport',
    priority,
    match,
    action,
    ...more,
  });
  const admit = rule(2500, 'udp.dst == 9000', 'allow-related');
  const refuse = rule(2400, 'udp.dst == 9999', 'drop');
  const network = (acls: readonly Rule[] = [admit, refuse], more: Rule = {}): Manifest =>
    subnet(ns, { cidrBlock: '10.73.0.0/24,fd00:10:73::/112', namespaces: [ns], acls, ...more });
  /** Private, but for the guest. */
  const closed = (acls?: readonly Rule[], more: Rule = {}): Manifest =>
    network(acls, { private: true, allowSubnets: guests(), ...more });
  const guests = (): readonly string[] =>
    (pods.get('guest') ?? []).map((address) => `${address}/${address.includes(':') ? 128 : 32}`);
  const closing = async (): Promise<void> => {
    await lab.apply(closed());
    await lab.waitFor(
      'the subnet is private',
      async () =>
        (await lab.nbctl('--bare', '--columns=name', 'list', 'ACL')).includes('private_drop_ip6') || 'not yet',
      10_000,
    );
  };
  /** To a subnet that is private all the time. */
  const fromOutside: readonly Flow[] = [
    { from: 'outsider', to: 'open', port: 9005, closed: true },
    { from: 'outsider', to: 'open', port: 9000 },
    { from: 'guest', to: 'open', port: 9006 },
    { from: 'guest', to: 'open', port: 9999, closed: true },
    { from: 'walker', to: 'open', port: 9007 },
  ];

  const flows: readonly Flow[] = [
    { from: 'client', to: 'server', port: 9000 },
    { from: 'neighbour', to: 'server', port: 9001 },
    { from: 'client', to: 'server', port: 9999, closed: true },
    { from: 'stranger', to: 'server', port: 9002, closed: true },
    { from: 'client', to: 'stranger', port: 9000, closed: true },
    { from: 'server', to: 'stranger', port: 9003, closed: true },
  ];

  it('neither close what all versions allow nor open what all deny', async () => {
    await using packets = await PolicyPackets.start(lab, ns, flows);
    const last = (priority: number): readonly Rule[] =>
      both({ remoteType: 'address', protocol: 'all', policy: 'drop', priority }).map((rule) => ({
        ...rule,
        remoteAddress: rule['ipVersion'] === 'ipv4' ? '0.0.0.0/0' : '::/0',
      }));
    const versions: readonly Manifest[] = [
      // Rules in other places of the list, with other priorities and more around them.
      server([
        ...both({ ...byGroup('server'), ...ports(7000), priority: 1 }),
        ...both({ ...byGroup('client'), ...ports(8990, 9005), priority: 30 }),
      ]),
      server([...last(900), ...both({ ...byGroup('client'), ...open, priority: 2 })]),
      // The same pods by address, and back.
      server(byAddress(['client', 'neighbour'], open)),
      client(byAddress(['server'], open)),
      server([
        ...byAddress(['stranger'], { policy: 'drop', protocol: 'all', priority: 1 }),
        ...both({ ...byGroup('client'), ...open }),
      ]),
      // Priorities that crowd each other: what is there moves for those of a group of nobody.
      server([...last(16_383), ...both({ ...byGroup('client'), ...open, priority: 16_382 })]),
      group('nobody', { ingressRules: [...last(16_381), ...last(16_384)] }),
      // Left to the acls of the subnet, by the group of the sender.
      server([...both({ ...byGroup('client'), ...open, policy: 'pass' }), ...last(900)]),
    ];
    for (const version of versions) await packets.change(() => lab.apply(version));
    // Another pod comes into the group that is passed, and goes.
    for (const role of ['client', 'walker']) {
      await lab.kubectl(['label', 'pod', 'walker', '-n', ns, '--overwrite', `role=${role}`]);
      await packets.more(30);
    }
    const more: readonly Manifest[] = [
      // Behind everything else, and before it again: every row moves.
      server(both({ ...byGroup('client'), ...open }), { tier: 1 }),
      client(both({ ...byGroup('server'), ...open }), { tier: 1 }),
      server(both({ ...byGroup('client'), ...open }), { allowSameGroupTraffic: true, logDropped: true, logRate: 1 }),
      ...first,
    ];
    for (const version of more) await packets.change(() => lab.apply(version));
    // Pods by annotation instead of by selector: first both, then the annotation alone.
    const before = await packets.acls();
    const named = 'ovn.kubernetes.io/security_groups=changes-server';
    await lab.kubectl(['annotate', 'pod', 'server', '-n', ns, named]);
    await lab.kubectl(['label', 'pod', 'server', '-n', ns, '--overwrite', 'role=renamed']);
    await packets.more(50);
    await lab.kubectl(['label', 'pod', 'server', '-n', ns, '--overwrite', 'role=server']);
    await lab.kubectl(['annotate', 'pod', 'server', '-n', ns, 'ovn.kubernetes.io/security_groups-']);
    await packets.more(50);
    await lab.nbctl('--wait=hv', 'sync');
    expect(await packets.acls(), 'memberships rewrite no ACL').toBe(before);
    await packets.judge();
  });

  it('stay in force while the controller restarts and while another takes over, as private does', async () => {
    await closing();
    await using packets = await PolicyPackets.start(lab, ns, [...flows, ...fromOutside]);
    await packets.changeUnseen(() =>
      lab.apply(
        server([...both({ ...byGroup('client'), ...ports(7000) }), ...both({ ...byGroup('client'), ...open })]),
        closed([rule(100, 'udp.dst == 1', 'drop'), refuse, admit]),
      ),
    );
    {
      await using second = await SecondController.start(lab);
      await second.log.waitFor('northbound database');
      // It gives the Lease back, and the other takes it.
      await lab.stopProcess('controller');
      await second.log.waitFor('in control', 60_000);
      await packets.more(20);
      await packets.change(() => lab.apply(server(both({ ...byGroup('client'), ...ports(8990, 9002), priority: 5 }))));
      await packets.change(() => lab.apply(closed(undefined, { allowSubnets: ['192.0.2.0/24', ...guests()] })));
      await packets.more(50);
    }
    await startController(lab);
    await packets.change(() => lab.apply(...first));
    await packets.more(50);
    await packets.judge();
    await lab.apply(network());
  });

  it('and those of the acls of a Subnet', async () => {
    await using packets = await PolicyPackets.start(lab, ns, [
      { from: 'walker', to: 'open', port: 9000 },
      { from: 'walker', to: 'open', port: 9999, closed: true },
    ]);
    const versions: readonly Manifest[] = [
      // Other places in the list, other priorities, other words for the same.
      network([rule(100, 'udp.dst == 1', 'drop'), refuse, admit]),
      network([
        rule(2600, 'ip && udp.dst == {9000, 9001}', 'allow-related'),
        rule(2300, '9990 <= udp.dst <= 9999', 'drop'),
      ]),
      network([admit, { ...refuse, log: true }], { aclLogRate: 1 }),
      // Closed but for itself, and by an entry that drops everything beside allowEWTraffic.
      network([admit, refuse], { private: true }),
      network([refuse, rule(1500, 'ip', 'drop')], { allowEWTraffic: true }),
      network([admit, rule(1500, 'udp', 'drop')]),
      network(),
    ];
    for (const version of versions) await packets.change(() => lab.apply(version));
    await packets.judge();
  });

  it('and those of a private Subnet', async () => {
    await closing();
    await using packets = await PolicyPackets.start(lab, ns, fromOutside);
    const [v4 = '', v6 = ''] = guests();
    const versions: readonly Manifest[] = [
      // Between others, with an entry that is too late to open anything.
      closed([rule(500, 'udp.dst == 9005', 'allow-related'), refuse, admit], {
        allowSubnets: ['192.0.2.0/24', v6, '2001:db8::/64', v4],
      }),
      // By an entry instead of by address.
      closed([rule(1002, 'udp.dst == 9006', 'allow-related'), admit, refuse], { allowSubnets: ['192.0.2.0/24'] }),
      closed([admit, { ...refuse, log: true }], { allowEWTraffic: true, aclLogRate: 1 }),
      closed(),
    ];
    for (const version of versions) await packets.change(() => lab.apply(version));
    await packets.judge();
  });
});
