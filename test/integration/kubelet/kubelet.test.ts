import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { EVENTS, LEASES, NODES } from '@ovenbird/kube';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { netnsName } from '../../../deploy/lab/src/kubelet/pod-record.ts';
import { probeAll } from '../../../deploy/lab/src/kubelet/prober.ts';
import { isReady, LAB_PODS } from '../../../deploy/lab/src/workloads/objects.ts';
import { Cluster, follow, run } from './cluster.ts';

const cluster = new Cluster('kubelet');

beforeAll(async () => {
  await cluster.start({ kubelet: true });
});

afterAll(async () => {
  await cluster.stop();
});

/** A test that failed must not make the next ones fail. */
afterEach(async () => {
  cluster.refuse(false);
  for (const { metadata } of await cluster.pods()) {
    await cluster.client
      .resource(LAB_PODS)
      .delete({ namespace: 'default', name: metadata.name }, { gracePeriodSeconds: 0 });
    await cluster.gone(metadata.name);
  }
});

function leftovers(): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith(`${cluster.prefix}-`) && name !== cluster.netns);
}

describe('nodes', () => {
  test('are registered and get Ready with their conflist', async () => {
    const ready = async (name: string): Promise<string | undefined> =>
      (await cluster.client.resource(NODES).find({ name }))?.status?.conditions?.find(({ type }) => type === 'Ready')
        ?.status;
    await cluster.until('node-1 not ready', async () => ((await ready('node-1')) === 'False' ? true : undefined));
    for (const node of cluster.nodes) cluster.allowNode(node);
    for (const node of cluster.nodes) {
      await cluster.until(`${node} ready`, async () => ((await ready(node)) === 'True' ? true : undefined));
    }
    const node = await cluster.client.resource(NODES).get({ name: 'node-2' });
    expect(node.status?.addresses).toContainEqual({ type: 'InternalIP', address: '2001:db8::2' });
    await cluster.until('a lease', async () =>
      cluster.client.resource(LEASES).find({ namespace: 'kube-node-lease', name: 'node-1' }),
    );
  });
});

