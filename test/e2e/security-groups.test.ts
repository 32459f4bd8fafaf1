import { fileURLToPath } from 'node:url';
import { run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** What is read of an entry of `ovenbird acls -o json`. */
interface ListedAcl {
  readonly direction: 'egress' | 'ingress';
  readonly afterLb: boolean;
  readonly priority: number;
  readonly action: string;
  readonly object?: string;
  readonly rule: string;
}

const group = (name: string, spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'ovenbird.io/v1',
  kind: 'SecurityGroup',
  metadata: { name },
  spec,
});
const named = (groups: string): { annotations: Record<string, string> } => ({
  annotations: { 'ovn.kubernetes.io/security_groups': groups },
});
/** One rule for each family. */
const rules = (more: Readonly<Record<string, unknown>>): readonly object[] =>
  (['ipv4', 'ipv6'] as const).map((ipVersion) => ({
    ipVersion,
    protocol: 'tcp',
    priority: 1,
    policy: 'allow',
    ...('remoteSecurityGroup' in more
      ? { remoteType: 'securityGroup' }
      : { remoteType: 'address', remoteAddress: ipVersion === 'ipv4' ? '0.0.0.0/0' : '::/0' }),
    ...more,
  }));
const port = (number: number): Record<string, number> => ({ portRangeMin: number, portRangeMax: number });

