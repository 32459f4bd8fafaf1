import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

const asks = (keys: Record<string, string>): { annotations: Record<string, string> } => ({
  annotations: Object.fromEntries(Object.entries(keys).map(([key, value]) => [`ovn.kubernetes.io/${key}`, value])),
});
const pool = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'IPPool',
  metadata: { name },
  spec,
});

interface PoolObject {
  readonly status?: {
    readonly v4UsingIPs: number;
    readonly v4AvailableIPs: number;
    readonly v4UsingIPRange: string;
    readonly v4AvailableIPRange: string;
    readonly v6UsingIPRange: string;
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  };
}

/** Pools of addresses, families and routes, from the API to packets. */
describe('IPPools', () => {
  let lab: TestLab;
  const ns = 'pools';
  const objects = [
    subnet('pools', { cidrBlock: '10.130.0.0/24,fd00:10:130::/120', namespaces: [ns, 'pools-bound'] }),
    pool('pools-low', {
      subnet: 'pools',
      ips: ['10.130.0.10..10.130.0.12', 'fd00:10:130::10..fd00:10:130::12'],
      enableAddressSet: true,
    }),
    pool('pools-bound', {
      subnet: 'pools',
      ips: ['10.130.0.64/30', 'fd00:10:130::40/126'],
      namespaces: ['pools-bound'],
    }),
  ];
  const all = [namespace(ns), namespace('pools-bound'), ...objects];

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(...all);
    await lab.kubectl([
      'wait',
      '--for=condition=Ready',
      '--timeout=20s',
      'subnet/pools',
      'ippool/pools-low',
      'ippool/pools-bound',
    ]);
  });
  afterAll(async () => {
    await lab.delete(all, '--wait=true', '--timeout=60s');
  });

  const addresses = async (name: string, of = ns): Promise<readonly string[]> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', of));
  const event = async (name: string, reason: string, of = ns): Promise<string> => {
    const { message } = await lab.waitFor(
      `event ${reason} of ${name}`,
      async () => {
        const { items } = await lab.get<{ items: { reason: string; message: string }[] }>(
          'events',
          '-n',
          of,
          '--field-selector',
          `involvedObject.name=${name}`,
        );
        const found = items.find((item) => item.reason === reason);
        return found ?? items.map((item) => `${item.reason}: ${item.message}`).join('\n');
      },
      15_000,
    );
    return message;
  };
  const status = async (name: string, look: (status: NonNullable<PoolObject['status']>) => boolean): Promise<void> => {
    await lab.waitFor(
      `status of IPPool ${name}`,
      async () => {
        const { status } = await lab.get<PoolObject>('ippool', name);
        return (status !== undefined && look(status)) || JSON.stringify(status);
      },
      10_000,
    );
  };

  it('give addresses to pods that name them, to bound namespaces, and to nobody else', async () => {
    await lab.apply(
      pod(ns, 'plain', asks({ logical_switch: 'pools' })),
      pod(ns, 'named', asks({ ip_pool: 'pools-low' })),
      pod('pools-bound', 'bound'),
      pod(ns, 'thief', asks({ ip_pool: 'pools-bound' })),
    );
    await lab.podsReady(ns, 30, 'plain', 'named');
    await lab.podsReady('pools-bound', 30, 'bound');
    expect(await addresses('plain')).toEqual(['10.130.0.2', 'fd00:10:130::2']);
    expect(await addresses('named')).toEqual(['10.130.0.10', 'fd00:10:130::10']);
    expect(await addresses('bound', 'pools-bound')).toEqual(['10.130.0.64', 'fd00:10:130::40']);
    expect(await event('thief', 'PoolForbidden')).toContain('may not use IPPool "pools-bound"');
    await lab.waitFor(
      'they reach each other',
      async () =>
        (
          await lab.pingMatrix([`${ns}/plain`], ['10.130.0.10', 'fd00:10:130::10', '10.130.0.64', 'fd00:10:130::40'])
        ).join() || true,
      15_000,
    );
    await status(
      'pools-low',
      (it) =>
        it.v4UsingIPs === 1 &&
        it.v4AvailableIPs === 2 &&
        it.v4UsingIPRange === '10.130.0.10' &&
        it.v6UsingIPRange === 'fd00:10:130::10',
    );
    const set = await lab.nbctl('--bare', '--columns=addresses', 'find', 'Address_Set', 'name=ippool_pools_low_ip4');
    expect(set.trim().split(' ').sort()).toEqual(['10.130.0.10/31', '10.130.0.12']);
  });

  it('say when they are full, and the waiting pod goes on when an address is freed', async () => {
    await lab.apply(
      pod(ns, 'second', asks({ ip_pool: 'pools-low' })),
      pod(ns, 'third', asks({ ip_pool: 'pools-low' })),
    );
    await lab.podsReady(ns, 30, 'second', 'third');
    await lab.apply(pod(ns, 'fourth', asks({ ip_pool: 'pools-low' })));
    expect(await event('fourth', 'PoolExhausted')).toContain('add addresses to its spec.ips');
    await status(
      'pools-low',
      (it) =>
        it.v4AvailableIPs === 0 && it.v4AvailableIPRange === '' && it.v4UsingIPRange === '10.130.0.10-10.130.0.12',
    );
    const [freed] = await addresses('second');
    await lab.kubectl(['delete', 'pod', 'second', '-n', ns, '--wait=true']);
    await lab.podsReady(ns, 30, 'fourth');
    expect((await addresses('fourth'))[0]).toBe(freed);
  });

  it('of two that overlap the younger says so, and is in force when the older is gone', async () => {
    const younger = pool('pools-young', { subnet: 'pools', ips: ['10.130.0.66..10.130.0.70'] });
    await lab.apply(younger);
    await status('pools-young', (it) => it.conditions.some(({ reason }) => reason === 'Overlap'));
    // Events of objects without a namespace are in `default`.
    expect(await event('pools-young', 'Overlap', 'default')).toContain('IPPool "pools-bound"');
    await lab.kubectl([
      'patch',
      'ippool',
      'pools-bound',
      '--type=merge',
      '-p',
      '{"spec":{"ips":["10.130.0.64/31","fd00:10:130::40/126"]}}',
    ]);
    await lab.kubectl(['wait', '--for=condition=Ready', '--timeout=20s', 'ippool/pools-young']);
    await lab.delete([younger]);
  });

  it.each([
    ['IPv4', /^10\.130\./],
    ['IPv6', /^fd00:10:130:/],
  ])('ip_family %s gives one family only', async (family, form) => {
    const name = `only-${family.toLowerCase()}`;
    await lab.apply(pod(ns, name, asks({ ip_pool: 'pools-low', logical_switch: 'pools', ip_family: family })));
    await lab.kubectl(['delete', 'pod', 'third', '-n', ns, '--wait=true', '--ignore-not-found']);
    await lab.podsReady(ns, 30, name);
    expect(await addresses(name)).toEqual([expect.stringMatching(form)]);
    const links = await lab.exec(ns, name, 'ip', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'global');
    expect(links.trim().split('\n')).toHaveLength(1);
    await lab.kubectl(['delete', 'pod', name, '-n', ns, '--wait=true']);
  });

  it('routes of the annotation are in the pod, those of its namespace as well', async () => {
    const routes = '[{"dst":"198.18.0.0/15","gw":"10.130.0.2"},{"dst":"fd99::/64"}]';
    await lab.apply(pod(ns, 'routed', asks({ logical_switch: 'pools', routes })));
    await lab.podsReady(ns, 30, 'routed');
    expect(await lab.exec(ns, 'routed', 'ip', 'route')).toContain('198.18.0.0/15 via 10.130.0.2 dev eth0');
    expect(await lab.exec(ns, 'routed', 'ip', '-6', 'route')).toContain('fd99::/64 via fd00:10:130::1 dev eth0');
    await lab.kubectl(['annotate', 'namespace', 'pools-bound', 'ovn.kubernetes.io/routes=[{"dst":"198.51.0.0/16"}]']);
    await lab.apply(pod('pools-bound', 'routed'));
    await lab.podsReady('pools-bound', 30, 'routed');
    expect(await lab.exec('pools-bound', 'routed', 'ip', 'route')).toContain('198.51.0.0/16 via 10.130.0.1 dev eth0');
    await lab.apply(
      pod(ns, 'lost', asks({ logical_switch: 'pools', routes: '[{"dst":"198.18.0.0/15","gw":"10.9.9.9"}]' })),
    );
    expect(await event('lost', 'InvalidAnnotation')).toContain('10.9.9.9 is not in 10.130.0.0/24');
  });
});