describe('pods', () => {
  test('answer on their ports, with one status patch, and leave nothing', async () => {
    const ports = [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' as const }];
    const made = await cluster.pod('web', { nodeName: 'node-1', containers: [{ name: 'main', image: 'x', ports }] });
    const versions: string[] = [];
    const pod = await cluster.phase('web', 'Running');
    versions.push(pod.metadata.resourceVersion ?? '');
    expect(isReady(pod)).toBe(true);
    expect(pod.status?.hostIP).toBe('192.0.2.1');
    expect(pod.status?.podIPs).toHaveLength(2);
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({ ready: true, restartCount: 0, image: 'x' });
    const results = await probeAll(
      (pod.status?.podIPs ?? []).flatMap(({ ip }) => [
        { netns: cluster.netns, protocol: 'tcp' as const, destination: ip, port: 80 },
        { netns: cluster.netns, protocol: 'udp' as const, destination: ip, port: 53 },
      ]),
    );
    expect(results.map(({ text }) => text)).toEqual(['web', 'web', 'web', 'web']);
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'web' });
    await cluster.gone('web');
    expect(existsSync(`/run/netns/${netnsName(cluster.prefix, made.metadata.uid ?? '')}`)).toBe(false);
    const calls = cluster.calls().filter((call) => call.includes(`K8S_POD_UID=${made.metadata.uid}`));
    expect(calls.map((call) => call.split(' ')[0])).toEqual(['ADD', 'DEL']);
    expect(calls[0]).toContain('IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;');
    const node = execFileSync('ip', ['-n', cluster.netns, '-br', 'link'], { encoding: 'utf8' });
    expect(node).not.toMatch(/^h[0-9a-f]{12}/m);
  });

  test('a plugin that refuses is told as an event and tried again', async () => {
    cluster.refuse(true);
    await cluster.pod('late', { nodeName: 'node-1' });
    await cluster.until('a warning', () =>
      cluster.warnings.some((text) => text.includes('late FailedCreatePodSandBox') && text.includes('no address yet'))
        ? true
        : undefined,
    );
    cluster.refuse(false);
    await cluster.phase('late', 'Running');
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'late' });
    await cluster.gone('late');
  });

  test('commands: environment, exit codes, restart policy, init containers', async () => {
    const sh = (script: string): string[] => ['sh', '-c', script];
    await cluster.pod('ends', {
      restartPolicy: 'Never',
      initContainers: [{ name: 'init', command: sh('echo first') }],
      containers: [
        {
          name: 'main',
          command: sh('echo "$WHO at $IP sees $(ip -o -4 addr show eth0 | grep -c 198.18)"; echo $(WHO) >&2'),
          env: [
            { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          ],
        },
      ],
    });
    const ends = await cluster.phase('ends', 'Succeeded');
    expect(ends.status?.conditions?.find(({ type }) => type === 'Ready')?.reason).toBe('PodCompleted');
    expect(await cluster.kubectl('logs', 'ends')).toBe(`ends at ${ends.status?.podIP} sees 1\nends\n`);
    expect(await cluster.kubectl('logs', 'ends', '-c', 'init')).toBe('first\n');
    expect(await cluster.kubectl('logs', 'ends', '--tail=1')).toBe('ends\n');
    // A pod that has ended gave its network back.
    expect(existsSync(`/run/netns/${netnsName(cluster.prefix, ends.metadata.uid ?? '')}`)).toBe(false);
    await cluster.pod('fails', { restartPolicy: 'Never', containers: [{ name: 'main', command: sh('exit 7') }] });
    const fails = await cluster.phase('fails', 'Failed');
    expect(fails.status?.containerStatuses?.[0]?.state.terminated).toMatchObject({ exitCode: 7, reason: 'Error' });
    await cluster.pod('loops', { containers: [{ name: 'main', command: sh('exit 3') }] });
    const loops = await cluster.until('a restart', async () => {
      const pod = await cluster.client.resource(LAB_PODS).get({ namespace: 'default', name: 'loops' });
      return (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) > 1 ? pod : undefined;
    });
    expect(loops.status?.phase).toBe('Running');
    expect(loops.status?.containerStatuses?.[0]?.lastState.terminated?.exitCode).toBe(3);
    for (const name of ['ends', 'fails', 'loops']) {
      await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name });
      await cluster.gone(name);
    }
  });

  test('SIGTERM first, SIGKILL after the grace period, and no process stays', async () => {
    const polite = 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.1; done';
    await cluster.pod('polite', { containers: [{ name: 'main', command: ['sh', '-c', polite] }] });
    const stubborn = 'trap "" TERM; setsid sleep 1000 & while :; do sleep 0.1; done';
    await cluster.pod('stubborn', {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', command: ['sh', '-c', stubborn] }],
    });
    await cluster.phase('polite', 'Running');
    const pod = await cluster.phase('stubborn', 'Running');
    const name = netnsName(cluster.prefix, pod.metadata.uid ?? '');
    const log = follow('kubectl', ['--kubeconfig', cluster.kubeconfig, 'logs', '-f', 'polite']);
    await cluster.until('the trap is set', () => (log.output().includes('ready') ? true : undefined));
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'polite' });
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'stubborn' });
    await cluster.gone('polite');
    expect(await log.ended).toBe('ready\nbye\n');
    await cluster.gone('stubborn');
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain(name);
  });

  test('kubectl exec: output, input, exit code, terminal', async () => {
    await cluster.pod('shell', { nodeName: 'node-2', containers: [{ name: 'main', image: 'x' }] });
    const pod = await cluster.phase('shell', 'Running');
    expect(await cluster.kubectl('exec', 'shell', '--', 'sh', '-c', 'ip -o -4 addr show eth0')).toContain(
      pod.status?.podIP,
    );
    const echoed = await run(
      'kubectl',
      ['--kubeconfig', cluster.kubeconfig, 'exec', '-i', 'shell', '--', 'wc', '-c'],
      'x'.repeat(300_000),
    );
    expect(echoed.trim()).toBe('300000');
    await expect(cluster.kubectl('exec', 'shell', '--', 'sh', '-c', 'exit 42')).rejects.toMatchObject({ code: 42 });
    const tty = await run('script', [
      '-qec',
      `kubectl --kubeconfig ${cluster.kubeconfig} exec -it shell -- sh -c "tty; stty size"`,
      '/dev/null',
    ]);
    expect(tty).toMatch(/\/dev\/pts\/\d+/);
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'shell' });
    await cluster.gone('shell');
  });

  test('hostNetwork pods use the node and its addresses', async () => {
    const ports = [{ containerPort: 9999 }];
    await cluster.pod('host', { nodeName: 'node-1', hostNetwork: true, containers: [{ name: 'main', ports }] });
    const pod = await cluster.phase('host', 'Running');
    expect(pod.status?.podIPs).toEqual([{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }]);
    const [seen] = await probeAll([{ netns: cluster.netns, protocol: 'tcp', destination: '198.18.0.1', port: 9999 }]);
    expect(seen?.text).toBe('host');
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'host' });
    await cluster.gone('host');
  });

  test('a new kubelet takes over running pods, whose networks it checks, and removes those that went', async () => {
    const ports = [{ containerPort: 80 }];
    await cluster.pod('stays', { containers: [{ name: 'main', ports }] });
    await cluster.pod('works', { containers: [{ name: 'main', command: ['sleep', '1000'] }] });
    await cluster.pod('goes', { containers: [{ name: 'main', command: ['sleep', '1000'] }] });
    const stays = await cluster.phase('stays', 'Running');
    const works = await cluster.phase('works', 'Running');
    await cluster.phase('goes', 'Running');
    const adds = cluster.calls().length;
    await cluster.stopKubelet();
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'goes' }, { gracePeriodSeconds: 0 });
    cluster.startKubelet();
    await cluster.until(
      'the namespace of "goes" is removed',
      () => (leftovers().length === 2 ? true : undefined),
      leftovers,
    );
    const [seen] = await probeAll([
      { netns: cluster.netns, protocol: 'tcp', destination: stays.status?.podIP ?? '', port: 80 },
    ]);
    expect(seen?.text).toBe('stays');
    const made = (): string[] =>
      cluster
        .calls()
        .slice(adds)
        .map((call) => call.split(' ', 1).join());
    await cluster.until('three calls', () => (made().length === 3 ? true : undefined), made);
    expect(made().sort()).toEqual(['CHECK', 'CHECK', 'DEL']);
    const still = await cluster.client.resource(LAB_PODS).get({ namespace: 'default', name: 'works' });
    expect(still.status).toEqual(works.status);
    for (const name of ['stays', 'works']) {
      await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name });
      await cluster.gone(name);
    }
    expect(leftovers()).toEqual([]);
  });

  test('a forced deletion in the middle of ADD leaves nothing', async () => {
    cluster.refuse(true);
    await cluster.pod('stuck', { nodeName: 'node-1' });
    await cluster.until('a try', () => (cluster.warnings.some((text) => text.startsWith('stuck ')) ? true : undefined));
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'stuck' }, { gracePeriodSeconds: 0 });
    await cluster.gone('stuck');
    cluster.refuse(false); // DEL was refused too: it is repeated
    await cluster.until('nothing left', () => (leftovers().length === 0 ? true : undefined), leftovers);
  });

  test('60 pods at once are spread and all answer', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `many-${index}`);
    const ports = [{ containerPort: 80 }];
    await Promise.all(names.map((name) => cluster.pod(name, { containers: [{ name: 'main', ports }] })));
    const pods = await cluster.until('60 running', async () => {
      const running = (await cluster.pods()).filter(({ status }) => status?.phase === 'Running');
      return running.length === 60 ? running : undefined;
    });
    const perNode = pods.filter(({ spec }) => spec.nodeName === 'node-1').length;
    expect(perNode).toBe(30);
    const results = await probeAll(
      pods.map((pod) => ({
        netns: cluster.netns,
        protocol: 'tcp',
        destination: pod.status?.podIP ?? '',
        port: 80,
        timeoutMs: 5000,
      })),
    );
    expect(results.map(({ text }) => text)).toEqual(pods.map((pod) => pod.metadata.name));
    await Promise.all(names.map((name) => cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name })));
    await cluster.until('all gone', async () => ((await cluster.pods()).length === 0 ? true : undefined));
    expect(leftovers()).toEqual([]);
    expect((await cluster.client.resource(EVENTS).list()).items.filter(({ type }) => type === 'Warning')).toEqual([]);
  });
});
