import fc from 'fast-check';
import { podPortName } from '../../controller/src/compile/names.ts';
import type { NamedContainerPort } from '../../controller/src/policy/model.ts';
import type { Labels } from '../../controller/src/policy/selector.ts';
import { projectNetworkPolicy } from '../../controller/src/store/projections.ts';
import { makeNamespace, makeNode, makePod, makeSubnet, makeVpc, World } from '../../controller/src/testing/world.ts';
import type { PolicyObject } from '../conformance/network-policy/case.ts';
import { allowed, type OraclePod, type OracleState } from '../conformance/network-policy/oracle.ts';
import { CompiledPolicies } from './compiled-policies.ts';

const namespaces = ['x', 'y', 'z'] as const;
const names = ['a', 'b', 'c'] as const;
const nodes = ['node-1', 'node-2', 'node-3'] as const;

const labels = fc.record(
  { app: fc.constantFrom('web', 'db'), tier: fc.constantFrom('1', '2'), old: fc.constant('') },
  { requiredKeys: [] },
);
const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'tier', 'old'),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(fc.constantFrom('web', 'db', '1', '2', ''), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    key: fc.constantFrom('app', 'tier', 'old'),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
  }),
);
const selector = fc.record(
  { matchLabels: labels, matchExpressions: fc.array(requirement, { maxLength: 2 }) },
  { requiredKeys: [] },
);
const block = fc.constantFrom(
  { cidr: '10.16.0.0/16' },
  { cidr: '10.16.0.0/29' },
  { cidr: '10.16.0.0/28', except: ['10.16.0.4/30', '10.16.0.9/32'] },
  { cidr: '0.0.0.0/0', except: ['10.16.0.0/30'] },
  { cidr: 'fd00:10:16::/112', except: ['fd00:10:16::4/126'] },
  { cidr: '::/0' },
  { cidr: '10.16.0.4/30', except: ['10.16.0.4/30'] },
  { cidr: '0.0.0.0/0', except: ['172.30.1.2/32'] },
  { cidr: '172.30.0.0/16', except: ['172.30.1.2/31'] },
  { cidr: 'fd00::/8', except: ['fd00:172:30::1:1/128'] },
);
const peer = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: selector }),
  fc.record({ podSelector: selector, namespaceSelector: selector }),
  fc.record({ ipBlock: block }),
);
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
const port = fc.oneof(
  fc.record({ protocol, port: fc.constantFrom<(number | string)[]>(80, 81, 'http', 'alt') }),
  fc.record({ protocol }),
  fc.record({ protocol, port: fc.constant(79), endPort: fc.constantFrom(80, 81) }),
  fc.record({ port: fc.constant(80) }),
);
const peers = fc.array(peer, { maxLength: 3 });
const ports = fc.array(port, { maxLength: 3 });
const spec = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.constantFrom([], ['Ingress'], ['Egress'], ['Ingress', 'Egress']),
    ingress: fc.array(fc.record({ from: peers, ports }, { requiredKeys: [] }), { maxLength: 2 }),
    egress: fc.array(fc.record({ to: peers, ports }, { requiredKeys: [] }), { maxLength: 2 }),
  },
  { requiredKeys: ['podSelector'] },
);

const containerPorts = fc.constantFrom<(readonly { name: string; port: number; protocol: string }[])[]>(
  [],
  [{ name: 'http', port: 80, protocol: 'TCP' }],
  [
    { name: 'http', port: 81, protocol: 'TCP' },
    { name: 'alt', port: 80, protocol: 'UDP' },
  ],
  [{ name: 'alt', port: 80, protocol: 'TCP' }],
);

