import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { type Ended, exec, must, until } from './exec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { announcedPod, cni, leftovers, podObject, sandbox, type TestPod } from './pods.ts';

const node = new NodeUnderTest();
beforeAll(async () => {
  await node.start();
  await node.startAgent();
});
afterAll(() => node.stop());

const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-5000)));
const reaches = async (pod: TestPod, address: string): Promise<boolean> =>
  (await exec(['nsenter', `--net=${pod.netns}`, 'ping', '-c1', '-W1', address])).status === 0;
const empty = async (): Promise<boolean> => {
  const { ports, links } = await leftovers(node);
  return ports.length === 0 && links.length === 0;
};

/** A request, and whether it has an answer by now. */
function pending(outcome: Promise<Ended>): { readonly outcome: Promise<Ended>; ended: boolean } {
  const request = { outcome, ended: false };
  void outcome.then(() => (request.ended = true));
  return request;
}

describe('the agent restarts', () => {
  test('pods keep traffic while it is down; what vanished meanwhile is cleaned up', async () => {
    showLog();
    const [stays, goes] = await Promise.all([announcedPod(node, 1), announcedPod(node, 2)]);
    if (stays === undefined || goes === undefined) throw new Error('two pods');
    expect((await cni(node, 'ADD', stays)).status).toBe(0);
    expect((await cni(node, 'ADD', goes)).status).toBe(0);
    await node.kill('agent');
    expect(await reaches(stays, '10.16.0.1')).toBe(true);
    expect(await reaches(stays, '172.31.0.254')).toBe(true);
    expect(JSON.parse((await cni(node, 'DEL', goes)).stdout)).toMatchObject({ code: 11 });
    await node.deleteNamespace(goes.netns);
    const chassis = await node.vsctl('get', 'Open_vSwitch', '.', 'external_ids');
    await node.startAgent();
    await until('the port of the vanished pod is gone', async () => (await leftovers(node)).ports.length === 1);
    expect(await reaches(stays, '10.16.0.1')).toBe(true);
    expect(await node.vsctl('get', 'Open_vSwitch', '.', 'external_ids')).toBe(chassis);
    expect((await cni(node, 'DEL', stays)).status).toBe(0);
    expect(await empty()).toBe(true);
  });

  test('killed in the middle of ADDs it leaves nothing that DEL does not remove', async () => {
    showLog();
    const pods = await Promise.all(Array.from({ length: 8 }, (_, index) => announcedPod(node, 10 + index)));
    const adding = pods.map((pod) => cni(node, 'ADD', pod));
    await until('the first port is there', async () => (await leftovers(node)).ports.length > 0);
    await node.kill('agent');
    await Promise.all(adding);
    await node.startAgent();
    // As a runtime does after a failed ADD: DEL, then a fresh ADD.
    for (const pod of pods) expect((await cni(node, 'DEL', pod)).status).toBe(0);
    expect(await empty()).toBe(true);
    const again = await Promise.all(pods.map((pod) => cni(node, 'ADD', pod)));
    expect(again.map(({ status }) => status)).toEqual(pods.map(() => 0));
    for (const pod of pods) expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('routes over ovn0 stay while the Subnets are not listed yet', async () => {
    showLog();
    await node.kill('agent');
    const routes = async (): Promise<string> =>
      (await must(node.inNode('ip', '-4', 'route'))) + (await must(node.inNode('ip', '-6', 'route')));
    const before = await routes();
    expect(before).toContain('10.16.0.0/16 via 100.64.0.1 dev ovn0');
    node.daemon('monitor', ['ip', 'monitor', 'route', 'link']);
    await node.hold('Subnet');
    const log = node.log('agent').length;
    node.launchAgent();
    await until('the agent has looked at ovn0', async () =>
      node
        .log('agent')
        .slice(log)
        .split('\n')
        .some((line) => /"loop":"ovn0"|ovn0 configured/.test(line)),
    );
    expect(await routes()).toBe(before);
    await node.release();
    await node.agentReady();
    expect(await routes()).toBe(before);
    await node.kill('monitor');
    expect(node.log('monitor')).not.toMatch(/Deleted|ovn0/);
  });

  test('a pair that was never connected is removed at start', async () => {
    await node.kill('agent');
    await must(node.inNode('ip', 'link', 'add', 'h0123456789ab', 'type', 'veth', 'peer', 'name', 'far'));
    await must(node.inNode('ip', 'link', 'set', 'h0123456789ab', 'alias', 'ovenbird'));
    await must(node.inNode('ip', 'link', 'add', 'hffffffffffff', 'type', 'veth', 'peer', 'name', 'foreign'));
    await node.startAgent();
    const { links } = await leftovers(node);
    await must(node.inNode('ip', 'link', 'delete', 'hffffffffffff'));
    expect(links).toEqual(['hffffffffffff']);
  });

  test('SIGTERM ends it within 5 s, undoing ADDs that wait', async () => {
    showLog();
    const [unannounced, unbound] = await Promise.all([sandbox(node, 20), sandbox(node, 21)]);
    if (unannounced === undefined || unbound === undefined) throw new Error('two pods');
    await node.put('Pod', podObject(unannounced, false));
    await node.put('Pod', podObject(unbound, true)); // no northbound port: its flows never come
    const adding = [cni(node, 'ADD', unannounced), cni(node, 'ADD', unbound)];
    await until('both are in progress', async () => {
      const { ports } = await leftovers(node);
      return ports.length === 1 && (await node.query('/status')).body.includes('"busy": 2');
    });
    await Promise.race([
      node.kill('agent', 'SIGTERM'),
      new Promise((_, reject) => setTimeout(() => reject(new Error('still running after 5 s')), 5000)),
    ]);
    for (const { stdout } of await Promise.all(adding)) {
      expect(JSON.parse(stdout)).toMatchObject({ code: 11, msg: expect.stringContaining('stopping') as unknown });
    }
    expect(await empty()).toBe(true);
    await node.startAgent();
  });
});

describe('others interfere', () => {
  test('masquerade comes back after a flush, ovn0 after its removal, chassis settings after an edit', async () => {
    showLog();
    const pod = await announcedPod(node, 30);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    await must(node.inNode('nft', 'flush', 'ruleset'));
    await until('the world is reached again', () => reaches(pod, '172.31.0.254'));
    await node.vsctl('del-port', 'br-int', 'ovn0');
    await until('the world is reached again', () => reaches(pod, '172.31.0.254'));
    await node.vsctl(
      'remove',
      'Open_vSwitch',
      '.',
      'external_ids',
      'system-id',
      '--',
      'set',
      'Open_vSwitch',
      '.',
      'external_ids:mine=1',
    );
    await until('system-id is back', async () =>
      (await node.vsctl('get', 'Open_vSwitch', '.', 'external_ids')).includes('system-id=n1'),
    );
    expect(await node.vsctl('get', 'Open_vSwitch', '.', 'external_ids:mine')).toContain('1');
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('vswitchd restarts: pods and ovn0 work again', async () => {
    showLog();
    const pod = await announcedPod(node, 31);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    await node.kill('vswitchd');
    node.startSwitch();
    await until('the world is reached again', () => reaches(pod, '172.31.0.254'), 30_000);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('vswitchd is away: the same ADD again does not succeed by what was installed before', async () => {
    showLog();
    const [pod, other] = await Promise.all([announcedPod(node, 34), announcedPod(node, 35)]);
    if (pod === undefined || other === undefined) throw new Error('two pods');
    for (const one of [pod, other]) expect((await cni(node, 'ADD', one)).status).toBe(0);
    const log = node.log('agent').length;
    await node.kill('vswitchd');
    await until('the agent knows', async () => node.log('agent').slice(log).includes('ovs-vswitchd does not run'));
    const again = pending(cni(node, 'ADD', pod));
    await until('it is in progress', async () => (await node.query('/status')).body.includes('"busy": 1'));
    expect((await cni(node, 'DEL', other)).status).toBe(0);
    expect(again.ended).toBe(false);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
    expect(JSON.parse((await again.outcome).stdout)).toMatchObject({ code: 11 });
    expect(await empty()).toBe(true);
    node.startSwitch();
    await node.agentReady();
  });

  test.each([
    ['which the agent saw', 50],
    ['while the agent was away', 51],
  ])(
    'after a restart of vswitchd, %s, neither CHECK nor the same ADD believes the mark of before',
    async (when, index) => {
      showLog();
      const pod = await announcedPod(node, index);
      const added = await cni(node, 'ADD', pod);
      const config = node.cniConfig('1.0.0', { prevResult: JSON.parse(added.stdout) as unknown });
      const check = (): Promise<Ended> => cni(node, 'CHECK', pod, { config });
      expect(await check()).toMatchObject({ status: 0, stdout: '' });
      if (when === 'while the agent was away') await node.kill('agent');
      // Nobody fills the new switch.
      await node.kill('ovn-controller', 'SIGKILL');
      await node.kill('vswitchd');
      node.startSwitch();
      if (when === 'while the agent was away') node.launchAgent();
      const answer = await until('switch and agent answer', async () => {
        const ended = await check();
        if (ended.status === 0 || ended.stdout.includes('flows')) return ended;
        throw new Error(ended.stdout);
      });
      const missing = expect.stringContaining('has not installed the flows') as unknown;
      expect(JSON.parse(answer.stdout || '{}')).toMatchObject({ code: 11, msg: missing });
      expect(await node.vsctl('list', 'Interface')).toContain('ovn-installed="true"');
      const again = pending(cni(node, 'ADD', pod));
      await until('it is in progress', async () => (await node.query('/status')).body.includes('"busy": 1'));
      // A runtime that lists nothing as valid: what it asks for meanwhile is not its business.
      const gc = node.cniConfig('1.1.0', { 'cni.dev/valid-attachments': [] });
      expect((await node.cni({ command: 'GC', config: gc })).status).toBe(0);
      expect(again.ended).toBe(false);
      node.startController();
      expect((await again.outcome).stdout).toBe(added.stdout);
      expect(await reaches(pod, '10.16.0.1')).toBe(true);
      expect(await check()).toMatchObject({ status: 0, stdout: '' });
      expect((await cni(node, 'DEL', pod)).status).toBe(0);
      await node.agentReady();
    },
  );

  test.each([
    ['its own name', 36],
    ['another name', 38],
  ])('a mark ovn-installed that was there before is not believed (%s)', async (name, index) => {
    showLog();
    const [pod, other] = await Promise.all([announcedPod(node, index), announcedPod(node, index + 1)]);
    if (pod === undefined || other === undefined) throw new Error('two pods');
    for (const one of [pod, other]) expect((await cni(node, 'ADD', one)).status).toBe(0);
    expect((await cni(node, 'DEL', other)).status).toBe(0);
    const [link = ''] = (await leftovers(node)).ports;
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
    expect((await cni(node, 'ADD', other)).status).toBe(0);
    await node.kill('ovn-controller', 'SIGKILL');
    const stale = name === 'another name' ? 'stale0' : link;
    const ids = { 'iface-id': `${pod.name}.default`, 'iface-id-ver': pod.uid, 'ovn-installed': 'true' };
    const columns = Object.entries(ids).map(([key, value]) => `external_ids:${key}=${value}`);
    await node.vsctl('add-port', 'br-int', stale, '--', 'set', 'Interface', stale, ...columns);
    const adding = pending(cni(node, 'ADD', pod));
    await until('vswitchd has opened the port', async () =>
      /^\d/.test(await node.vsctl('get', 'Interface', link, 'ofport')),
    );
    expect((await cni(node, 'DEL', other)).status).toBe(0);
    expect(adding.ended).toBe(false);
    expect(await node.vsctl('get', 'Interface', link, 'external_ids')).not.toContain('ovn-installed');
    node.startController();
    expect((await adding.outcome).status).toBe(0);
    expect(await node.vsctl('list-ports', 'br-int')).not.toContain('stale0');
    await until('the gateway is reached', () => reaches(pod, '10.16.0.1'));
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
    expect(await empty()).toBe(true);
  });

  test('a forward chain with policy drop: iptables is opened, another firewall is reported on the Node', async () => {
    showLog();
    const pod = await announcedPod(node, 32);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    expect(await reaches(pod, '172.31.0.254')).toBe(true);
    const docker = 'table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }\n';
    await must(node.inNode('nft', '-f', '-'), { input: docker });
    await until('the world is reached again', () => reaches(pod, '172.31.0.254'));
    await must(node.inNode('nft', 'delete', 'table', 'ip', 'filter'));
    const admin = 'table inet site { chain forwarding { type filter hook forward priority 0; policy drop; }; }\n';
    await must(node.inNode('nft', '-f', '-'), { input: admin });
    await until('an Event names the chain', async () =>
      JSON.stringify(await node.list('Event')).includes('inet site forwarding'),
    );
    expect(await must(node.inNode('nft', 'list', 'table', 'inet', 'site'))).not.toContain('ovn0');
    await must(node.inNode('nft', 'delete', 'table', 'inet', 'site'));
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('the FORWARD chain of the older iptables is opened at start, and when the Node changes', async () => {
    showLog();
    const pod = await announcedPod(node, 33);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    const filter = async (program: string): Promise<string> => await must(node.inNode(program, '-S', 'FORWARD'));
    await must(node.inNode('iptables-legacy', '-P', 'FORWARD', 'DROP'));
    await must(node.inNode('ip6tables-legacy', '-A', 'FORWARD', '-j', 'REJECT'));
    expect(await reaches(pod, '172.31.0.254')).toBe(false);
    const [object] = (await node.list('Node')) as [{ metadata: { annotations: Record<string, string> } }];
    const annotations = { ...object.metadata.annotations, 'example.com/heartbeat': '1' };
    await node.put('Node', { ...object, metadata: { ...object.metadata, annotations } } as never);
    await until('the world is reached again', () => reaches(pod, '172.31.0.254'));
    await until('the IPv6 world is reached again', () => reaches(pod, 'fd00:172::254'));
    const accepted = await filter('iptables-legacy');
    expect(accepted).toContain('-A FORWARD -i ovn0 -m comment --comment ovenbird -j ACCEPT');
    await node.put('Node', object as never);
    await until('it looked again', async () => (await node.query('/status')).body.includes('ip6tables-legacy FORWARD'));
    expect(await filter('iptables-legacy')).toBe(accepted);
    for (const program of ['iptables-legacy', 'ip6tables-legacy']) {
      await must(node.inNode(program, '-F', 'FORWARD'));
      await must(node.inNode(program, '-P', 'FORWARD', 'ACCEPT'));
    }
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('a Subnet that comes and goes changes routes and masquerade', async () => {
    showLog();
    const subnet = {
      apiVersion: 'ovenbird.io/v1',
      kind: 'Subnet',
      metadata: { name: 'more' },
      spec: { cidrBlock: '10.77.0.0/16', natOutgoing: true },
    };
    const other = {
      ...subnet,
      metadata: { name: 'foreign' },
      spec: { ...subnet.spec, vpc: 'elsewhere', cidrBlock: '10.78.0.0/16' },
    };
    await node.put('Subnet', other);
    await node.put('Subnet', subnet);
    const routes = (): Promise<string> => must(node.inNode('ip', 'route', 'show', 'dev', 'ovn0'));
    const nft = (): Promise<string> => must(node.inNode('nft', 'list', 'set', 'inet', 'ovenbird', 'nat4'));
    await until(
      'route and masquerade',
      async () => (await routes()).includes('10.77.0.0/16 via 100.64.0.1') && (await nft()).includes('10.77.0.0/16'),
    );
    expect(`${await routes()}${await nft()}`).not.toContain('10.78');
    await node.remove('Subnet', 'more');
    await until('both are gone', async () => !(await routes()).includes('10.77') && !(await nft()).includes('10.77'));
  });
});

test('memory stays below 120 MB', async () => {
  const status = await must(['cat', `/proc/${node.pid('agent') ?? 0}/status`]);
  const kilobytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
  expect(kilobytes / 1024).toBeLessThan(120);
});
