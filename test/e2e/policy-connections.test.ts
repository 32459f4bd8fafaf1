import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet, vpc } from '../src/objects.ts';

const tcpPort = 9100;

/** Sends back what it gets. */
const echo: readonly string[] = [
  'perl',
  '-MIO::Socket::IP',
  '-e',
  `$SIG{CHLD} = 'IGNORE'; $SIG{TERM} = sub { exit };
   my $listener = IO::Socket::IP->new(LocalHost => '::', V6Only => 0, LocalPort => ${tcpPort}, Listen => 20, ReuseAddr => 1) or die;
   while (my $one = $listener->accept) { next if fork; while (sysread($one, my $bytes, 4096)) { syswrite($one, $bytes) } exit }`,
];

/** Opens a connection to each address, and says something on all of them without end. */
const talk = (addresses: readonly string[]): readonly string[] => [
  'perl',
  '-MIO::Socket::IP',
  '-e',
  `$SIG{TERM} = sub { exit };
   my @all = map { my $one; until ($one = IO::Socket::IP->new(PeerHost => $_, PeerPort => ${tcpPort})) { sleep 1 } $one } @ARGV;
   $_->blocking(0) for @all;
   while (1) { for (@all) { syswrite($_, 'x' x 10); sysread($_, my $bytes, 4096) } select(undef, undef, undef, 0.02) }`,
  ...addresses,
];

