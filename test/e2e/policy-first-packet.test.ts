import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod, subnet } from '../src/objects.ts';

/** Perl with nothing but the core: numbered packets to a few addresses, as fast as asked, from the start of the pod. */
const flood = (addresses: readonly string[], perSecond: number, seconds: number): readonly string[] => [
  'perl',
  '-MSocket=:all',
  '-e',
  `$SIG{TERM} = sub { exit }; my @to = map { my $six = /:/; socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die;
   [$s, $six ? pack_sockaddr_in6(7777, inet_pton(AF_INET6, $_)) : pack_sockaddr_in(7777, inet_aton($_))] } @ARGV;
   for my $n (1 .. ${perSecond * seconds}) { send($_->[0], $n, 0, $_->[1]) for @to; select(undef, undef, undef, ${1 / perSecond}) }
   sleep 1 while 1`,
  ...addresses,
];

/** A pod is under its policies from the first packet it could receive or send. */
describe('the first packet of a pod', () => {
  let lab: TestLab;
  const ns = 'policy-first';
  const cidr = '10.62.0.0/24,fd00:10:62::/112';
  const isolated = ['isolated-1', 'isolated-2', 'isolated-3'];
  const free = ['free-1', 'free-2', 'free-3'];
  const addressesOf = new Map(
    [...isolated, ...free].map((name, index) => [name, [`10.62.0.${index + 10}`, `fd00:10:62::${index + 10}`]]),
  );
  const sinks = new Map([
    ['sink-isolated', ['10.62.0.100', 'fd00:10:62::100']],
    ['sink-free', ['10.62.0.101', 'fd00:10:62::101']],
  ]);
  const at = (addresses: readonly string[] = []): { annotations: Record<string, string> } => ({
    annotations: { 'ovn.kubernetes.io/ip_address': addresses.join(',') },
  });

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), subnet('policy-first', { cidrBlock: cidr, namespaces: [ns] }));
    await lab.apply(
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace: ns, name: 'isolation' },
        spec: { podSelector: { matchLabels: { isolated: 'yes' } }, policyTypes: ['Ingress', 'Egress'] },
      },
      ...[...sinks].map(([name, addresses]) => pod(ns, name, { node: 'node-1', ...at(addresses) })),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.kubectl(['delete', 'subnet', 'policy-first', '--ignore-not-found', '--timeout=60s']);
  });

  interface Counts {
    readonly v4: number;
    readonly v6: number;
  }
  /** UDP packets that a pod has sent, and those that have come to it, whether or not anything listened. */
  const countsOf = async (name: string): Promise<{ readonly sent: Counts; readonly received: Counts }> => {
    const text = await lab.exec(ns, name, 'cat', '/proc/net/snmp', '/proc/net/snmp6');
    const [, heads = '', values = ''] = /^Udp: (.*)\nUdp: (.*)$/m.exec(text) ?? [];
    const column = (head: string): number => Number(values.split(' ')[heads.split(' ').indexOf(head)]);
    const six = (head: string): number => Number(new RegExp(`^${head}\\s+(\\d+)$`, 'm').exec(text)?.[1]);
    return {
      sent: { v4: column('OutDatagrams'), v6: six('Udp6OutDatagrams') },
      received: { v4: column('InDatagrams') + column('NoPorts'), v6: six('Udp6InDatagrams') + six('Udp6NoPorts') },
    };
  };

  it('is judged already, in both directions', async () => {
    const everybody = [...addressesOf.values()].flat();
    // Packets are on their way to the addresses before there are pods.
    await lab.apply(pod(ns, 'sender', { node: 'node-2', command: flood(everybody, 500, 60) }));
    await lab.podsReady(ns, 30, 'sender');
    const make = (name: string, index: number, sink: string, labels: Record<string, string>): object =>
      pod(ns, name, {
        node: lab.nodes[index % 3] ?? '',
        labels,
        ...at(addressesOf.get(name)),
        command: flood(sinks.get(sink) ?? [], 1000, 10),
      });
    await lab.apply(
      ...isolated.map(
        (name, index) => make(name, index, 'sink-isolated', { isolated: 'yes' }) as Record<string, unknown>,
      ),
      ...free.map((name, index) => make(name, index, 'sink-free', {}) as Record<string, unknown>),
    );
    await lab.podsReady(ns);
    // Whoever may receive does, in both families, and everybody has sent: by then the others would have received as well.
    const enough = ({ v4, v6 }: Counts): boolean => v4 >= 500 && v6 >= 500;
    await lab.waitFor(
      'packets of all senders arrive where they may',
      async () => {
        const seen = await Promise.all(
          [...free, 'sink-free', ...isolated].map(async (name) => ({ name, ...(await countsOf(name)) })),
        );
        const there = seen.every(({ name, sent, received }) =>
          isolated.includes(name) ? enough(sent) : enough(received),
        );
        return there || JSON.stringify(seen);
      },
      30_000,
    );
    for (const name of [...isolated, 'sink-isolated'])
      expect((await countsOf(name)).received, name).toEqual({ v4: 0, v6: 0 });
  });
});