type PolicySpec = PolicyObject['spec'];
interface ContainerPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** What {@link Both.apply} does. */
export type Change =
  | {
      readonly type: 'pod';
      readonly namespace: string;
      readonly name: string;
      readonly labels: Labels;
      readonly ports: readonly ContainerPort[];
      readonly node: string;
      readonly hostNetwork: boolean;
      readonly finished: boolean;
      /** That it asks for, so that addresses pass from pod to pod. */
      readonly address: string;
      /** Of namespace z: in a VPC of its own, with the same addresses. */
      readonly island: boolean;
    }
  | { readonly type: 'node'; readonly name: string; readonly addresses: readonly string[] }
  | { readonly type: 'no node'; readonly name: string }
  | { readonly type: 'relabel'; readonly namespace: string; readonly name: string; readonly labels: Labels }
  | { readonly type: 'no pod' | 'no policy'; readonly namespace: string; readonly name: string }
  | { readonly type: 'namespace'; readonly namespace: string; readonly labels: Labels }
  | { readonly type: 'policy'; readonly namespace: string; readonly name: string; readonly spec: PolicySpec };

const namespace = fc.constantFrom(...namespaces);
/** A random change of a cluster with policies. */
export const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    type: fc.constant('pod' as const),
    namespace,
    name: fc.constantFrom(...names),
    labels,
    ports: containerPorts,
    node: fc.constantFrom(...nodes),
    hostNetwork: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    finished: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    island: fc.boolean(),
    address: fc.constantFrom('', '', '10.16.0.5,fd00:10:16::5', '10.16.0.6,fd00:10:16::6'),
  }),
  fc.record({
    type: fc.constant('node' as const),
    name: fc.constantFrom(...nodes),
    addresses: fc.constantFrom(
      ['172.30.1.1', 'fd00:172:30::1:1'],
      ['172.30.1.2', 'fd00:172:30::1:2'],
      ['172.30.1.9', '192.0.2.9'],
      ['fd00:172:30::1:9'],
    ),
  }),
  fc.record({ type: fc.constant('no node' as const), name: fc.constantFrom(...nodes) }),
  fc.record({ type: fc.constant('relabel' as const), namespace, name: fc.constantFrom(...names), labels }),
  fc.record({ type: fc.constant('no pod' as const), namespace, name: fc.constantFrom(...names) }),
  fc.record({ type: fc.constant('namespace' as const), namespace, labels }),
  fc.record({ type: fc.constant('policy' as const), namespace, name: fc.constantFrom(...names), spec }),
  fc.record({ type: fc.constant('no policy' as const), namespace, name: fc.constantFrom(...names) }),
);

/** The same changes made to the controller's middle and to what the oracle is asked about. */
export class Both {
  readonly world: World = World.standard();
  readonly policies: Map<string, PolicyObject> = new Map();

  constructor() {
    for (const name of namespaces) this.world.set('Namespace', makeNamespace(name));
    this.world.set('Vpc', makeVpc('island'));
    const beach = { vpc: 'island', namespaces: ['z'] };
    this.world.set('Subnet', makeSubnet('beach', '10.16.0.0/16,fd00:10:16::/112', beach));
  }

  apply(item: Change): void {
    const { world } = this;
    const key = 'namespace' in item && 'name' in item ? `${item.namespace}/${item.name}` : '';
    switch (item.type) {
      case 'pod': {
        const namedPorts = item.ports.map(({ name, port: number, protocol: kind }) => ({
          name,
          number,
          protocol: kind.toLowerCase() as NamedContainerPort['protocol'],
        }));
        world.set(
          'Pod',
          makePod(item.namespace, item.name, item.node, {
            labels: item.labels,
            namedPorts,
            hostNetwork: item.hostNetwork,
            finished: item.finished,
            annotations: {
              'ovn.kubernetes.io/logical_switch': item.island && item.namespace === 'z' ? 'beach' : 'ovn-default',
              ...(item.address === '' ? {} : { 'ovn.kubernetes.io/ip_address': item.address }),
            },
          }),
        );
        break;
      }
      case 'node':
        world.set('Node', {
          ...(world.state.get('Node', item.name) ?? makeNode(item.name, [])),
          addresses: item.addresses,
        });
        break;
      case 'no node':
        world.delete('Node', item.name);
        break;
      case 'relabel': {
        const pod = world.state.get('Pod', key);
        if (pod !== undefined) world.set('Pod', { ...pod, labels: item.labels });
        break;
      }
      case 'no pod':
        world.delete('Pod', key);
        break;
      case 'namespace':
        world.set('Namespace', { ...makeNamespace(item.namespace), labels: item.labels });
        break;
      case 'policy': {
        const object = {
          kind: 'NetworkPolicy',
          metadata: { namespace: item.namespace, name: item.name },
          spec: item.spec,
        } as PolicyObject;
        this.policies.set(key, object);
        world.set('NetworkPolicy', projectNetworkPolicy(object as Parameters<typeof projectNetworkPolicy>[0]));
        break;
      }
      case 'no policy':
        this.policies.delete(key);
        world.delete('NetworkPolicy', key);
        break;
    }
  }

