import { run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settledFirewalls } from '../src/firewalls.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

/** What pods publish on their node, and how they reach themselves. */
describe('a published port', () => {
  let lab: TestLab;
  const ns = 'reach';
  const hostPort = 18_085;
  const otherSubnet = subnet('reach-other', { cidrBlock: '10.199.85.0/24,fd00:10:199:85::/112', namespaces: [ns] });
  const inSubnet = (name: string) => ({ annotations: { 'ovn.kubernetes.io/logical_switch': name } });
  const inDefault = inSubnet('ovn-default');
  const inOther = inSubnet('reach-other');
  let published: PodObject;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      otherSubnet,
      pod(ns, 'web', { node: 'node-1', hostPort, ...inDefault }),
      pod(ns, 'near', { node: 'node-1', ...inDefault, labels: { reach: 'near' } }),
      pod(ns, 'far', { node: 'node-2', ...inDefault }),
      pod(ns, 'near-other', { node: 'node-1', ...inOther }),
      pod(ns, 'far-other', { node: 'node-2', ...inOther, labels: { reach: 'other' } }),
    );
    await lab.podsReady(ns);
    published = await lab.get<PodObject>('pod', 'web', '-n', ns);
    await portmap('ADD');
  });
  afterAll(async () => {
    await portmap('DEL');
    await lab.delete([namespace(ns), otherSubnet], '--wait=true', '--timeout=60s');
  });

  /** The stock plugin, as a runtime calls it behind ours (CNI specification, "Plugin delegation" and `prevResult`). */
  const portmap = async (command: 'ADD' | 'DEL'): Promise<void> => {
    const address = (ip: string): string => `${ip}/${ip.includes(':') ? 112 : 16}`;
    const prevResult = {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: '/proc/self/ns/net' }],
      ips: addressesOf(published).map((ip) => ({ address: address(ip), interface: 0 })),
    };
    const portMappings = [{ hostPort, containerPort: 8080, protocol: 'tcp' }];
    const config = {
      cniVersion: '1.0.0',
      name: 'ovenbird',
      type: 'portmap',
      runtimeConfig: { portMappings },
      prevResult,
    };
    const variables = {
      COMMAND: command,
      CONTAINERID: 'published',
      NETNS: '/proc/self/ns/net',
      IFNAME: 'eth0',
      PATH: '/usr/lib/cni',
    };
    const env = Object.entries(variables).map(([name, value]) => `CNI_${name}=${value}`);
    const { namespace: node = '' } = lab.state.nodes[0] ?? {};
    await run(['env', ...env, '/usr/lib/cni/portmap'], { namespace: node, input: JSON.stringify(config) });
  };

  /** Asks for the name of the pod behind an address; the empty text when nobody answers. */
  const ask = `use IO::Socket::IP; my $c = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1], Timeout => 2) or exit; print {$c} "x\\n"; $c->shutdown(1); local $SIG{ALRM} = sub { exit }; alarm 2; print scalar <$c>`;
  const answers = async (
    asking: (...argv: string[]) => Promise<string>,
    addresses: readonly string[],
    port = hostPort,
  ): Promise<void> => {
    for (const address of addresses) {
      await lab.waitFor(
        `${address} port ${port} answers`,
        async () =>
          ((text) => text.includes('web') || `"${text}"`)(await asking('perl', '-e', ask, address, String(port))),
        20_000,
      );
    }
  };
  const ofNode1 = ['172.30.1.1', 'fd00:172:30::1:1'];

  it.each(['node-1', 'node-2', 'node-3'])('answers %s', async (node) => {
    await answers((...argv) => lab.onNode(node, ...argv), ofNode1);
  });

  it('answers what is outside of the cluster', async () => {
    await answers((...argv) => lab.outside(...argv), ofNode1);
  });

  it.each(['near', 'far', 'web', 'near-other', 'far-other'])('answers pod %s', async (name) => {
    const netns = (await lab.podNamespaces()).get(`${ns}/${name}`) ?? '';
    await answers((...argv) => lab.onNode('node-1', 'nsenter', `--net=${netns}`, ...argv), ofNode1);
  });

  /** What a pod is told at the published port, over both families and protocols. */
  const verdicts = async (from: string): Promise<string> => {
    const ways = ofNode1.flatMap((destination) =>
      (['tcp', 'udp'] as const).map((protocol) => ({ destination, protocol })),
    );
    const results = await lab.probe(
      ways.map((way) => ({ from: `${ns}/${from}`, ...way, port: hostPort, timeoutMs: 1000 })),
    );
    return results.map(({ verdict }) => verdict).join(' ');
  };
  const settles = async (expected: Readonly<Record<string, boolean>>): Promise<void> => {
    for (const [name, reached] of Object.entries(expected))
      await lab.waitForPackets(
        `${name} ${reached ? 'reaches' : 'does not reach'} the published port`,
        async () =>
          ((said) => (reached ? /^(open ?){4}$/.test(said) : !said.includes('open')) || said)(await verdicts(name)),
        30_000,
      );
  };

  it('is under policies about the pods that ask, wherever they are', async () => {
    await settles({ near: true, far: true, 'near-other': true, 'far-other': true });
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'some', namespace: ns },
      spec: {
        podSelector: { matchExpressions: [{ key: 'reach', operator: 'DoesNotExist' }] },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: 'reach', operator: 'Exists' }] } }] }],
      },
    };
    await lab.apply(policy);
    await settles({ near: true, far: false, 'near-other': false, 'far-other': true });
    await lab.delete([policy]);
    await settles({ far: true, 'near-other': true });
  });

  it('follows the pod, and goes with it', async () => {
    const balancers = (): Promise<string> =>
      lab.nbctl('--bare', '--columns=name,vips', 'find', 'Load_Balancer', 'external_ids:vendor=ovenbird');
    const before = await balancers();
    expect(before).toContain(`hostport_web.${ns}_tcp`);
    // One that always sends from the same ports, as agents of statistics do: OVN must not keep sending it to the old pod.
    const netns = (await lab.podNamespaces()).get(`${ns}/far-other`) ?? '';
    const ports = Array.from({ length: 40 }, (_, index) => String(40_000 + index));
    const ask = `use IO::Socket::IP; my ($to, $port, @from) = @ARGV; my @c = map { IO::Socket::IP->new(Proto => "udp", LocalPort => $_, PeerHost => $to, PeerPort => $port) or die $@ } @from; $_->send("x") for @c; local $SIG{ALRM} = sub { exit }; alarm 1; for (@c) { $_->recv(my $d, 99); print $d }`;
    const connections = async (): Promise<number> =>
      (await lab.appctl('node-2', 'dpctl/dump-conntrack'))
        .split('\n')
        .filter((line) => line.includes(`dport=${hostPort}`) && /sport=400[0-3]\d,/.test(line)).length;
    const udp = async (name: string): Promise<void> => {
      for (const address of ofNode1)
        await lab.waitForPackets(
          `${name} answers at ${address}, UDP`,
          async () => {
            const argv = ['nsenter', `--net=${netns}`, 'perl', '-e', ask, address, String(hostPort), ...ports];
            const text = await lab.onNode('node-2', ...argv).catch((error: unknown) => `"${String(error)}"`);
            return text === `${name}\n`.repeat(ports.length) || `"${text}"`;
          },
          30_000,
        );
    };
    await udp('web');
    const known = await connections();
    expect(known).toBe(ports.length * ofNode1.length);
    await lab.delete([pod(ns, 'web')], '--wait=true');
    await lab.waitFor('no load balancer is left', async () => (await balancers()).trim() === '' || balancers(), 20_000);
    await lab.waitFor(
      'connections to the pod that went are forgotten',
      async () => ((left) => left < known || `${left} left`)(await connections()),
      20_000,
    );
    // Open vSwitch's userspace datapath may leave some out of each flush (docs/decisions/0015-conformance-on-userspace-datapath.md).
    await lab.waitFor(
      'connections that the flush left out are flushed',
      async () => {
        for (const destination of [`ct_nw_dst=${ofNode1[0]}`, `ct_ipv6_dst=${ofNode1[1]}`])
          await lab.appctl('node-2', 'dpctl/flush-conntrack', `${destination},ct_nw_proto=17,ct_tp_dst=${hostPort}`);
        return await connections().then((left) => left === 0 || `${left} left`);
      },
      20_000,
    );
    await lab.apply(pod(ns, 'web-2', { node: 'node-1', hostPort, ...inOther }));
    await lab.podsReady(ns);
    await udp('web-2');
  });
});

