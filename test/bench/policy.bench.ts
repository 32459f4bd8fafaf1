/**
 * `npm run bench -- policy`: how long it takes until packets obey a change of policies. A pod's label admits it or shuts it
 * out; a policy is created and deleted. Packets run all the time, and the first or last one that arrives is the moment.
 *
 * The reference is the same change of the same rows, on other pods of the same nodes, written by one `ovn-nbctl` daemon:
 * everything but Kubernetes' API and Ovenbird. The two take turns. Both clocks start when the
 * change is asked for, so the API server's part is in our time; `accepted` says how long it took to answer.
 */
import { KubeClient, NETWORKPOLICIES, type NetworkPolicy, PODS } from '@ovenbird/kube';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';
import { Arrivals, now } from './arrivals.ts';
import { NbctlDaemon } from './nbctl-daemon.ts';
import { benchLine, infoLine, percentile } from './report.ts';

const ns = 'bench-policy';
/** Not measured: code is compiled, caches are filled. */
const warmUp = 25;
const rounds = 50;
const limits = { p50: 1.3, p99: 1.5 } as const;

/** A change and its opposite, done by one side. */
interface Contender {
  /** Stream that it acts on. */
  readonly stream: string;
  readonly open: () => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

/** Milliseconds of each change of one side. */
interface Times {
  readonly opened: number[];
  readonly closed: number[];
  /** Until the change was accepted: by the API server, by the database. */
  readonly accepted: number[];
}

const policyOf = (name: string, server: string, peer: string): NetworkPolicy => ({
  metadata: { namespace: ns, name },
  spec: {
    podSelector: { matchLabels: { app: server } },
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ podSelector: { matchLabels: { role: peer } } }] }],
  },
});

/** What Ovenbird writes for a policy like that, as one transaction of ovn-nbctl. */
const createRows = (name: string, port: string): string[] => {
  const group = `np_${ns.replaceAll('-', '_')}.${name}`;
  const ids = `external_ids:vendor=bench external_ids:policy=${name}`.split(' ');
  const acl = (id: string, priority: number, action: string, match: string): string[] => [
    ...['--', `--id=@${id}`, 'create', 'ACL', 'direction=to-lport', `name="${ns}/${name}/ingress/${id}"`],
    ...[`priority=${priority}`, `action=${action}`, `match="${match}"`, ...ids],
  ];
  const set = (family: 4 | 6): string => `bench_${name}_ip${family}`;
  const peers = `(ip4.src == $${set(4)} || ip6.src == $${set(6)})`;
  return [
    ...['create', 'Address_Set', `name=${set(4)}`, ...ids, '--', 'create', 'Address_Set', `name=${set(6)}`, ...ids],
    ...['--', 'create', 'Port_Group', `name=${group}`, `ports=${port}`, 'acls=@drop,@allow', ...ids],
    ...acl('drop', 2000, 'drop', `outport == @${group} && ip`),
    ...acl('allow', 2001, 'allow-related', `outport == @${group} && ${peers}`),
  ];
};
const deleteRows = (name: string): string[] => [
  ...['destroy', 'Port_Group', `np_${ns.replaceAll('-', '_')}.${name}`],
  ...['--', 'destroy', 'Address_Set', `bench_${name}_ip4`, '--', 'destroy', 'Address_Set', `bench_${name}_ip6`],
];