  /** The cluster as the oracle sees it, with the addresses of one family. */
  oracle(family: 4 | 6): OracleState {
    const { state } = this.world;
    const pods: OraclePod[] = state.list('PodAddress').flatMap((address) => {
      const pod = state.get('Pod', address.owner.slice('Pod/'.length));
      const text = family === 4 ? address.v4 : address.v6;
      if (pod === undefined || text === undefined) return [];
      const own = pod.namedPorts.map(({ name, number, protocol: kind }) => ({
        name,
        port: number,
        protocol: kind.toUpperCase(),
      }));
      return [{ namespace: pod.namespace, name: pod.name, labels: pod.labels, address: text, ports: own }];
    });
    const known = state.list('Namespace').map(({ name, labels: own }) => [name, own] as const);
    return { namespaces: new Map(known), pods, policies: [...this.policies.values()] };
  }

  /** Everything that compiled ACLs and oracle disagree about. */
  disagreements(world: World = this.world): readonly string[] {
    const compiled = new CompiledPolicies(world.sink);
    const wrong: string[] = [...compiled.untracked()];
    for (const family of [4, 6] as const) {
      const state = this.oracle(family);
      for (const from of state.pods) {
        for (const to of state.pods) {
          if (from === to || vpcOf(world, from) !== vpcOf(world, to)) continue;
          for (const kind of ['TCP', 'UDP', 'SCTP'] as const) {
            for (const number of [80, 81]) {
              const expected = allowed(state, from, to, kind, number);
              const packet = {
                source: from.address,
                destination: to.address,
                protocol: kind.toLowerCase() as 'tcp',
                port: number,
              };
              const actual = compiled.allows(
                podPortName(from.namespace, from.name),
                podPortName(to.namespace, to.name),
                packet,
              );
              if (actual !== expected)
                wrong.push(
                  `${from.namespace}/${from.name} -> ${to.namespace}/${to.name} ${kind}/${number} IPv${family}: ${expected ? 'allowed' : 'blocked'} by the API, not by the ACLs`,
                );
            }
          }
        }
      }
      for (const to of state.pods) {
        // Nodes reach the default VPC only.
        if (vpcOf(world, to) === 'island') continue;
        const own = world.state.get('Pod', `${to.namespace}/${to.name}`)?.node;
        for (const node of world.state.list('Node')) {
          // A node's packets come from its address on the join subnet; policies speak of the one that it has as a node.
          const sent = world.state.get('NodeAddress', node.name);
          const source = family === 4 ? sent?.v4 : sent?.v6;
          const isOwn = (text: string): boolean => text.includes(':') === (family === 6);
          // One that has several addresses is admitted by any of them; policies say nothing of one that has none.
          const addresses = node.addresses.filter(isOwn);
          if (addresses.length === 0) continue;
          const expected =
            node.name === own ||
            addresses.some((address) =>
              allowed(state, { namespace: '', name: node.name, labels: {}, address, ports: [] }, to, 'TCP', 80),
            );
          const packet = { source: source ?? '', destination: to.address, protocol: 'tcp' as const, port: 80 };
          const actual = compiled.allows(undefined, podPortName(to.namespace, to.name), packet);
          if (source === undefined || actual !== expected)
            wrong.push(`${node.name} -> ${to.namespace}/${to.name} IPv${family}: should be ${expected}`);
        }
      }
    }
    return wrong;
  }
}

/** VPC of a pod that has an address. */
function vpcOf(
  { state }: World,
  { namespace: space, name }: Pick<OraclePod, 'namespace' | 'name'>,
): string | undefined {
  return state.get('UsableSubnet', state.get('PodAddress', `${space}/${name}`)?.subnet ?? '')?.vpc;
}
