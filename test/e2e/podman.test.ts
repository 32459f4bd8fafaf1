import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod, subnet } from '../src/objects.ts';
import { Podman } from '../src/podman.ts';

const ns = 'podman';
const inOther = { 'ovn.kubernetes.io/logical_switch': 'podman-other' };
const otherSubnet = subnet('podman-other', { cidrBlock: '10.199.86.0/24,fd00:10:199:86::/112' });

/** podman's CNI backend as Debian ships it: containers outside of Kubernetes in a Subnet, beside pods. */
describe('podman', () => {
  let lab: TestLab;
  let podman: Podman;

  beforeAll(async () => {
    lab = await openLab();
    podman = await Podman.start(lab, 'node-1', 'ovn-default');
    await lab.apply(
      namespace(ns),
      pod(ns, 'a', { node: 'node-2', annotations: { 'ovn.kubernetes.io/ip_address': '10.16.203.2' } }),
      otherSubnet,
      pod(ns, 'b', { node: 'node-3', annotations: inOther }),
    );
    await lab.podsReady(ns, 30);
  });
  afterAll(async () => {
    await podman[Symbol.asyncDispose]();
    await lab.delete([namespace(ns), otherSubnet], '--wait=true', '--timeout=60s');
  });

  const reaches = async (name: string, address: string): Promise<void> => {
    await lab.waitFor(
      `${name} reaches ${address}`,
      async () => {
        const { code, stdout, stderr } = await podman.call('exec', name, 'ping', '-c1', '-W2', address);
        return code === 0 || `${stdout}${stderr}`;
      },
      20_000,
    );
  };
  const attached = async (): Promise<readonly string[]> =>
    (await lab.kubectl(['get', 'ips', '-l', 'ovenbird.io/attachment=true', '-o', 'name'])).split('\n').filter(Boolean);

  it('a container gets the address and the MAC that podman asks for, and reaches pods', async () => {
    const said = await podman.run(
      'web',
      ['--ip', '10.16.203.10', '--mac-address', '02:00:00:00:20:10', '--publish', '18090:80'],
      ['/bin/httpd', '-f', '-p', '80', '-h', '/www'],
    );
    expect(said.code, said.stderr).toBe(0);
    const link = await podman.must('exec', 'web', 'ip', 'address', 'show', 'dev', 'eth0');
    expect(link).toContain('inet 10.16.203.10/16');
    expect(link).toContain('02:00:00:00:20:10');
    await reaches('web', '10.16.203.2');
    const found = await podman.must('inspect', '--format', '{{.NetworkSettings.Networks.ovn.IPAddress}}', 'web');
    expect(found).toBe('10.16.203.10');
  });

  it('a published port is reached from outside of the cluster', async () => {
    await lab.waitFor(
      'the page',
      async () => {
        const text = await lab.outside('sh', '-c', 'timeout 2 busybox wget -qO- http://172.30.1.1:18090/ || true');
        return text === 'served by busybox\n' || text;
      },
      20_000,
    );
  });

  it.each(['a', 'b'])(
    'a published port is reached from pod %s, whatever its subnet, in both families',
    async (name) => {
      const netns = (await lab.podNamespaces()).get(`${ns}/${name}`) ?? '';
      const node = name === 'a' ? 'node-2' : 'node-3';
      for (const address of ['172.30.1.1', '[fd00:172:30::1:1]'])
        await lab.waitForPackets(
          `the page at ${address}`,
          async () => {
            const fetch = `timeout 2 busybox wget -qO- http://${address}:18090/ || true`;
            const text = await lab.onNode(node, 'nsenter', `--net=${netns}`, 'sh', '-c', fetch);
            return text === 'served by busybox\n' || text;
          },
          20_000,
        );
    },
  );

  it('an address that is taken is refused with the reason, and nothing is left', async () => {
    const before = await attached();
    const said = await podman.run('other', ['--ip', '10.16.203.2']);
    expect(said.code).not.toBe(0);
    expect(said.stderr).toContain(`10.16.203.2 of subnet "ovn-default" is held by Pod/${ns}/a`);
    await podman.must('rm', '--force', 'other');
    expect(await attached()).toEqual(before);
  });

  it('keeps its address over a reload of its network and a restart of the agent', async () => {
    await podman.must('network', 'reload', 'web');
    await lab.restartProcess('node-1.agent');
    await reaches('web', '10.16.203.2');
    expect(await podman.must('exec', 'web', 'ip', 'address', 'show', 'dev', 'eth0')).toContain('10.16.203.10/16');
  });

  it('takes everything with it', async () => {
    await podman.must('rm', '--force', '--time', '0', 'web');
    await lab.waitFor(
      'its IP object is gone',
      async () => ((names) => names.length === 0 || names.join())(await attached()),
      15_000,
    );
    await lab.waitFor(
      'its port is gone',
      async () => {
        const ports = await lab.nbctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port');
        return !ports.includes('attached_') || ports;
      },
      15_000,
    );
    expect(await lab.nbctl('--bare', '--columns=name', 'list', 'Load_Balancer')).not.toContain('hostport_attached');
    const links = await lab.onNode('node-1', 'ip', '-o', 'link', 'show', 'type', 'veth');
    expect(links).not.toMatch(/: h[0-9a-f]{12}@/);
    expect(await lab.onNode('node-1', 'iptables-save', '-t', 'nat')).not.toContain('18090');
  });
});