/** The node's own rules, when somebody takes them away. */
describe('the nftables table', () => {
  const node = 'node-3';

  it.each([
    ['the whole ruleset is flushed', ['flush', 'ruleset']],
    ['the table is flushed', ['flush', 'table', 'inet', 'ovenbird']],
    ['the table is deleted', ['delete', 'table', 'inet', 'ovenbird']],
    ['the chain is flushed', ['flush', 'chain', 'inet', 'ovenbird', 'postrouting']],
    ['a set is emptied', ['flush', 'set', 'inet', 'ovenbird', 'nat4']],
    ['an element is taken away', ['delete', 'element', 'inet', 'ovenbird', 'internal6', '{ fd00:10:96::/112 }']],
    ['an element is added', ['add', 'element', 'inet', 'ovenbird', 'internal4', '{ 203.0.113.0/24 }']],
    ['a rule is put before all others', ['insert', 'rule', 'inet', 'ovenbird', 'postrouting', 'return']],
  ])('is written anew at once when %s', async (_what, command) => {
    const lab = await openLab();
    const list = async (): Promise<string> =>
      await lab.onNode(node, 'nft', '-s', 'list', 'table', 'inet', 'ovenbird').catch(() => 'no table');
    // Subnets of other tests went a moment ago.
    await settledFirewalls(lab);
    const before = await list();
    expect(before).toContain('masquerade');
    await lab.onNode(node, 'nft', ...command);
    await lab.waitFor('the table is as before', async () => ((now) => now === before || now)(await list()), 10_000);
  });
});
