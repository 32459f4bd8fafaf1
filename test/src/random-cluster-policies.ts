import type { ClusterPolicyObject } from '@ovenbird/kube';
import fc from 'fast-check';
import { podPortName } from '../../controller/src/compile/names.ts';
import type { ClusterPolicyKind } from '../../controller/src/policy/cluster-model.ts';
import type { NamedContainerPort } from '../../controller/src/policy/model.ts';
import type { Labels } from '../../controller/src/policy/selector.ts';
import { projectClusterPolicy, projectNetworkPolicy } from '../../controller/src/store/projections.ts';
import { makeNamespace, makeNode, makePod, World } from '../../controller/src/testing/world.ts';
import type { PolicyObject } from '../conformance/network-policy/case.ts';
import type { OraclePod } from '../conformance/network-policy/oracle.ts';
import { type End, endAddress, type TieredState, tieredAllowed } from '../conformance/policy-api/oracle.ts';
import { CompiledPolicies } from './compiled-policies.ts';

const namespaces = ['x', 'y', 'z'] as const;
const names = ['a', 'b'] as const;
const nodes = ['node-1', 'node-2', 'node-3'] as const;

const labels = fc.record({ app: fc.constantFrom('web', 'db'), tier: fc.constantFrom('1', '2') }, { requiredKeys: [] });
const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(fc.constantFrom('web', 'db', '1', '2'), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
  }),
);
const selector = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ matchLabels: labels }) },
  { weight: 1, arbitrary: fc.record({ matchExpressions: fc.array(requirement, { maxLength: 2 }) }) },
);
const group = fc.oneof(
  fc.record({ namespaces: selector }),
  fc.record({ pods: fc.record({ namespaceSelector: selector, podSelector: selector }) }),
);
/** Of pods' subnets, of nodes, of both, and outside. */
const network = fc.constantFrom(
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.16.0.0/29',
  '10.16.0.4/30',
  '172.30.1.0/24',
  '172.30.1.2/32',
  '192.0.2.0/25',
  '::/0',
  'fd00:10:16::/125',
  'fd00:172:30::/48',
  '2001:db8::/32',
);
const egressPeer = fc.oneof(
  { weight: 3, arbitrary: group },
  { weight: 1, arbitrary: fc.record({ nodes: selector }) },
  { weight: 2, arbitrary: fc.record({ networks: fc.uniqueArray(network, { minLength: 1, maxLength: 3 }) }) },
);
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
const oldPort = fc.oneof(
  fc.record({ portNumber: fc.record({ protocol, port: fc.constantFrom(80, 81) }) }),
  fc.record({ portRange: fc.record({ protocol, start: fc.constant(79), end: fc.constantFrom(80, 90) }) }),
);
const newPort = fc
  .record({
    kind: fc.constantFrom('tcp', 'udp', 'sctp'),
    port: fc.constantFrom(
      {},
      { destinationPort: { number: 80 } },
      { destinationPort: { range: { start: 80, end: 81 } } },
    ),
  })
  .map(({ kind, port }) => ({ [kind]: port }));
const portName = fc.constantFrom('http', 'alt');

interface PortWish {
  readonly old: readonly object[];
  readonly recent: readonly object[];
  readonly name: string | undefined;
}

const wish: fc.Arbitrary<PortWish | undefined> = fc.option(
  fc.record({
    old: fc.array(oldPort, { minLength: 1, maxLength: 2 }),
    recent: fc.array(newPort, { minLength: 1, maxLength: 2 }),
    name: fc.option(portName, { nil: undefined, freq: 4 }),
  }),
  { nil: undefined },
);
const action = fc.constantFrom('Allow', 'Deny', 'Pass');
const rule = (
  peer: fc.Arbitrary<object>,
): fc.Arbitrary<{ action: string; peers: object[]; ports: PortWish | undefined }> =>
  fc.record({ action, peers: fc.array(peer, { minLength: 1, maxLength: 2 }), ports: wish });

type RuleWish = ReturnType<typeof rule> extends fc.Arbitrary<infer T> ? T : never;

/** A rule in the words of a kind; named ports only where the API admits them. */
function written(kind: ClusterPolicyKind, field: 'from' | 'to', { action: verb, peers, ports }: RuleWish): object {
  const recent = kind === 'ClusterNetworkPolicy';
  const namable = peers.every((one) => !('networks' in one) && !('nodes' in one));
  const known =
    recent && verb === 'Allow' ? 'Accept' : kind === 'BaselineAdminNetworkPolicy' && verb === 'Pass' ? 'Deny' : verb;
  const list = ports === undefined ? [] : recent ? [...ports.recent] : [...ports.old];
  if (ports?.name !== undefined && namable)
    list.push(recent ? { destinationNamedPort: ports.name } : { namedPort: ports.name });
  return { action: known, [field]: peers, ...(list.length === 0 ? {} : { [recent ? 'protocols' : 'ports']: list }) };
}