async function main(): Promise<void> {
  process.stderr.write('starting a lab of three nodes\n');
  await using lab = await openLab({ dualStack: true });
  const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
  const policies = client.resource(NETWORKPOLICIES);
  await using nbctl = await NbctlDaemon.start(lab.layout.central.northbound);
  const servers = ['label-ours', 'label-ref', 'create-ours', 'create-ref'];
  const clients = ['client-ours', 'client-ref'];
  await lab.apply(
    namespace(ns),
    ...servers.map((name) => pod(ns, name, { node: 'node-1', labels: { app: name } })),
    ...clients.map((name) => pod(ns, name, { node: 'node-2', labels: { role: 'out' } })),
  );
  await lab.podsReady(ns);
  await policies.create(policyOf('label', 'label-ours', 'in'));
  const portOf = async (name: string): Promise<string> =>
    (await nbctl.run('get', 'Logical_Switch_Port', `${name}.${ns}`, '_uuid')).trim();
  await nbctl.run(...createRows('label_ref', await portOf('label-ref')));
  await lab.nbctl('--wait=hv', 'sync');

  const streams = await streamsOf(lab, servers);
  const arrivalsOf = (part: string): Arrivals => new Arrivals(streams.filter(({ name }) => name.startsWith(part)));
  await warm(client);
  await using labelled = arrivalsOf('label');
  const [v4 = '', v6 = ''] = addressesOf(await lab.get<PodObject>('pod', 'client-ref', '-n', ns));
  const member = (verb: 'add' | 'remove'): Promise<string> =>
    nbctl.run(
      ...[verb, 'Address_Set', 'bench_label_ref_ip4', 'addresses', v4, '--'],
      ...[verb, 'Address_Set', 'bench_label_ref_ip6', 'addresses', `"${v6}"`],
    );
  const label = (role: string): Promise<unknown> =>
    client.resource(PODS).patch({ namespace: ns, name: 'client-ours' }, { metadata: { labels: { role } } });
  const labels = await compare(labelled, false, [
    { stream: 'label-ours', open: () => label('in'), close: () => label('out') },
    { stream: 'label-ref', open: () => member('add'), close: () => member('remove') },
  ]);
  report(
    'policy-label',
    labels,
    labels.map(({ opened, closed }) => [...opened, ...closed]),
  );

  await labelled[Symbol.asyncDispose]();
  await using created = arrivalsOf('create');
  const port = await portOf('create-ref');
  const whole = await compare(created, true, [
    {
      stream: 'create-ours',
      open: () => policies.delete({ namespace: ns, name: 'create' }),
      close: () => policies.create(policyOf('create', 'create-ours', 'nobody')),
    },
    {
      stream: 'create-ref',
      open: () => nbctl.run(...deleteRows('create_ref')),
      close: () => nbctl.run(...createRows('create_ref', port)),
    },
  ]);
  report(
    'policy-create',
    whole,
    whole.map(({ closed }) => closed),
  );
  await client.close();
}

/** What a controller has long done when it is asked: code that ran once is not code that was compiled. */
async function warm(client: KubeClient): Promise<void> {
  const pods = client.resource(PODS);
  const policies = client.resource(NETWORKPOLICIES);
  for (let round = 0; round < 300; round += 1) {
    for (const role of ['in', 'out'])
      await pods.patch({ namespace: ns, name: 'client-ours' }, { metadata: { labels: { role } } });
    if (round % 3 > 0) continue;
    await policies.create(policyOf('warm', 'nothing', 'nobody'));
    await policies.delete({ namespace: ns, name: 'warm' });
  }
}

/** From one client to each server: those of one side from that side's client. */
async function streamsOf(lab: TestLab, servers: readonly string[]): Promise<ConstructorParameters<typeof Arrivals>[0]> {
  const netns = await lab.podNamespaces();
  return await Promise.all(
    servers.map(async (name) => {
      const [address = ''] = addressesOf(await lab.get<PodObject>('pod', name, '-n', ns));
      const from = netns.get(`${ns}/client-${name.endsWith('ours') ? 'ours' : 'ref'}`) ?? '';
      return { name, from, to: netns.get(`${ns}/${name}`) ?? '', address, port: 9000 };
    }),
  );
}

/** Both sides in turns, Ovenbird first every other time; each change begins when the one before is over. */
async function compare(
  arrivals: Arrivals,
  startOpen: boolean,
  sides: readonly [ours: Contender, reference: Contender],
): Promise<readonly Times[]> {
  const pairs = sides.map((side) => ({
    side,
    times: { opened: [] as number[], closed: [] as number[], accepted: [] as number[] },
  }));
  for (const { stream } of sides) await arrivals.until(stream, startOpen);
  for (let round = -warmUp; round < rounds; round += 1) {
    for (const open of [!startOpen, startOpen]) {
      for (const { side, times } of round % 2 === 0 ? pairs : pairs.toReversed()) {
        const start = now();
        await (open ? side.open() : side.close());
        const accepted = now() - start;
        const seconds = (await arrivals.until(side.stream, open)) - start;
        if (round < 0) continue;
        times[open ? 'opened' : 'closed'].push(seconds * 1000);
        times.accepted.push(accepted * 1000);
      }
    }
  }
  return pairs.map(({ times }) => times);
}

/** @param judged the times that the targets are about, of both sides */
function report(name: string, sides: readonly Times[], judged: readonly (readonly number[])[]): void {
  const [mine = [], reference = []] = judged;
  for (const [figure, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const [value, against] = [percentile(mine, share), percentile(reference, share)];
    const target = { kind: '<=', value: limits[figure] } as const;
    console.log(benchLine({ name, figure, value, unit: 'ms', reference: against, target }));
  }
  for (const kind of ['opened', 'closed', 'accepted'] as const) {
    const figures = sides.flatMap((times, at) =>
      ([0.5, 0.99] as const).map(
        (share) =>
          [`${at === 0 ? '' : 'ref_'}p${share * 100}`, [percentile(times[kind], share), 'ms'] as const] as const,
      ),
    );
    console.log(infoLine(`${name}-${kind}`, Object.fromEntries(figures)));
  }
}

await main();