/** SecurityGroups on the wire, in dual-stack and in subnets of one family. */
describe('security groups', () => {
  let lab: TestLab;
  const spaces = ['groups', 'groups-4', 'groups-6', 'groups-thief'];
  const addresses = new Map<string, readonly string[]>();
  const webSelector = { namespaceSelector: { matchExpressions: [{ key: 'space', operator: 'Exists' }] } };

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      ...spaces.map((name) => ({ ...namespace(name), metadata: { name, labels: { space: name } } })),
      subnet('groups-4', { cidrBlock: '10.71.4.0/24', namespaces: ['groups-4'] }),
      subnet('groups-6', { cidrBlock: 'fd00:10:71:6::/112', namespaces: ['groups-6'] }),
      group('groups-web', { namespaces: spaces.slice(0, 3), egressRules: rules({ protocol: 'all' }) }),
      group('groups-db', {
        ingressRules: rules({ remoteSecurityGroup: 'groups-web', ...port(8080) }),
        selectors: [{ ...webSelector, podSelector: { matchLabels: { app: 'db' } } }],
      }),
    );
    await lab.apply(
      ...['groups', 'groups-4', 'groups-6'].flatMap((ns) => [
        pod(ns, 'db', { node: 'node-1', labels: { app: 'db' } }),
        pod(ns, 'db-other', { node: 'node-2', labels: { app: 'db' }, port: 9090 }),
        pod(ns, 'web', { node: 'node-2', ...named('groups-web') }),
        pod(ns, 'stranger', { node: 'node-3' }),
      ]),
      pod('groups-thief', 'web', { node: 'node-3', ...named('groups-web') }),
      pod('groups-thief', 'free', { node: 'node-3' }),
    );
    for (const ns of spaces) {
      await lab.podsReady(ns);
      const { items } = await lab.get<{ items: readonly PodObject[] }>('pods', '-n', ns);
      for (const item of items) addresses.set(`${ns}/${item.metadata.name}`, addressesOf(item));
    }
    await lab.nbctl('--wait=hv', 'sync');
  });
  afterAll(async () => {
    const groups = ['web', 'db', 'edge', 'guests'].map((name) => group(`groups-${name}`, {}));
    await lab.delete([...groups, ...spaces.map((name) => namespace(name))], '--wait=true', '--timeout=60s');
    await lab.kubectlAny(['delete', 'subnet', '--ignore-not-found', '--timeout=60s', 'groups-4', 'groups-6']);
  });

  /** Who reaches which port, TCP, at every address, asked at once: `[from, to, port, reaches]`. */
  const expectReach = async (...wanted: readonly (readonly [string, string, number, boolean])[]): Promise<void> => {
    const probes = wanted.flatMap(([from, to, number, open]) =>
      (addresses.get(to) ?? []).map((destination) => ({
        from,
        destination,
        protocol: 'tcp' as const,
        port: number,
        timeoutMs: open ? 2000 : 600,
        open,
        what: `${from} ${open ? 'does not reach' : 'reaches'} ${to}:${number}`,
      })),
    );
    expect(probes.length).toBeGreaterThanOrEqual(wanted.length);
    await lab.waitFor(
      'everybody reaches what is allowed and nothing else',
      async () => {
        const results = await lab.probe(probes);
        const wrong = probes.filter(({ open }, at) => (results[at]?.verdict === 'open') !== open);
        return wrong.length === 0 || wrong.map(({ what, destination }) => `${what} at ${destination}`).join('\n');
      },
      20_000,
    );
  };
  const conditions = async (name: string): Promise<readonly Condition[]> =>
    (await lab.get<{ status?: { conditions?: Condition[] } }>('sg', name)).status?.conditions ?? [];

  it.each(['groups', 'groups-4', 'groups-6'])(
    'in %s: a group lets in the pods of another, and only them',
    async (ns) => {
      await expectReach(
        [`${ns}/web`, `${ns}/db`, 8080, true],
        [`${ns}/web`, `${ns}/db-other`, 9090, false],
        [`${ns}/stranger`, `${ns}/db`, 8080, false],
      );
      // Without an ingress rule nobody comes in, and without an egress rule nothing goes out.
      await expectReach([`${ns}/stranger`, `${ns}/web`, 8080, false], [`${ns}/db`, `${ns}/stranger`, 8080, false]);
      // Pods without a group are as they were.
      await expectReach([`${ns}/web`, `${ns}/stranger`, 8080, true]);
    },
  );

  it('a pod does not get a group that its namespace was not given, and is closed', async () => {
    await expectReach(
      ['groups-thief/web', 'groups/db', 8080, false],
      ['groups-thief/web', 'groups-thief/free', 8080, false],
      ['groups-thief/free', 'groups/stranger', 8080, true],
    );
    const { items } = await lab.get<{ items: { reason: string; message: string }[] }>(
      'events',
      '-n',
      'groups-thief',
      '--field-selector',
      'involvedObject.name=web',
    );
    expect(items.find(({ reason }) => reason === 'SecurityGroupRefused')?.message).toContain(
      'SecurityGroup "groups-web", named by ovn.kubernetes.io/security_groups, is not for namespace "groups-thief"',
    );
  });

  it('rules of one group go by priority, several groups add up, and same-group traffic can be allowed', async () => {
    await expectReach(['groups/db', 'groups/db-other', 9090, false]);
    const ingressRules = [...rules({ remoteSecurityGroup: 'groups-web', ...port(8080) })];
    const spec = { selectors: [{ ...webSelector, podSelector: { matchLabels: { app: 'db' } } }] };
    await lab.apply(group('groups-db', { ...spec, ingressRules, allowSameGroupTraffic: true }));
    await expectReach(['groups/db', 'groups/db-other', 9090, true]);
    const [web4 = '', web6 = ''] = addresses.get('groups/web') ?? [];
    const drops = [
      ...rules({ policy: 'drop', remoteAddress: `${web4}/32` }).slice(0, 1),
      ...rules({ policy: 'drop', remoteAddress: web6 }).slice(1),
    ];
    const later = ingressRules.map((rule) => ({ ...rule, priority: 2 }));
    await lab.apply(group('groups-db', { ...spec, ingressRules: [...later, ...drops] }));
    await expectReach(['groups/web', 'groups/db', 8080, false], ['groups/db', 'groups/db-other', 9090, false]);
    await lab.apply(group('groups-db', { ...spec, ingressRules }));
    await expectReach(['groups/web', 'groups/db', 8080, true]);
    // A second group of the same pod.
    await lab.apply(group('groups-edge', { ingressRules: rules(port(8080)) }));
    await lab.kubectl(['annotate', 'pod', 'db', '-n', 'groups', 'ovn.kubernetes.io/security_groups=groups-edge']);
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ['groups/web', 'groups/db', 8080, true]);
  });

  it('what a group passes is left to NetworkPolicies, past all groups of the pod', async () => {
    const [v4 = '', v6 = ''] = addresses.get('groups/stranger') ?? [];
    const pass = [
      ...rules({ policy: 'pass', ...port(8080), remoteAddress: `${v4}/32` }).slice(0, 1),
      ...rules({ policy: 'pass', ...port(8080), remoteAddress: `${v6}/128` }).slice(1),
    ];
    await lab.apply(group('groups-edge', { ingressRules: pass }));
    const others = [
      ['groups/web', 'groups/db', 8080, true],
      ['groups/db-other', 'groups/db', 8080, false],
      ['groups-thief/free', 'groups/db', 8080, false],
    ] as const;
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    const policy = (ingress: readonly object[]): Manifest => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'groups', name: 'db' },
      spec: { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'], ingress },
    });
    await lab.apply(policy([]));
    await expectReach(['groups/stranger', 'groups/db', 8080, false], ...others);
    await lab.apply(policy([{ ports: [{ protocol: 'TCP', port: 8080 }] }]));
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    await lab.delete([policy([])]);
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    await lab.apply(group('groups-edge', { ingressRules: [] }));
    await expectReach(['groups/stranger', 'groups/db', 8080, false], ...others);
  });

  it('what a group passes by the group of the other side is left to NetworkPolicies, as its pods come and go', async () => {
    await lab.apply(
      group('groups-guests', { egressRules: rules({ protocol: 'all' }) }),
      group('groups-edge', {
        ingressRules: [
          ...rules({ policy: 'pass', remoteSecurityGroup: 'groups-guests', ...port(8080) }),
          // Priorities of the whole range, on every OVN.
          ...rules({ policy: 'drop', remoteSecurityGroup: 'groups-guests', priority: 16_383 }),
          ...rules({ ...port(8080), priority: 16_384 }),
        ],
      }),
    );
    const others = [
      ['groups/web', 'groups/db', 8080, true],
      ['groups-thief/free', 'groups/db', 8080, true],
    ] as const;
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    const policy: Manifest = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'groups', name: 'db' },
      spec: { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'] },
    };
    await lab.apply(policy);
    // For those whom the groups let in the policy has no say.
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    const guest = 'ovn.kubernetes.io/security_groups=groups-guests';
    await lab.kubectl(['annotate', 'pod', 'stranger', '-n', 'groups', guest]);
    await expectReach(['groups/stranger', 'groups/db', 8080, false], ...others);
    await lab.delete([policy]);
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    await lab.apply(policy);
    await lab.kubectl(['annotate', 'pod', 'stranger', '-n', 'groups', 'ovn.kubernetes.io/security_groups-']);
    await expectReach(['groups/stranger', 'groups/db', 8080, true], ...others);
    await lab.delete([policy]);
  });

  it('a rule that names a group which is not there is told', async () => {
    await lab.apply(group('groups-edge', { ingressRules: rules({ remoteSecurityGroup: 'groups-nobody' }) }));
    const honoured = await lab.waitFor(
      'the missing remote is told',
      async () => {
        const found = (await conditions('groups-edge')).find(({ type }) => type === 'RulesHonoured');
        return found?.status === 'False' ? found : JSON.stringify(found);
      },
      10_000,
    );
    expect(honoured.message).toContain('SecurityGroup "groups-nobody" does not exist; the rule matches nothing');
  });

  it('a pod’s own node reaches it', async () => {
    const rows = await lab.nbctl('--bare', '--columns=match', 'find', 'ACL', 'external_ids:ovenbird/owner=Node/node-1');
    expect(rows).toContain('outport == @node_node_1');
    const [address = ''] = addresses.get('groups/db') ?? [];
    await lab.onNode('node-1', 'ping', '-c1', '-W2', address);
  });

  it('ovenbird acls shows them in order, among all other rules of a pod', async () => {
    const ns = 'groups-ladder';
    const labels = { app: 'ladder' };
    const selector = { matchLabels: labels };
    const selectors = [{ podSelector: selector }];
    const here = { namespaceSelector: {}, podSelector: selector };
    const there = [{ namespaces: { matchLabels: { space: 'groups' } } }];
    const acl = (direction: 'from-lport' | 'to-lport', priority: number, number: number): object => ({
      direction,
      priority,
      match: `ip4 && tcp.dst == ${number}`,
      action: 'drop',
    });
    const objects: readonly Manifest[] = [
      subnet(ns, {
        cidrBlock: '10.71.8.0/24',
        namespaces: [ns],
        acls: [
          acl('to-lport', 500, 25),
          acl('from-lport', 2500, 26),
          acl('to-lport', 2500, 27),
          acl('to-lport', 31500, 28),
        ],
        private: true,
        allowSubnets: ['10.71.4.0/24'],
        allowEWTraffic: true,
      }),
      group('groups-first', { selectors, ingressRules: rules(port(9090)), egressRules: rules(port(9091)).slice(0, 1) }),
      group('groups-last', { selectors, tier: 1, allowSameGroupTraffic: true }),
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace: ns, name: 'middle' },
        spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: {} }] }] },
      },
      {
        apiVersion: 'policy.networking.k8s.io/v1alpha1',
        kind: 'AdminNetworkPolicy',
        metadata: { name: 'groups-above' },
        spec: { priority: 7, subject: { pods: here }, ingress: [{ action: 'Allow', from: there }] },
      },
      {
        apiVersion: 'policy.networking.k8s.io/v1alpha1',
        kind: 'BaselineAdminNetworkPolicy',
        metadata: { name: 'default' },
        spec: { subject: { pods: here }, egress: [{ action: 'Deny', to: there }] },
      },
    ];
    const space = namespace(ns);
    const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
    const env = { OVENBIRD_LAB: lab.state.directory };
    try {
      await lab.apply(space, ...objects, pod(ns, 'target', { node: 'node-1', labels }));
      await lab.podsReady(ns);
      addresses.set(`${ns}/target`, addressesOf(await lab.get<PodObject>('pod', 'target', '-n', ns)));
      const wanted = [
        'egress before 2500 drop Subnet/groups-ladder acl_1',
        'egress before 1900 allow-related Subnet/groups-ladder east_west_from_ip4',
        'egress after 5974 allow-related SecurityGroup/groups-first egress/base',
        'egress after 5973 allow-related SecurityGroup/groups-first egress/0',
        'egress after 3002 drop SecurityGroup/groups-first egress/drop',
        'egress after 2000 drop NetworkPolicy/groups-ladder/middle egress/drop',
        'egress after 1029 drop BaselineAdminNetworkPolicy/default egress/0',
        'egress after 999 allow-related SecurityGroup/groups-last egress/base',
        'egress after 4 allow-related SecurityGroup/groups-last egress/same-group',
        'egress after 2 drop SecurityGroup/groups-last egress/drop',
        'ingress 31500 drop Subnet/groups-ladder acl_3',
        'ingress 31000 allow-related Node/node-1 node/node-1',
        'ingress 30824 allow-related AdminNetworkPolicy/groups-above ingress/0',
        'ingress 5974 allow-related SecurityGroup/groups-first ingress/base',
        'ingress 5973 allow-related SecurityGroup/groups-first ingress/0',
        'ingress 5973 allow-related SecurityGroup/groups-first ingress/1',
        'ingress 3002 drop SecurityGroup/groups-first ingress/drop',
        'ingress 3000 allow-related Subnet/groups-ladder private_node_ip4',
        'ingress 2500 drop Subnet/groups-ladder acl_2',
        'ingress 2001 allow-related NetworkPolicy/groups-ladder/middle ingress/0',
        'ingress 2000 drop NetworkPolicy/groups-ladder/middle ingress/drop',
        'ingress 1900 allow-related Subnet/groups-ladder east_west_to_ip4',
        'ingress 1001 allow-related Subnet/groups-ladder private_allow_ip4',
        'ingress 1001 allow-related Subnet/groups-ladder private_own_ip4',
        'ingress 1000 drop Subnet/groups-ladder private_drop_ip4',
        'ingress 999 allow-related SecurityGroup/groups-last ingress/base',
        'ingress 500 drop Subnet/groups-ladder acl_0',
        'ingress 4 allow-related SecurityGroup/groups-last ingress/same-group',
        'ingress 2 drop SecurityGroup/groups-last ingress/drop',
      ].join('\n');
      await lab.waitFor(
        'the list is that of docs/acl-order.md',
        async () => {
          const printed = await run([process.execPath, main, 'acls', '-n', ns, 'target', '-o', 'json'], { env });
          const found = (JSON.parse(printed) as readonly ListedAcl[])
            .map(({ direction, afterLb, priority, action, object, rule }) =>
              [
                direction,
                ...(direction === 'ingress' ? [] : [afterLb ? 'after' : 'before']),
                ...[priority, action, object, rule],
              ].join(' '),
            )
            .join('\n');
          return found === wanted || found;
        },
        10_000,
      );
      await expectReach(
        // What the AdminNetworkPolicy allows passes the groups behind it; the rest does not pass the one of tier 0.
        ['groups/stranger', `${ns}/target`, 8080, true],
        ['groups-thief/free', `${ns}/target`, 8080, false],
        [`${ns}/target`, 'groups/stranger', 8080, false],
      );
    } finally {
      await lab.delete([space, ...objects], '--wait=true', '--timeout=60s');
    }
  });

  it('DHCP goes out of a closed pod, and nothing else does', async () => {
    const name = 'web.groups-thief';
    const [mac = '', ip = ''] = (await lab.nbctl('lsp-get-addresses', name)).split(/\s+/);
    const trace = async (source: string, packet: string): Promise<string> => {
      const flow = `inport == "${name}" && eth.src == ${mac} && eth.dst == ff:ff:ff:ff:ff:ff && ip4.src == ${source} && ip4.dst == 255.255.255.255 && ip.ttl == 64 && ${packet}`;
      const db = `--db=unix:${lab.layout.central.southbound}`;
      return await run(['ovn-trace', db, '--ct=new', '--summary', 'ovn-default', flow]);
    };
    expect(await trace('0.0.0.0', 'udp.src == 68 && udp.dst == 67')).toContain('output to "ovn-default_ovn-cluster"');
    expect(await trace(ip, 'udp.src == 68 && udp.dst == 67')).toContain('output to "ovn-default_ovn-cluster"');
    expect(await trace(ip, 'udp.src == 68 && udp.dst == 69')).not.toContain('output to');
  });

  it('a deleted group stays while pods and rules name it, says who, and goes with the last', async () => {
    await lab.kubectl(['delete', 'sg', 'groups-web', '--wait=false']);
    const waits = await lab.waitFor(
      'the condition names who holds it',
      async () => {
        const ready = (await conditions('groups-web')).find(({ type }) => type === 'Ready');
        return ready?.reason === 'Deleting' ? ready : JSON.stringify(ready);
      },
      10_000,
    );
    expect(waits.message).toBe(
      'waits for pod groups-4/web, pod groups-6/web, pod groups/web, the rules of SecurityGroup groups-db',
    );
    await expectReach(['groups/web', 'groups/db', 8080, true]);
    for (const ns of spaces.slice(0, 3)) await lab.kubectl(['delete', 'pod', 'web', '-n', ns, '--wait=true']);
    await lab.kubectl(['delete', 'sg', 'groups-db', '--wait=true', '--timeout=20s']);
    await lab.kubectl(['wait', '--for=delete', '--timeout=20s', 'sg/groups-web']);
    await expectReach(['groups/stranger', 'groups/db-other', 9090, true]);
    const left = await lab.nbctl(
      '--bare',
      '--columns=name',
      'find',
      'Port_Group',
      'external_ids:security_group=groups-web',
    );
    expect(left.trim()).toBe('');
  });
});
