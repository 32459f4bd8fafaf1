import type { Manifest, TestLab } from '../lab.ts';
import { ourRows } from '../northbound-rows.ts';
import type { PodOptions } from '../objects.ts';

/** What some pods of the churn ask for, by their numbers, so that more can leak than ports: `p<number>`. */
const numberOf = (name: string): number => Number(name.slice(1));
const publishes = (name: string): boolean => numberOf(name) % 3 === 0;
const isLimited = (name: string): boolean => numberOf(name) % 3 === 1;
/** Two pods in four are under the policy, two in the group, one of them under both. */
const isGuarded = (name: string): boolean => numberOf(name) % 4 < 2;
const isGrouped = (name: string): boolean => [1, 2].includes(numberOf(name) % 4);

/** Name of the NetworkPolicy and of the SecurityGroup. */
const rule = 'faults';

/** Published ports, limits, and labels that a policy and a group select. */
export function optionsOf(name: string): Omit<PodOptions, 'node'> {
  return {
    labels: {
      ...(isGuarded(name) ? { guarded: 'yes' } : {}),
      ...(isGrouped(name) ? { grouped: 'yes' } : {}),
    },
    ...(publishes(name) ? { hostPort: 20_000 + numberOf(name) } : {}),
    ...(isLimited(name) ? { annotations: { 'ovn.kubernetes.io/ingress_rate': '100' } } : {}),
  };
}

/** A NetworkPolicy and a SecurityGroup for some of the pods; both let through what the pods of the namespace send each other. */
export function rulesOf(namespace: string): readonly Manifest[] {
  const everything = ['ipv4', 'ipv6'].map((ipVersion) => ({
    ipVersion,
    protocol: 'all',
    priority: 1,
    remoteType: 'address',
    remoteAddress: ipVersion === 'ipv4' ? '0.0.0.0/0' : '::/0',
    policy: 'allow',
  }));
  const peers = [{ podSelector: {} }];
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: rule, namespace },
      spec: {
        podSelector: { matchLabels: { guarded: 'yes' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: peers }],
        egress: [{ to: peers }],
      },
    },
    {
      apiVersion: 'ovenbird.io/v1',
      kind: 'SecurityGroup',
      metadata: { name: rule },
      spec: {
        selectors: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
            podSelector: { matchLabels: { grouped: 'yes' } },
          },
        ],
        ingressRules: everything,
        egressRules: everything,
      },
    },
  ];
}

/** What is held, by what holds it. */
export type Holdings = ReadonlyMap<string, readonly string[]>;

/** Where a pod is, and its addresses. */
export interface PlacedPod {
  readonly name: string;
  readonly node: string;
  readonly addresses: readonly string[];
}

const portGroups = (namespace: string, nodes: readonly string[]) => ({
  policy: `np_${namespace}.${rule}`,
  group: `sg_${rule}`,
  ofNode: new Map(nodes.map((node) => [node, `node_${node.replaceAll('-', '_')}`])),
});

/** What these pods should have in the northbound database, beside their ports (docs/names.md). */
export function wantedHoldings(lab: TestLab, namespace: string, pods: readonly PlacedPod[]): Holdings {
  const ports = (which: (pod: PlacedPod) => boolean): readonly string[] =>
    pods.filter(which).map(({ name }) => `${name}.${namespace}`);
  const addresses = pods.flatMap((pod) => pod.addresses);
  const { policy, group, ofNode } = portGroups(namespace, lab.nodes);
  return new Map([
    [
      'Load_Balancer',
      ports(({ name }) => publishes(name)).flatMap((port) => [`hostport_${port}_tcp`, `hostport_${port}_udp`]),
    ],
    ['QoS', ports(({ name }) => isLimited(name)).map((port) => `outport == "${port}"`)],
    [policy, ports(({ name }) => isGuarded(name))],
    [group, ports(({ name }) => isGrouped(name))],
    ...[...ofNode].map(([node, name]) => [name, ports((pod) => pod.node === node)] as const),
    ['peers of the policy, IPv4', addresses.filter((address) => !address.includes(':'))],
    ['peers of the policy, IPv6', addresses.filter((address) => address.includes(':'))],
  ]);
}

type Row = Readonly<Record<string, unknown>>;

/** The elements of an OVSDB set, of which one element may stand for itself (RFC 7047, 5.1). */
const elements = (value: unknown): readonly unknown[] =>
  Array.isArray(value) && value[0] === 'set' ? (value[1] as readonly unknown[]) : [value];

/** What is there of it. */
export async function foundHoldings(lab: TestLab, namespace: string): Promise<Holdings> {
  const rows = await ourRows(lab);
  const table = (name: string): readonly Row[] =>
    [...rows.lines].filter(([key]) => key.startsWith(`${name} `)).map(([, line]) => JSON.parse(line) as Row);
  const uuidOf = (value: unknown): string => String((value as readonly unknown[])[1]);
  const portNames = new Map(table('Logical_Switch_Port').map((row) => [uuidOf(row['_uuid']), String(row['name'])]));
  const members = (group: string): readonly string[] =>
    table('Port_Group')
      .filter(({ name }) => name === group)
      .flatMap(({ ports }) => elements(ports))
      .map((port) => portNames.get(uuidOf(port)) ?? `port ${uuidOf(port)}`)
      // Other files of a run may have pods on the nodes.
      .filter((name) => !group.startsWith('node_') || name.endsWith(`.${namespace}`));
  const { policy, group, ofNode } = portGroups(namespace, lab.nodes);
  const peers = (family: 4 | 6): readonly string[] =>
    table('Address_Set')
      .filter((row) => String(row['name']).startsWith('peer_') && String(row['name']).endsWith(`_ip${family}`))
      .filter((row) => JSON.stringify(row['external_ids']).includes(`["ovenbird/namespaces","${namespace}"]`))
      .flatMap((row) => elements(row['addresses']).map(String));
  return new Map([
    [
      'Load_Balancer',
      table('Load_Balancer')
        .map(({ name }) => String(name))
        .filter((name) => name.startsWith('hostport_') && name.includes(`.${namespace}_`)),
    ],
    [
      'QoS',
      table('QoS')
        .map(({ match }) => String(match))
        .filter((match) => match.includes(`.${namespace}"`)),
    ],
    ...[policy, group, ...ofNode.values()].map((name) => [name, members(name)] as const),
    ['peers of the policy, IPv4', peers(4)],
    ['peers of the policy, IPv6', peers(6)],
  ]);
}
