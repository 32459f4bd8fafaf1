import { run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** What pods publish on their node, and how they reach themselves. */
describe('a published port', () => {
  let lab: TestLab;
  const ns = 'reach';
  const hostPort = 18_085;
  let published: PodObject;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      pod(ns, 'web', { node: 'node-1' }),
      pod(ns, 'near', { node: 'node-1' }),
      pod(ns, 'far', { node: 'node-2' }),
    );
    await lab.podsReady(ns);
    published = await lab.get<PodObject>('pod', 'web', '-n', ns);
    await portmap('ADD');
  });
  afterAll(async () => {
    await portmap('DEL');
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
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

  it.each(['near', 'far', 'web'])('answers pod %s', async (name) => {
    const netns = (await lab.podNamespaces()).get(`${ns}/${name}`) ?? '';
    await answers((...argv) => lab.onNode('node-1', 'nsenter', `--net=${netns}`, ...argv), ofNode1);
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
  ])('is written anew at once when %s', async (_what, command) => {
    const lab = await openLab();
    const list = async (): Promise<string> =>
      await lab.onNode(node, 'nft', '-s', 'list', 'table', 'inet', 'ovenbird').catch(() => 'no table');
    const before = await list();
    expect(before).toContain('masquerade');
    await lab.onNode(node, 'nft', ...command);
    await lab.waitFor('the table is as before', async () => ((now) => now === before || now)(await list()), 10_000);
  });
});
