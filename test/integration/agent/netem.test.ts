import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must, until } from './exec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { announcedPod, cni, podObject, type TestPod } from './pods.ts';

const node = new NodeUnderTest();

/**
 * Stands for `tc` of a kernel with netem, which kernels of test machines often lack: writes down what is asked, and has
 * pfifo do it. While the file `absent` exists it answers as a kernel without it.
 */
const standIn = (directory: string): string => `#!/bin/sh
case " $* " in
*' netem '*)
  echo "$*" >> ${directory}/asked
  if [ -e ${directory}/absent ]; then
    echo 'Error: Specified qdisc kind is unknown.' >&2
    exit 2
  fi
  before=
  for word; do
    [ "$word" = netem ] && break
    before="$before $word"
  done
  exec /sbin/tc $before pfifo limit 1000 ;;
*' show '*)
  /sbin/tc "$@" | sed 's/"kind":"pfifo"/"kind":"netem"/' ;;
*)
  echo "$*" >> ${directory}/asked
  exec /sbin/tc "$@" ;;
esac
`;

beforeAll(async () => {
  mkdirSync(node.path('stand-in'));
  writeFileSync(node.path('stand-in/tc'), standIn(node.directory));
  chmodSync(node.path('stand-in/tc'), 0o755);
  node.environment['PATH'] = `${node.path('stand-in')}:${process.env['PATH']}`;
  await node.start();
  await node.startAgent();
});
afterAll(() => node.stop());

const put = async (pod: TestPod, annotations: Record<string, string>): Promise<void> => {
  const object = podObject(pod, true, 'Running');
  const all = { ...object.metadata.annotations, ...annotations };
  await node.put('Pod', { ...object, metadata: { ...object.metadata, annotations: all } });
};
const asked = (): readonly string[] =>
  existsSync(node.path('asked')) ? readFileSync(node.path('asked'), 'utf8').trim().split('\n') : [];
/** Waits until `tc` was asked for something about a link. */
const wasAsked = (wanted: string): Promise<unknown> =>
  until(wanted, async () => {
    if (asked().includes(wanted)) return true;
    throw new Error(`asked: ${asked().join('; ')}`);
  });
