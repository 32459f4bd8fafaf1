import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { CountedSubject, NodeReport, PodReport } from '@ovenbird/agent';
import { run, underlay } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

const cli = fileURLToPath(new URL('../../cli/bin/ovenbird.mjs', import.meta.url));

/** Counters of rules and drops, compared with the packets that were sent. */
describe('drops', () => {
  let lab: TestLab;
  const ns = 'drops';
  /** Counters of an earlier run on the same lab stay for a while: each run has names of its own. */
  const run36 = Date.now().toString(36);
  const subnetA = `drops-a-${run36}`;
  const subnetB = `drops-b-${run36}`;
  const guard = `guard-${run36}`;
  /**
   * Equal in both subnets: OVN makes one logical flow of the two. The client is in neither: a `to-lport` rule that names no
   * port also judges what leaves its Subnet by the router.
   */
  const acls = [{ direction: 'to-lport', priority: 1900, match: 'udp.dst == 7001', action: 'drop' }];

  const policy = (port: number): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: ns, name: guard },
    spec: {
      podSelector: { matchLabels: { app: 'guarded' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ protocol: 'UDP', port }] }],
    },
  });

  const objects = (): readonly Manifest[] => [
    subnet(subnetA, { cidrBlock: '10.61.0.0/24,fd00:10:61::/120', namespaces: [ns], acls }),
    subnet(subnetB, { cidrBlock: '10.61.1.0/24,fd00:10:61:1::/120', namespaces: [ns], acls }),
  ];

  beforeAll(async () => {
    lab = await openLab();
    const at = (name: string): Readonly<Record<string, string>> => ({ 'ovn.kubernetes.io/logical_switch': name });
    await lab.apply(
      namespace(ns),
      ...objects(),
      policy(8080),
      pod(ns, 'guarded', { node: 'node-1', labels: { app: 'guarded' }, annotations: at(subnetA) }),
      pod(ns, 'second', { node: 'node-1', labels: { app: 'guarded' }, annotations: at(subnetA) }),
      pod(ns, 'open', { node: 'node-1', annotations: at(subnetA) }),
      pod(ns, 'free', { node: 'node-1', annotations: at(subnetB) }),
      pod(ns, 'client', { node: 'node-2', labels: { app: 'client' }, annotations: at('ovn-default') }),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.delete(objects(), '--wait=true', '--timeout=60s');
  });

  /** Sends datagrams of one byte from the client to each address of a pod, without waiting for answers. */
  async function send(to: string, port: number, count: number): Promise<void> {
    const script =
      'my ($n, $p) = splice @ARGV, 0, 2; use IO::Socket::IP; for my $a (@ARGV) {' +
      ' my $s = IO::Socket::IP->new(PeerHost => $a, PeerPort => $p, Proto => "udp") or die $@;' +
      ' for (1 .. $n) { $s->send("x") // redo; select undef, undef, undef, 0.005 } }';
    const addresses = addressesOf(await lab.get<PodObject>('pod', to, '-n', ns));
    expect(addresses).toHaveLength(2);
    await lab.exec(ns, 'client', 'perl', '-e', script, String(count), String(port), ...addresses);
  }

  async function ask(node: string, path: string): Promise<string> {
    const { querySocket } = lab.layout.node(node);
    return await new Promise<string>((resolve, reject) => {
      get({ socketPath: querySocket, path }, (response) => void text(response).then(resolve, reject)).on(
        'error',
        reject,
      );
    });
  }

  const podReport = async (name: string): Promise<PodReport> =>
    JSON.parse(await ask('node-1', `/traffic?pod=${ns}/${name}`)) as PodReport;
  const nodeReport = async (node = 'node-1'): Promise<NodeReport> =>
    JSON.parse(await ask(node, '/traffic')) as NodeReport;

  /** Packets of a rule, all states together, by `<namespace>/<object> <rule>`. */
  function packets(counters: readonly CountedSubject[], wanted: string): number {
    let sum = 0;
    for (const counter of counters) {
      if (counter.type !== 'rule') continue;
      const { namespace, name, rule } = counter.rule;
      if (`${namespace === '' ? '' : `${namespace}/`}${name} ${rule}` === wanted) sum += counter.packets;
    }
    return sum;
  }

  async function expectPackets(
    what: string,
    look: () => Promise<readonly CountedSubject[]>,
    wanted: Readonly<Record<string, number>>,
  ): Promise<void> {
    await lab.waitFor(
      what,
      async () => {
        const counters = await look();
        const found = Object.fromEntries(Object.keys(wanted).map((rule) => [rule, packets(counters, rule)]));
        return JSON.stringify(found) === JSON.stringify(wanted) ? true : JSON.stringify(found);
      },
      40_000,
    );
  }

  const allow = `${ns}/${guard} ingress/0`;
  const drop = `${ns}/${guard} ingress/drop`;
  const node = async (): Promise<readonly CountedSubject[]> => (await nodeReport()).counters;
  const own = async (name: string): Promise<readonly CountedSubject[]> => (await podReport(name)).own;

  it('counts what a policy allowed and dropped, in IPv4 and IPv6, packet by packet', async () => {
    await expectPackets('rules before any packet', node, { [allow]: 0, [drop]: 0 });
    await send('guarded', 8080, 20);
    await send('guarded', 9999, 7);
    await expectPackets('20 allowed and 7 dropped of each family', node, { [allow]: 40, [drop]: 14 });
  });

  it('tells pods of one policy apart where flows do', async () => {
    await send('second', 9999, 3);
    await expectPackets('drops of the second pod', () => own('second'), { [drop]: 6 });
    await expectPackets('drops of the first pod', () => own('guarded'), { [drop]: 14 });
    await expectPackets('drops of both', node, { [drop]: 20 });
  });

  it('counts equal ACLs of two Subnets for their own Subnet', async () => {
    await send('open', 7001, 4);
    await send('free', 7001, 9);
    await expectPackets('drops of both Subnets', node, {
      [`${subnetA} acl_0`]: 8,
      [`${subnetB} acl_0`]: 18,
    });
  });

  it('shows replies as established, and drops by reason', async () => {
    // The pod answers each datagram on 8080.
    await lab.waitFor(
      '40 replies of the pod',
      async () => {
        const { network } = await podReport('guarded');
        const replies = network.find((one) => one.type === 'established' && one.direction === 'egress');
        return replies?.packets === 40 ? true : JSON.stringify(network);
      },
      20_000,
    );
    const reasons = (await node()).flatMap((one) =>
      one.type === 'drop' && one.network === subnetB && one.direction === 'ingress' ? [[one.reason, one.packets]] : [],
    );
    expect(Object.fromEntries(reasons)).toMatchObject({ acl: 18, conntrack: 0 });
  });

  it('has them as metrics with the names of Kubernetes objects', async () => {
    const metrics = await ask('node-1', '/metrics');
    const labels = 'direction="ingress",action="drop",state="new"';
    expect(metrics).toContain(
      `ovenbird_agent_rule_packets_total{kind="NetworkPolicy",namespace="drops",policy="${guard}",subnet="",rule="ingress/drop",${labels}} 20\n`,
    );
    expect(metrics).toContain(
      `ovenbird_agent_rule_packets_total{kind="Subnet",namespace="",policy="",subnet="${subnetB}",rule="acl_0",${labels}} 18\n`,
    );
    expect(metrics).toMatch(/^ovenbird_agent_pod_received_packets_total\{namespace="drops",pod="guarded"\} [1-9]\d*$/m);
    expect(metrics).toMatch(/^ovenbird_agent_statistics_ok 1$/m);
  });

  it('serves metrics to the network, and nothing else', async () => {
    const url = `http://${lab.state.nodes[0]?.addresses.ipv4}:${underlay.agentPort}`;
    const script =
      'const [url, method] = process.argv.slice(1); require("http").request(url, { method }, (response) =>' +
      ' { process.stdout.write(response.statusCode + "\\n"); response.pipe(process.stdout); }).end();';
    const asked = (path: string, method = 'GET'): Promise<string> =>
      lab.outside(process.execPath, '-e', script, `${url}${path}`, method);
    expect(await asked('/metrics')).toMatch(/^200\n[^]*^ovenbird_agent_statistics_ok 1$/m);
    expect(await asked('/healthz')).toMatch(/^200\n/);
    expect(await asked('/traffic')).toMatch(/^404\n/);
    expect(await asked('/status')).toMatch(/^404\n/);
    expect(await asked('/metrics', 'POST')).toMatch(/^405\n/);
  });

  it('explains flows to nobody without a certificate of the cluster', async () => {
    const script =
      'const [url, pki, own] = process.argv.slice(1); const read = (name) => require("fs").readFileSync(pki + "/" + name);' +
      ' const mine = own ? { key: read(own + ".key"), cert: read(own + ".crt") } : {};' +
      ' require("https").get(url, { ca: read("ca.crt"), ...mine }, (response) => response.pipe(process.stdout));';
    const url = `https://${underlay.ipv4}:${underlay.lookupPort}/v1/stages`;
    const asking = [process.execPath, '-e', script, url, lab.layout.pki];
    expect(await lab.outside(...asking, 'node-1')).toContain('"ls_out_acl"');
    await expect(lab.outside(...asking)).rejects.toThrow(/certificate required/);
  });

  it('shows them on the command line', async () => {
    const env = { OVENBIRD_LAB: lab.state.directory };
    const drops = await run(['node', cli, 'drops', '-n', ns, 'second'], { env });
    expect(drops).toMatch(new RegExp(`^\\d+ +6 +0 +ingress +drop +NetworkPolicy/drops/${guard} ingress/drop$`, 'm'));
    const top = await run(['node', cli, 'top', 'policies', '--limit', '200'], { env });
    expect(top).toMatch(new RegExp(`^\\d+ +18 +0 +ingress +drop +Subnet/${subnetB} acl_0$`, 'm'));
    expect(top).toContain(`Subnet/${subnetA} acl_0`);
  });

  it('goes on counting when the rule is edited, and when ovs-vswitchd restarts', async () => {
    await lab.apply(policy(8081));
    await lab.waitFor(
      'the edited rule',
      async () =>
        ((text) => text.includes('8081') || text)(
          await lab.nbctl('acl-list', `np_drops.${guard.replaceAll('-', '_')}`),
        ),
      20_000,
    );
    await lab.nbctl('--wait=hv', 'sync');
    await send('guarded', 8081, 5);
    await expectPackets('10 more packets after the edit', node, { [allow]: 50 });
    await lab.restartProcess('node-1.vswitchd');
    const client = addressesOf(await lab.get<PodObject>('pod', 'client', '-n', ns));
    await lab.waitFor(
      'the network after the restart',
      async () => (await lab.pingMatrix([`${ns}/free`], client)).join('; ') || true,
      60_000,
    );
    await send('guarded', 8081, 6);
    await expectPackets('12 more packets after the restart', node, { [allow]: 62 });
  });
});
