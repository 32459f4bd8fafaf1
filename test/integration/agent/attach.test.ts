import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from './exec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { announcedPod, argsOf, cni, leftovers, podObject, portCommands, sandbox, type TestPod } from './pods.ts';

const node = new NodeUnderTest();
beforeAll(async () => {
  await node.start();
  await node.startAgent();
});
afterAll(() => node.stop());

const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-4000)));
const ping = (pod: TestPod, address: string): Promise<unknown> =>
  until(`${pod.name} reaches ${address}`, async () => {
    const result = await exec(['nsenter', `--net=${pod.netns}`, 'ping', '-c1', '-W1', address]);
    return result.status === 0;
  });
const errorOf = (stdout: string): { code: number; msg: string } => JSON.parse(stdout) as { code: number; msg: string };

describe('ADD and DEL', () => {
  test('ADD connects the pod, DEL leaves nothing', async () => {
    showLog();
    const pod = await announcedPod(node, 1);
    const added = await cni(node, 'ADD', pod);
    expect(added).toMatchObject({ status: 0, stderr: '' });
    const result = JSON.parse(added.stdout) as Record<string, unknown>;
    expect(result).toMatchObject({
      cniVersion: '1.0.0',
      interfaces: [
        { name: expect.stringMatching(/^h[0-9a-f]{12}$/) as unknown },
        { name: 'eth0', mac: pod.mac, sandbox: pod.netns },
      ],
      ips: [
        { address: `${pod.ip4}/16`, gateway: '10.16.0.1', interface: 1 },
        { address: `${pod.ip6}/112`, gateway: 'fd00:10:16::1', interface: 1 },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.16.0.1' },
        { dst: '::/0', gw: 'fd00:10:16::1' },
      ],
    });
    // The flows are there when ADD returns: the very first packet passes.
    expect((await exec(['nsenter', `--net=${pod.netns}`, 'ping', '-c1', '-W2', '10.16.0.1'])).status).toBe(0);
    await ping(pod, 'fd00:10:16::1');
    const link = JSON.parse(await must(['nsenter', `--net=${pod.netns}`, 'ip', '-json', 'link', 'show', 'eth0'])) as {
      mtu: number;
    }[];
    expect(link[0]?.mtu).toBe(1500 - 58);
    expect((await cni(node, 'CHECK', pod, { config: node.cniConfig('1.0.0', { prevResult: result }) })).status).toBe(0);
    expect(await cni(node, 'DEL', pod)).toMatchObject({ status: 0, stdout: '' });
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
    expect((await exec(['nsenter', `--net=${pod.netns}`, 'ip', 'link', 'show', 'eth0'])).status).not.toBe(0);
    expect(await cni(node, 'DEL', pod)).toMatchObject({ status: 0, stdout: '' });
    await node.deleteNamespace(pod.netns);
    expect(await cni(node, 'DEL', pod, { netns: '' })).toMatchObject({ status: 0, stdout: '' });
  });

  test('node and pod reach each other, the pod reaches the world with the address of the node', async () => {
    showLog();
    const pod = await announcedPod(node, 2);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    for (const address of [pod.ip4, pod.ip6]) {
      await until(
        `the node reaches ${address}`,
        async () => (await exec(node.inNode('ping', '-c1', '-W1', address))).status === 0,
      );
    }
    for (const address of ['100.64.0.2', '172.31.0.1', '172.31.0.254', 'fd00:172::254']) await ping(pod, address);
    // The world has no route to pods, so its replies prove the masquerade.
    expect(await must(node.inNode('nft', 'list', 'table', 'inet', 'ovenbird'))).toContain('10.16.0.0/16');
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('the same ADD again returns the same result and changes nothing', async () => {
    showLog();
    const pod = await announcedPod(node, 3);
    const first = await cni(node, 'ADD', pod);
    const before = await node.vsctl('--columns=_uuid,name', 'list', 'Interface');
    const second = await cni(node, 'ADD', pod);
    expect(second).toEqual(first);
    expect(await node.vsctl('--columns=_uuid,name', 'list', 'Interface')).toBe(before);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('DEL, then ADD in the same namespace with the same container id (podman network reload)', async () => {
    const pod = await announcedPod(node, 4);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
    expect((await cni(node, 'ADD', pod)).status).toBe(0);
    await ping(pod, '10.16.0.1');
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('a second sandbox of the same pod takes over; DEL of the first leaves it alone', async () => {
    showLog();
    const first = await announcedPod(node, 5);
    expect((await cni(node, 'ADD', first)).status).toBe(0);
    const second: TestPod = { ...first, containerId: 'c5b', netns: await node.podNamespace('c5b') };
    expect((await cni(node, 'ADD', second)).status).toBe(0);
    await ping(second, '10.16.0.1');
    expect((await cni(node, 'DEL', first)).status).toBe(0);
    await ping(second, '10.16.0.1');
    expect((await cni(node, 'DEL', second)).status).toBe(0);
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('a static pod is attached by the UID of its manifest; its mirror may be deleted and made anew', async () => {
    showLog();
    const pod = await sandbox(node, 6);
    // As kubelet makes it (kubernetes, pkg/kubelet/pod, `CreateMirrorPod`).
    const mirror = (uid: string): Promise<unknown> => {
      const object = podObject(pod, true);
      const annotations = { ...object.metadata.annotations, 'kubernetes.io/config.mirror': pod.uid };
      return node.put('Pod', { ...object, metadata: { ...object.metadata, uid, annotations } });
    };
    await node.nbctl(...portCommands(pod));
    await mirror('mirror-1');
    const added = await cni(node, 'ADD', pod);
    expect(added).toMatchObject({ status: 0, stderr: '' });
    await ping(pod, '10.16.0.1');
    await node.remove('Pod', pod.name, 'default');
    await mirror('mirror-2');
    const config = node.cniConfig('1.0.0', { prevResult: JSON.parse(added.stdout) as unknown });
    await until('CHECK is content', async () => {
      const { status, stdout } = await cni(node, 'CHECK', pod, { config });
      if (status !== 0) throw new Error(stdout);
      return true;
    });
    expect((await cni(node, 'ADD', pod)).stdout).toBe(added.stdout);
    const other = await cni(node, 'ADD', { ...pod, uid: 'mirror-2' });
    expect(errorOf(other.stdout)).toMatchObject({ code: 11, msg: expect.stringContaining('UID') as unknown });
    await ping(pod, '10.16.0.1');
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('20 at once: distinct, no error, nothing left', async () => {
    showLog();
    const pods = await Promise.all(Array.from({ length: 20 }, (_, index) => announcedPod(node, 20 + index)));
    const added = await Promise.all(pods.map((pod) => cni(node, 'ADD', pod)));
    expect(added.map(({ status, stdout }) => (status === 0 ? 0 : stdout))).toEqual(pods.map(() => 0));
    expect((await leftovers(node)).ports).toHaveLength(20);
    for (const pod of pods) await ping(pod, '10.16.0.1');
    const deleted = await Promise.all(pods.map((pod) => cni(node, 'DEL', pod)));
    expect(deleted.map(({ status }) => status)).toEqual(pods.map(() => 0));
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });
});

describe('ADD that waits', () => {
  test('waits for the announcement', async () => {
    const pod = await sandbox(node, 50);
    await node.put('Pod', podObject(pod, false));
    const adding = cni(node, 'ADD', pod);
    await until('the agent is busy', async () => (await node.query('/status')).body.includes('"busy": 1'));
    await node.nbctl(...portCommands(pod));
    await node.put('Pod', podObject(pod, true));
    expect((await adding).status).toBe(0);
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
  });

  test('DEL ends an ADD that waits, at once and without leftovers', async () => {
    const pod = await sandbox(node, 51);
    await node.put('Pod', podObject(pod, false));
    const adding = cni(node, 'ADD', pod);
    await until('the agent is busy', async () => (await node.query('/status')).body.includes('"busy": 1'));
    expect((await cni(node, 'DEL', pod)).status).toBe(0);
    const ended = await adding;
    expect(ended.status).not.toBe(0);
    expect(errorOf(ended.stdout)).toMatchObject({ code: 11, msg: expect.stringContaining('DEL') as unknown });
    expect(await leftovers(node)).toEqual({ ports: [], links: [] });
  });

  test('a pod deleted meanwhile ends the wait', async () => {
    const pod = await sandbox(node, 52);
    await node.put('Pod', podObject(pod, false));
    const adding = cni(node, 'ADD', pod);
    await until('the agent is busy', async () => (await node.query('/status')).body.includes('"busy": 1'));
    await node.remove('Pod', pod.name, 'default');
    expect(errorOf((await adding).stdout)).toMatchObject({
      code: 11,
      msg: expect.stringContaining('deleted') as unknown,
    });
  });

  test('a client that is killed leaves nothing', async () => {
    const pod = await sandbox(node, 53);
    await node.put('Pod', podObject(pod, true)); // no northbound port: the flows never come
    const { spawn } = await import('node:child_process');
    const { SHIM } = await import('./node-under-test.ts');
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_PATH: '/',
      CNI_IFNAME: 'eth0',
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_ARGS: argsOf(pod),
    };
    const child = spawn(SHIM, { env, stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.end(JSON.stringify(node.cniConfig('1.0.0')));
    await until('the port is there', async () => (await leftovers(node)).ports.length === 1);
    child.kill('SIGKILL');
    await until('it is undone', async () => {
      const { ports, links } = await leftovers(node);
      return ports.length === 0 && links.length === 0;
    });
  });
});
