import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** When a pod has a port, and what happens to records that somebody else edits. */
describe('pod life', () => {
  let lab: TestLab;
  const ns = 'life';

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const portOf = async (name: string): Promise<string> =>
    (await lab.nbctl('--bare', '--columns=name', 'find', 'Logical_Switch_Port', `name="${name}.${ns}"`)).trim();

  it('puts an edited announcement back, and says so', async () => {
    await lab.apply(pod(ns, 'edited'));
    await lab.podsReady(ns, 30, 'edited');
    const before = await lab.get<PodObject>('pod', 'edited', '-n', ns);
    await lab.kubectl([
      'annotate',
      'pod',
      'edited',
      '-n',
      ns,
      '--overwrite',
      'ovn.kubernetes.io/ip_address=10.16.77.77',
      'ovn.kubernetes.io/gateway-',
    ]);
    await lab.waitFor(
      'the annotations say again what the pod has',
      async () => {
        const { metadata } = await lab.get<PodObject>('pod', 'edited', '-n', ns);
        const wanted = before.metadata.annotations ?? {};
        const differing = Object.keys(wanted).filter((key) => metadata.annotations?.[key] !== wanted[key]);
        return differing.length === 0 || `differing: ${differing.join(' ')}`;
      },
      15_000,
    );
    await lab.waitFor(
      'event AnnouncementRestored',
      async () => (await lab.kubectl(['get', 'events', '-n', ns])).includes('AnnouncementRestored') || 'no event',
      15_000,
    );
    expect(await portOf('edited')).toBe(`edited.${ns}`);
  });

  it('writes a deleted IP object of a living pod again', async () => {
    const uid = async (): Promise<string> =>
      (await lab.kubectlAny(['get', 'ip', `edited.${ns}`, '-o', 'jsonpath={.metadata.uid}'])).stdout;
    const seen = await lab.waitFor(
      'the IP object',
      async () => ((text) => text !== '' && { text })(await uid()),
      15_000,
    );
    await lab.kubectl(['delete', 'ip', `edited.${ns}`]);
    await lab.waitFor(
      'a new IP object',
      async () => ((now) => (now !== '' && now !== seen.text) || 'none')(await uid()),
      15_000,
    );
  });

  it('gives no port to a pod on the network of its node', async () => {
    const host = pod(ns, 'host', { node: 'node-2', port: 18_080 }) as { spec: Record<string, unknown> };
    await lab.apply({ ...host, spec: { ...host.spec, hostNetwork: true } });
    await lab.podsReady(ns, 30, 'host');
    expect(addressesOf(await lab.get<PodObject>('pod', 'host', '-n', ns))).toContain('172.30.1.2');
    expect(await portOf('host')).toBe('');
  });

  it('takes the address of a finished pod back while its object stays', async () => {
    const template = {
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'lab', command: ['true'] }],
      },
    };
    await lab.apply({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { namespace: ns, name: 'short' },
      spec: { template, backoffLimit: 0 },
    });
    await lab.kubectl(['wait', '--for=condition=Complete', 'job/short', '-n', ns, '--timeout=60s']);
    const name = (
      await lab.kubectl(['get', 'pods', '-n', ns, '-l', 'job-name=short', '-o', 'jsonpath={.items[0].metadata.name}'])
    ).trim();
    expect(name).toMatch(/^short-/);
    await lab.waitFor(
      'port and IP object of the finished pod are gone',
      async () => {
        const left = [
          await portOf(name),
          (await lab.kubectlAny(['get', 'ip', `${name}.${ns}`, '--ignore-not-found', '-o', 'name'])).stdout.trim(),
        ].filter((text) => text !== '');
        return left.length === 0 || left.join(' ');
      },
      20_000,
    );
    expect((await lab.get<PodObject>('pod', name, '-n', ns)).status.phase).toBe('Succeeded');
  });

  it('shows pods to nodes and nodes to pods under their own addresses: no NAT in either direction', async () => {
    await lab.apply(pod(ns, 'peer', { node: 'node-1' }));
    await lab.podsReady(ns, 30, 'peer');
    const [v4, v6] = addressesOf(await lab.get<PodObject>('pod', 'peer', '-n', ns));
    const netns = (await lab.podNamespaces()).get(`${ns}/peer`) ?? '';
    // A one-shot TCP server that answers with the address it sees; its own line on stderr says that it listens.
    const server = `use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => 19090, Listen => 1, ReuseAddr => 1) or die $@; my $c = $s->accept; print {$c} $c->peerhost, "\\n"`;
    const client = `use IO::Socket::IP; for (1 .. 200) { my $c = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 19090, Timeout => 2); if ($c) { print scalar <$c>; exit 0 } select undef, undef, undef, 0.05 } die "no connection: $@"`;
    const inPod = (script: string, argument: string): Promise<string> =>
      lab.onNode('node-1', 'nsenter', `--net=${netns}`, 'perl', '-e', script, argument);
    for (const [node, address] of [
      ['node-1', '172.30.1.1'],
      ['node-3', '172.30.1.3'],
      ['node-3', 'fd00:172:30::1:3'],
    ] as const) {
      const [, seen] = await Promise.all([lab.onNode(node, 'perl', '-e', server, address), inPod(client, address)]);
      expect(seen.trim(), `source of pod -> ${node} ${address}`).toBe(address.includes(':') ? v6 : v4);
    }
    const join = await lab.kubectl([
      'get',
      'node',
      'node-3',
      '-o',
      'jsonpath={.metadata.annotations.ovn\\.kubernetes\\.io/ip_address}',
    ]);
    const [, seenByPod] = await Promise.all([
      inPod(server, v4 ?? ''),
      lab.onNode('node-3', 'perl', '-e', client, v4 ?? ''),
    ]);
    expect(seenByPod.trim()).toBe(join.split(',')[0]);
  });
});