const policy = fc
  .record({
    kind: fc.constantFrom(
      'AdminNetworkPolicy' as const,
      'ClusterNetworkPolicy' as const,
      'BaselineAdminNetworkPolicy' as const,
    ),
    name: fc.constantFrom('a', 'b'),
    tier: fc.constantFrom('Admin', 'Baseline'),
    priority: fc.constantFrom(0, 1, 1, 2, 50),
    subject: group,
    ingress: fc.array(rule(group), { maxLength: 3 }),
    egress: fc.array(rule(egressPeer), { maxLength: 3 }),
  })
  .map(({ kind, name, tier, priority, subject, ingress, egress }) => ({
    kind,
    metadata: { name: kind === 'BaselineAdminNetworkPolicy' ? 'default' : name },
    spec: {
      subject,
      ...(kind === 'BaselineAdminNetworkPolicy' ? {} : { priority }),
      ...(kind === 'ClusterNetworkPolicy' ? { tier } : {}),
      ingress: ingress.map((one) => written(kind, 'from', one)),
      egress: egress.map((one) => written(kind, 'to', one)),
    },
  }));

const containerPorts = fc.constantFrom<(readonly NamedContainerPort[])[]>(
  [],
  [{ name: 'http', number: 80, protocol: 'tcp' }],
  [
    { name: 'http', number: 81, protocol: 'tcp' },
    { name: 'alt', number: 80, protocol: 'udp' },
  ],
);
interface PolicyWish {
  readonly kind: ClusterPolicyKind;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}
interface OfPod {
  readonly namespace: string;
  readonly name: string;
}

/** What {@link ClusterBoth.apply} does. */
export type ClusterChange =
  | (OfPod & {
      readonly type: 'pod';
      readonly labels: Labels;
      readonly ports: readonly NamedContainerPort[];
      readonly node: string;
    })
  | (OfPod & { readonly type: 'no pod' | 'no network policy' })
  | { readonly type: 'namespace'; readonly namespace: string; readonly labels: Labels }
  | { readonly type: 'node'; readonly name: string; readonly labels: Labels }
  | { readonly type: 'policy' | 'no policy'; readonly policy: PolicyWish }
  | (OfPod & {
      readonly type: 'network policy';
      readonly podSelector: object;
      readonly peer: object;
    });

const namespace = fc.constantFrom(...namespaces);
const key = { namespace, name: fc.constantFrom(...names) };
/** A random change of a cluster with policies of all kinds. */
export const clusterChange: fc.Arbitrary<ClusterChange> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('pod' as const),
      ...key,
      labels,
      ports: containerPorts,
      node: fc.constantFrom(...nodes),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('no pod' as const), ...key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('namespace' as const), namespace, labels }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('node' as const), name: fc.constantFrom(...nodes), labels }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('policy' as const), policy }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('no policy' as const), policy }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('network policy' as const),
      ...key,
      podSelector: selector,
      peer: fc.record({ namespaceSelector: selector }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('no network policy' as const), ...key }) },
);

/** The same changes made to the controller's middle and to what the oracle is asked about. */
export class ClusterBoth {
  readonly world: World;
  readonly policies: Map<string, PolicyObject> = new Map();
  readonly clusterPolicies: Map<string, ClusterPolicyObject> = new Map();
  #clock = 0;

  constructor(tiers: boolean) {
    this.world = World.standard(tiers);
    for (const name of namespaces) this.world.set('Namespace', makeNamespace(name));
  }

  apply(item: ClusterChange): void {
    const { world } = this;
    switch (item.type) {
      case 'pod':
        world.set(
          'Pod',
          makePod(item.namespace, item.name, item.node, { labels: item.labels, namedPorts: item.ports }),
        );
        break;
      case 'no pod':
        world.delete('Pod', `${item.namespace}/${item.name}`);
        break;
      case 'namespace':
        world.set('Namespace', { ...makeNamespace(item.namespace), labels: item.labels });
        break;
      case 'node': {
        const old = world.state.get('Node', item.name) ?? makeNode(item.name, []);
        world.set('Node', { ...old, labels: item.labels });
        break;
      }
      case 'policy': {
        const { kind, metadata } = item.policy;
        const id = `${kind}/${metadata.name}`;
        const old = this.clusterPolicies.get(id);
        this.#clock += 1;
        const created = old?.metadata.creationTimestamp ?? `2026-01-01T00:${String(100 + this.#clock)}`;
        const object = { ...item.policy, metadata: { ...metadata, creationTimestamp: created } } as ClusterPolicyObject;
        this.clusterPolicies.set(id, object);
        world.set(kind, projectClusterPolicy(kind, object));
        break;
      }
      case 'no policy': {
        const { kind, metadata } = item.policy;
        this.clusterPolicies.delete(`${kind}/${metadata.name}`);
        world.delete(kind, metadata.name);
        break;
      }
      case 'network policy': {
        const id = `${item.namespace}/${item.name}`;
        const object: PolicyObject = {
          kind: 'NetworkPolicy',
          metadata: { namespace: item.namespace, name: item.name },
          spec: {
            podSelector: item.podSelector,
            policyTypes: ['Ingress', 'Egress'],
            ingress: [{ from: [item.peer] }],
            egress: [{ to: [item.peer] }],
          },
        };
        this.policies.set(id, object);
        world.set('NetworkPolicy', projectNetworkPolicy(object as Parameters<typeof projectNetworkPolicy>[0]));
        break;
      }
      case 'no network policy':
        this.policies.delete(`${item.namespace}/${item.name}`);
        world.delete('NetworkPolicy', `${item.namespace}/${item.name}`);
        break;
    }
  }