/** Host end of a pod's interface, and what is recorded as its netem. */
async function interfaceOf(pod: TestPod): Promise<{ readonly link: string; readonly netem: string }> {
  const columns = ['--format=csv', '--no-headings', '--data=bare', '--columns=name,external_ids'];
  const found = await node.vsctl(...columns, 'find', 'Interface', `external_ids:pod_name=${pod.name}`);
  return { link: found.slice(0, found.indexOf(',')), netem: /netem=(.*?)( [a-z_-]+=|"|$)/.exec(found)?.[1] ?? '' };
}
const recorded = (pod: TestPod, text: string): Promise<unknown> =>
  until(`"${text}" of ${pod.name} is recorded`, async () => {
    const { netem } = await interfaceOf(pod);
    if (netem === text) return true;
    throw new Error(`recorded: "${netem}"`);
  });

describe('delay and loss', () => {
  test('are set, changed and taken away while the pod runs; an agent that starts changes nothing', async () => {
    const pod = await announcedPod(node, 1);
    expect(await cni(node, 'ADD', pod)).toMatchObject({ status: 0 });
    const { link } = await interfaceOf(pod);
    await put(pod, { 'ovn.kubernetes.io/latency': '20', 'ovn.kubernetes.io/jitter': '5' });
    await wasAsked(`qdisc replace dev ${link} root netem delay 20ms 5ms`);
    await recorded(pod, 'delay 20ms 5ms');
    await node.kill('agent', 'SIGTERM');
    node.launchAgent();
    await node.agentReady();
    await put(pod, { 'ovn.kubernetes.io/loss': '1.5', 'ovn.kubernetes.io/limit': '50' });
    await wasAsked(`qdisc replace dev ${link} root netem loss 1.5% limit 50`);
    await put(pod, {});
    await wasAsked(`qdisc del dev ${link} root`);
    await recorded(pod, '');
    expect(asked()).toHaveLength(3);
    expect(await must(node.inNode('tc', 'qdisc', 'show', 'dev', link))).not.toContain('pfifo');
  });

  test('stand behind the limit of the bandwidth capability, which stays', async () => {
    const pod = await announcedPod(node, 2);
    await put(pod, { 'ovn.kubernetes.io/latency': '30' });
    const bandwidth = { ingressRate: 1_000_000, ingressBurst: 100_000 };
    const config = node.cniConfig('1.0.0', { runtimeConfig: { bandwidth } });
    expect(await cni(node, 'ADD', pod, { config })).toMatchObject({ status: 0 });
    const { link } = await interfaceOf(pod);
    await recorded(pod, 'delay 30ms');
    const shown = await must(node.inNode('tc', 'qdisc', 'show', 'dev', link));
    const handle = /qdisc tbf ([0-9a-f]+:) root/.exec(shown)?.[1];
    expect(shown).toContain(`parent ${handle}1`);
    await put(pod, {});
    await wasAsked(`qdisc del dev ${link} parent ${handle}1`);
    expect(await must(node.inNode('tc', 'qdisc', 'show', 'dev', link))).toContain('qdisc tbf');
  });

  test('of further interfaces are said by their provider, or for one of them', async () => {
    const pod = await announcedPod(node, 4);
    const further = (name: string, index: number) => ({
      name,
      provider: 'blue.default.ovn',
      port: `nic_${pod.name}.default_${name}`,
      subnet: 'net',
      mac: `02:00:00:00:44:0${index}`,
      addresses: [{ address: `10.16.44.${index}`, prefix: 16, gateway: '10.16.0.1' }],
    });
    const all = [further('net1', 1), further('net2', 2)];
    for (const { port, mac, addresses } of all)
      await node.nbctl(
        ['lsp-add', 'net', port],
        ['lsp-set-addresses', port, `${mac} ${addresses[0]?.address}`],
        ['lsp-set-options', port, `iface-id-ver=${pod.uid}`],
      );
    const announced = { 'ovenbird.io/interfaces': JSON.stringify(all) };
    await put(pod, announced);
    const links: string[] = [];
    for (const ifname of ['eth0', 'net1', 'net2']) {
      const { status, stdout } = await cni(node, 'ADD', pod, { ifname });
      expect(status, stdout).toBe(0);
      links.push((JSON.parse(stdout) as { interfaces: { name: string }[] }).interfaces[0]?.name ?? '');
    }
    const [first, one, two] = links;
    await put(pod, {
      ...announced,
      'blue.default.ovn.kubernetes.io/latency': '7',
      'blue.default.ovn.kubernetes.io/latency.net2': '9',
      'blue.default.ovn.kubernetes.io/loss.net2': '2',
    });
    await wasAsked(`qdisc replace dev ${one} root netem delay 7ms`);
    await wasAsked(`qdisc replace dev ${two} root netem delay 9ms loss 2%`);
    expect(asked().join()).not.toContain(`dev ${first} `);
    await put(pod, { ...announced, 'blue.default.ovn.kubernetes.io/latency': '7' });
    await wasAsked(`qdisc replace dev ${two} root netem delay 7ms`);
    await put(pod, announced);
    await wasAsked(`qdisc del dev ${one} root`);
    await wasAsked(`qdisc del dev ${two} root`);
  });

  test('where the kernel has none, the node says so until nobody asks any more', async () => {
    const pod = await announcedPod(node, 3);
    writeFileSync(node.path('absent'), '');
    expect(await cni(node, 'ADD', pod)).toMatchObject({ status: 0 });
    const { link } = await interfaceOf(pod);
    const says = (reason: string): Promise<unknown> =>
      until(reason, async () => JSON.stringify(await node.list('Node')).includes(reason));
    await put(pod, { 'ovn.kubernetes.io/latency': '40' });
    await says('KernelWithoutNetem');
    expect(asked().filter((line) => line.includes(link))).toHaveLength(1);
    await put(pod, {});
    await says('NothingLacks');
    rmSync(node.path('absent'));
    await put(pod, { 'ovn.kubernetes.io/latency': '40' });
    await recorded(pod, 'delay 40ms');
  });
});