/** Policies and connections: answers, and TCP connections that are older than the policies. */
describe('policies and connections', () => {
  let lab: TestLab;
  const ns = 'policy-connections';
  const island = 'policy-island';
  const addresses = new Map<string, readonly string[]>();

  const policy = (space: string, name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: space, name },
    spec,
  });
  const app = (name: string): object => ({ matchLabels: { app: name } });
  const at = (name: string): { labels: Record<string, string> } => ({ labels: { app: name } });

  const subject = { pods: { namespaceSelector: {}, podSelector: app('one') } };
  const quiet = {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: 'quiet' },
    spec: { tier: 'Admin', priority: 9, subject, egress: [{ action: 'Deny', to: [{ namespaces: {} }] }] },
  };

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), namespace(island), vpc(island));
    await lab.apply(
      subnet('policy-beach', { vpc: island, cidrBlock: '10.63.0.0/24,fd00:10:63::/112', namespaces: [island] }),
      ...[ns, island].flatMap((space) => [
        pod(space, 'one', { node: 'node-1', ...at('one') }),
        pod(space, 'two', { node: 'node-2', ...at('two') }),
      ]),
      pod(ns, 'server', { node: 'node-1', ...at('server'), command: echo }),
      pod(ns, 'free-server', { node: 'node-3', command: echo }),
    );
    for (const space of [ns, island]) {
      await lab.podsReady(space);
      for (const name of ['one', 'two'])
        addresses.set(`${space}/${name}`, addressesOf(await lab.get<PodObject>('pod', name, '-n', space)));
    }
  });
  afterAll(async () => {
    await lab.delete([quiet]);
    await lab.delete([namespace(ns), namespace(island)], '--wait=true', '--timeout=60s');
    await lab.delete([subnet('policy-beach', {}), vpc(island)], '--wait=true', '--timeout=60s');
  });

  /** Asks by TCP, UDP and ping until each answer is as expected. */
  async function reaches(from: string, to: string, open: boolean): Promise<void> {
    const destinations = addresses.get(to) ?? [];
    expect(destinations).toHaveLength(2);
    const probes = destinations.flatMap((destination) =>
      (['tcp', 'udp', 'icmp'] as const).map((protocol) => ({
        from,
        protocol,
        destination,
        ...(protocol === 'icmp' ? {} : { port: 8080 }),
        timeoutMs: 700,
      })),
    );
    const look = async (): Promise<true | string> => {
      const answers = await lab.probe(probes);
      const wrong = probes.flatMap(({ protocol, destination }, index) =>
        (answers[index]?.verdict === 'open') === open ? [] : [`${protocol} ${destination}: ${answers[index]?.verdict}`],
      );
      return wrong.length === 0 || wrong.join(', ');
    };
    await lab.waitForPackets(`${from} -> ${to}: ${open ? 'open' : 'blocked'}`, look, 30_000);
  }

  it.each([ns, island])('answers pass, also where all there is are policies that drop (%s)', async (space) => {
    const [one, two] = [`${space}/one`, `${space}/two`];
    await lab.apply(policy(space, 'quiet', { podSelector: app('one'), policyTypes: ['Egress'] }));
    await reaches(one, two, false);
    await reaches(two, one, true);
    await lab.kubectl(['delete', 'networkpolicy', 'quiet', '-n', space]);
    await reaches(one, two, true);
    await lab.apply(policy(space, 'shy', { podSelector: app('one'), policyTypes: ['Ingress'] }));
    await reaches(two, one, false);
    await reaches(one, two, true);
    await lab.kubectl(['delete', 'networkpolicy', 'shy', '-n', space]);
    await reaches(two, one, true);
  });

  it('answers pass policies of the cluster as well', async () => {
    await lab.apply(quiet);
    for (const space of [ns, island]) {
      await reaches(`${space}/one`, `${space}/two`, false);
      await reaches(`${space}/two`, `${space}/one`, true);
    }
    await lab.delete([quiet], '--wait=true', '--timeout=30s');
    await reaches(`${ns}/one`, `${ns}/two`, true);
  });

  /** Segments of a pod's connections that were acknowledged, and that came back, by local and remote end. */
  async function progressOf(name: string): Promise<ReadonlyMap<string, readonly [acked: number, received: number]>> {
    const text = await lab.exec(ns, name, 'ss', '-tinHO', 'state', 'established', `( dport = :${tcpPort} )`);
    return new Map(
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [, , local = '', remote = ''] = line.trim().split(/\s+/);
          const segments = (field: string): number => Number(new RegExp(`\\b${field}:(\\d+)`).exec(line)?.[1] ?? 0);
          return [`${local} ${remote}`, [segments('delivered'), segments('data_segs_in')] as const];
        }),
    );
  }

  it('connections older than the policies go on as long as these allow them', async () => {
    const of = async (name: string): Promise<readonly string[]> =>
      addressesOf(await lab.get<PodObject>('pod', name, '-n', ns));
    const [servers, free] = [await of('server'), await of('free-server')];
    const ends = new Map<string, readonly string[]>();
    const begin = async (talkers: Readonly<Record<string, string>>, to = servers, app = ''): Promise<void> => {
      await lab.apply(
        ...Object.entries(talkers).map(([name, node]) =>
          pod(ns, name, { node, ...at(app === '' ? name : app), command: talk(to) }),
        ),
      );
      await lab.podsReady(ns);
      for (const name of Object.keys(talkers))
        ends.set(
          name,
          await lab.waitFor(
            `two connections of ${name}`,
            async () => ((open) => (open.length === 2 ? open : open.join(', ')))([...(await progressOf(name)).keys()]),
            20_000,
          ),
        );
    };
    await begin({ client: 'node-2', neighbour: 'node-1' });
    await begin({ stranger: 'node-3' }, free);
    /** Each connection goes on but those of the silent ones. */
    const talking = async (when: string, ...silent: readonly string[]): Promise<void> => {
      await lab.nbctl('--wait=hv', 'sync');
      // Open vSwitch has its new tables then; what it cached of the old ones goes in a moment.
      await lab.waitForPackets(
        `${when}: ${silent.join(', ') || 'nobody'} fell silent`,
        async () => (await othersTalk(when, silent)) || 'not yet',
        20_000,
      );
    };
    /** Waits until those who are not silent said and heard 20 segments more. @returns whether the silent ones said none */
    const othersTalk = async (when: string, silent: readonly string[]): Promise<boolean> => {
      const all = [...ends.keys()];
      const before = new Map<string, Awaited<ReturnType<typeof progressOf>>>();
      for (const name of all) before.set(name, await progressOf(name));
      await lab.waitFor(
        `${when}: all but ${silent.join(', ') || 'none'} talk on`,
        async () => {
          const seen: string[] = [];
          for (const name of all.filter((one) => !silent.includes(one))) {
            const now = await progressOf(name);
            for (const end of ends.get(name) ?? []) {
              const [acked = 0, received = 0] = before.get(name)?.get(end) ?? [];
              const [nowAcked = 0, nowReceived = 0] = now.get(end) ?? [];
              if (nowAcked < acked + 20 || nowReceived < received + 20)
                seen.push(`${name} ${end}: ${acked} -> ${nowAcked}, ${received} -> ${nowReceived}`);
            }
          }
          return seen.length === 0 || seen.join('; ');
        },
        30_000,
      );
      for (const name of silent) if (!isDeepStrictEqual(await progressOf(name), before.get(name))) return false;
      return true;
    };

    await lab.waitFor(
      'no rule is left of other tests',
      async () => ((acls) => acls === '' || acls)(await lab.nbctl('--bare', '--columns=name', 'list', 'ACL')),
      20_000,
    );
    await talking('without policies');
    const tcp = [{ protocol: 'TCP', port: tcpPort }];
    const ingress = (...names: readonly string[]): Manifest =>
      policy(ns, 'server', {
        podSelector: app('server'),
        ingress: [{ from: names.map((name) => ({ podSelector: app(name) })), ports: tcp }],
      });
    const egress = policy(ns, 'client', {
      podSelector: app('client'),
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: app('server') }], ports: tcp }],
    });
    // From here on connections are tracked, those of pods without policies as well.
    await lab.apply(ingress('client', 'neighbour'), egress);
    await inForce(2);
    await talking('under the first policies');
    // A connection that was tracked from its first packet ends with its rule. Of an older one, who began it is whoever was first seen
    // to send after tracking began: when that was the server, what the client sends are answers, and go on (docs/network-policy.md).
    await begin({ guest: 'node-2' }, servers, 'client');
    const older = ends.get('client') ?? [];
    ends.delete('client');
    await lab.apply(ingress('neighbour'));
    await lab.waitFor('the rule has changed', async () => (await changed('client')) || 'not yet', 10_000);
    await talking('without the rule', 'guest');
    await lab.apply(ingress('client', 'neighbour'));
    await lab.waitFor('the rule is back', async () => !(await changed('client')) || 'not yet', 10_000);
    ends.set('client', older);
    await talking('with the rule again');
    await lab.delete([ingress(), egress]);
    await inForce(0);
    await talking('without policies again');
  });

  async function inForce(count: number): Promise<void> {
    await lab.waitFor(
      `rules of ${count} policies`,
      async () => {
        const owners = (await lab.nbctl('--bare', '--columns=external_ids', 'find', 'Port_Group')).match(/policy=\S+/g);
        return (owners ?? []).length === count || `${owners?.join(', ')}`;
      },
      10_000,
    );
  }

  /** Whether the server's rule no longer names the peers with this label. */
  async function changed(label: string): Promise<boolean> {
    const sets = await lab.nbctl('--bare', '--columns=external_ids,name', 'find', 'Address_Set');
    const [, set = ''] = new RegExp(`app=${label}\\b.*\\n(peer_\\w+)_ip4`).exec(sets) ?? [];
    const match = await lab.nbctl('--bare', '--columns=match', 'find', 'ACL', 'external_ids:rule="ingress/0"');
    return set === '' || !match.includes(set);
  }
});