  /** The cluster as the oracle sees it, with the addresses of one family. */
  oracle(family: 4 | 6): TieredState {
    const { state } = this.world;
    const isOwn = (text: string): boolean => text.includes(':') === (family === 6);
    const pods: OraclePod[] = state.list('PodAddress').flatMap((address) => {
      const pod = state.get('Pod', address.owner.slice('Pod/'.length));
      const text = family === 4 ? address.v4 : address.v6;
      if (pod === undefined || text === undefined) return [];
      const ports = pod.namedPorts.map(({ name, number, protocol: kind }) => ({
        name,
        port: number,
        protocol: kind.toUpperCase(),
      }));
      return [{ namespace: pod.namespace, name: pod.name, labels: pod.labels, address: text, ports }];
    });
    return {
      namespaces: new Map(state.list('Namespace').map(({ name, labels: own }) => [name, own] as const)),
      pods,
      policies: [...this.policies.values()],
      nodes: state
        .list('Node')
        .map((node) => ({ name: node.name, labels: node.labels, addresses: node.addresses.filter(isOwn) })),
      clusterPolicies: [...this.clusterPolicies.values()].sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1)),
    };
  }

  /** Everything that compiled ACLs and oracle disagree about, and policies that the controller says are not in force. */
  disagreements(): readonly string[] {
    const compiled = new CompiledPolicies(this.world.sink);
    const plans = this.world.state.list('ClusterPlan');
    const unfit = plans.flatMap((plan) => (plan.unfit === undefined ? [] : [`${plan.name}: ${plan.unfit.message}`]));
    const wrong: string[] = [...unfit, ...compiled.untracked()];
    for (const family of [4, 6] as const) {
      const state = this.oracle(family);
      const ends: End[] = [
        ...state.pods.map((pod) => ({ pod })),
        ...state.nodes.flatMap(({ addresses }) => addresses.map((address) => ({ address }))),
        ...(family === 4 ? ['192.0.2.1', '192.0.2.200'] : ['2001:db8::1']).map((address) => ({ address })),
      ];
      for (const pod of state.pods) {
        for (const to of ends) {
          if ('pod' in to && to.pod === pod) continue;
          for (const kind of ['TCP', 'UDP', 'SCTP', 'ICMP'] as const) {
            for (const number of kind === 'ICMP' ? [0] : [80, 81, 90]) {
              const expected = tieredAllowed(state, { pod }, to, kind, number);
              const packet = {
                source: pod.address,
                destination: endAddress(to),
                ...(kind === 'ICMP' ? {} : { protocol: kind.toLowerCase() as 'tcp', port: number }),
              };
              const port = 'pod' in to ? podPortName(to.pod.namespace, to.pod.name) : undefined;
              const actual = compiled.allows(podPortName(pod.namespace, pod.name), port, packet);
              if (actual !== expected)
                wrong.push(
                  `${pod.namespace}/${pod.name} -> ${port ?? endAddress(to)} ${kind}/${number} IPv${family}: ${expected ? 'allowed' : 'blocked'} by the API, not by the ACLs`,
                );
            }
          }
        }
        const node = this.world.state.get(
          'NodeAddress',
          this.world.state.get('Pod', `${pod.namespace}/${pod.name}`)?.node ?? '',
        );
        const source = family === 4 ? node?.v4 : node?.v6;
        const probe = { source: source ?? '', destination: pod.address, protocol: 'tcp' as const, port: 80 };
        if (source === undefined || !compiled.allows(undefined, podPortName(pod.namespace, pod.name), probe))
          wrong.push(`the node of ${pod.namespace}/${pod.name} does not reach it by IPv${family}`);
      }
    }
    return wrong;
  }
}

const ageOf = ({ kind, metadata }: ClusterPolicyObject): string =>
  `${metadata.creationTimestamp}\0${kind}\0${metadata.name}`;
