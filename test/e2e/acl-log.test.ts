import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AclLogEntry } from '@ovenbird/agent';
import { run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

const cli = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

/** Logged rules on the wire: what was allowed and dropped, by the names of Kubernetes, and no more entries than allowed. */
describe('logs of rules', () => {
  let lab: TestLab;
  const ns = 'acl-log';
  const everybody = ['ipv4', 'ipv6'].map((ipVersion) => ({
    ipVersion,
    protocol: 'udp',
    priority: 1,
    remoteType: 'address',
    remoteAddress: ipVersion === 'ipv4' ? '0.0.0.0/0' : '::/0',
    portRangeMin: 8080,
    portRangeMax: 8080,
    policy: 'allow',
    log: true,
  }));
  const group: Manifest = {
    apiVersion: 'ovenbird.io/v1',
    kind: 'SecurityGroup',
    metadata: { name: ns },
    spec: {
      selectors: [
        {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns } },
          podSelector: { matchLabels: { in: 'group' } },
        },
      ],
      ingressRules: everybody,
      logDropped: true,
      logRate: 50,
    },
  };
  const policy: Manifest = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: ns, name: 'closed', annotations: { 'ovn.kubernetes.io/enable_log': 'true' } },
    spec: { podSelector: { matchLabels: { in: 'policy' } }, policyTypes: ['Ingress'] },
  };
  const walled = subnet(ns, {
    cidrBlock: '10.72.0.0/24,fd00:10:72::/112',
    namespaces: [ns],
    allowEWTraffic: true,
    aclLogRate: 2,
    acls: [
      { direction: 'to-lport', priority: 1800, match: 'ip4 || ip6', action: 'drop', log: true },
      { direction: 'from-lport', priority: 1901, match: 'udp.dst == 9', action: 'drop' },
    ],
  });
  const addresses = new Map<string, readonly string[]>();

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), namespace(`${ns}-out`), walled, group, policy);
    await lab.apply(
      pod(ns, 'group', { node: 'node-1', labels: { in: 'group' } }),
      pod(ns, 'policy', { node: 'node-1', labels: { in: 'policy' } }),
      pod(ns, 'plain', { node: 'node-2' }),
      pod(ns, 'peer', { node: 'node-3' }),
      pod(`${ns}-out`, 'stranger', { node: 'node-3' }),
    );
    for (const space of [ns, `${ns}-out`]) {
      await lab.podsReady(space);
      const { items } = await lab.get<{ items: readonly PodObject[] }>('pods', '-n', space);
      for (const item of items) addresses.set(item.metadata.name, addressesOf(item));
    }
    await lab.nbctl('--wait=hv', 'sync');
  });
  afterAll(async () => {
    await lab.delete([group, namespace(ns), namespace(`${ns}-out`)], '--wait=true', '--timeout=60s');
    await lab.delete([walled], '--wait=true', '--timeout=60s');
  });

  const verdicts = async (
    from: string,
    to: string,
    protocol: 'tcp' | 'udp',
    port: number,
  ): Promise<readonly string[]> =>
    (
      await lab.probe(
        (addresses.get(to) ?? []).map((destination) => ({ from, destination, protocol, port, timeoutMs: 1000 })),
      )
    ).map(({ verdict }) => verdict);
  const logOf = async (name: string): Promise<readonly AclLogEntry[]> => {
    const env = { OVENBIRD_LAB: lab.state.directory };
    const args = ['acl-log', '-n', ns, name, '-o', 'json', '--limit', '1000'];
    return JSON.parse(await run([process.execPath, cli, ...args], { env })) as readonly AclLogEntry[];
  };
  /** An entry of each family, `verdict direction object rule source destination:port`. */
  const expectLogged = async (name: string, protocol: string, text: RegExp): Promise<void> => {
    await lab.waitFor(
      `${protocol} packets of ${name} in the log, of both families, like ${text}`,
      async () => {
        const entries = (await logOf(name)).filter((entry) => entry.protocol === protocol);
        const lines = entries.map(
          ({ verdict, direction, object, rule, source, destination, node }) =>
            `${node} ${verdict} ${direction} ${object?.kind}/${object?.name} ${rule} ${source.pod} ${destination.pod}:${destination.port} ${source.address}`,
        );
        const matching = lines.filter((line) => text.test(line));
        const both = [/\.\d+$/, /:\w+$/].every((family) => matching.some((line) => family.test(line)));
        return both || lines.slice(-5).join('\n');
      },
      15_000,
    );
  };

  it('tell what a group let through and dropped', async () => {
    expect(await verdicts(`${ns}/peer`, 'group', 'udp', 8080)).toEqual(['open', 'open']);
    await expectLogged(
      'group',
      'udp',
      new RegExp(`^node-1 allow ingress SecurityGroup/${ns} ingress/[01] ${ns}/peer ${ns}/group:8080 `),
    );
    expect(await verdicts(`${ns}/peer`, 'group', 'tcp', 8080)).toEqual(['timeout', 'timeout']);
    await expectLogged(
      'group',
      'tcp',
      new RegExp(`^node-1 drop ingress SecurityGroup/${ns} ingress/drop ${ns}/peer ${ns}/group:8080 `),
    );
    expect(await verdicts(`${ns}/group`, 'peer', 'tcp', 8080)).toEqual(['timeout', 'timeout']);
    await expectLogged(
      'group',
      'tcp',
      new RegExp(`^node-1 drop egress SecurityGroup/${ns} egress/drop ${ns}/group ${ns}/peer:8080 `),
    );
  });

  it('are followed by who asks for it, with a line of JSON for each packet', async () => {
    const env = { ...process.env, OVENBIRD_LAB: lab.state.directory };
    const follower = spawn(process.execPath, [cli, 'acl-log', '-f', '-n', ns, 'group', '-o', 'json'], { env });
    let output = '';
    follower.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    try {
      await lab.waitFor('what there was before', () => Promise.resolve(output !== '' || 'nothing'), 15_000);
      const before = output.length;
      await verdicts(`${ns}/peer`, 'group', 'tcp', 8080);
      const added = await lab.waitFor(
        'new entries of both families',
        () => {
          const lines = output.slice(before).split('\n').slice(0, -1);
          const sources = lines.map((line) => (JSON.parse(line) as AclLogEntry).source.address ?? '');
          const both = sources.some((text) => text.includes(':')) && sources.some((text) => text.includes('.'));
          return Promise.resolve(both ? lines : output.slice(before) || 'nothing');
        },
        15_000,
      );
      expect(added).toHaveLength(new Set(added).size);
    } finally {
      follower.kill();
    }
  });

  it('tell what a NetworkPolicy dropped, by annotation', async () => {
    expect(await verdicts(`${ns}/peer`, 'policy', 'tcp', 8080)).toEqual(['timeout', 'timeout']);
    await expectLogged(
      'policy',
      'tcp',
      new RegExp(`^node-1 drop ingress NetworkPolicy/closed ingress/drop ${ns}/peer ${ns}/policy:8080 `),
    );
  });

  it('tell what acls of a subnet dropped, and allowEWTraffic keeps them off the subnet itself', async () => {
    expect(await verdicts(`${ns}/peer`, 'plain', 'tcp', 8080)).toEqual(['open', 'open']);
    expect(await verdicts(`${ns}/peer`, 'plain', 'udp', 9)).toEqual(['timeout', 'timeout']);
    expect(await verdicts(`${ns}-out/stranger`, 'plain', 'tcp', 8080)).toEqual(['timeout', 'timeout']);
    await expectLogged(
      'plain',
      'tcp',
      new RegExp(`^node-2 drop ingress Subnet/${ns} acl_0 ${ns}-out/stranger ${ns}/plain:8080 `),
    );
  });

  it('hold no more entries than the limit, however many packets there are', async () => {
    const [address = ''] = addresses.get('plain') ?? [];
    const before = (await logOf('plain')).length;
    const begun = Date.now();
    await lab.exec(`${ns}-out`, 'stranger', 'sh', '-c', `ping -c200 -i0.01 -W1 ${address} || true`);
    const seconds = (Date.now() - begun) / 1000;
    const more = (await logOf('plain')).length - before;
    expect(more).toBeGreaterThan(0);
    // 2 a second, and a burst of 2.
    expect(more).toBeLessThanOrEqual(Math.ceil(2 * seconds) + 3);
  });
});
