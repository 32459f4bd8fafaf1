import type { ClusterPolicyObject } from '@ovenbird/kube';
import type {
  Case,
  Expectation,
  Fixture,
  FixtureObject,
  NodeCase,
  PodObject,
  Removal,
} from '../network-policy/case.ts';
import { applyObject, emptyState, removeObject } from '../network-policy/oracle.ts';
import { type End, type TieredState, tieredAllowed } from './oracle.ts';

/** Ports of the pods of the fixture; those in the nodes' network listen on others. */
export const ports: readonly string[] = [
  ...['TCP/80', 'TCP/8080', 'UDP/53', 'UDP/5353', 'SCTP/9003', 'SCTP/9005'],
  ...['TCP/36363', 'TCP/36364', 'UDP/34345', 'UDP/34346'],
];

/** A pod of the fixture, in the order of the recorded tables. */
interface Place {
  readonly key: string;
  readonly host: boolean;
  readonly serves: ReadonlySet<string>;
}

/** Replays a case: the reachability after each step. @param addresses of pods by `namespace/name`, of one family */
export function expectationsOf(
  item: Case,
  fixture: Fixture,
  addresses: ReadonlyMap<string, string>,
): readonly Expectation[] {
  const places: Place[] = [];
  const nodes: { name: string; labels: Readonly<Record<string, string>>; addresses: string[] }[] = [];
  const state: TieredState = { ...emptyState(), nodes, clusterPolicies: [] };
  const apply = (object: FixtureObject): void => {
    switch (object.kind) {
      case 'Node':
        nodes.push(nodeOf(object));
        break;
      case 'AdminNetworkPolicy':
      case 'BaselineAdminNetworkPolicy':
      case 'ClusterNetworkPolicy':
        putPolicy(state, object);
        break;
      case 'Pod': {
        const key = `${object.metadata.namespace}/${object.metadata.name}`;
        const host = object.spec.hostNetwork === true;
        if (!places.some((place) => place.key === key)) places.push({ key, host, serves: portsOf(object) });
        const address = addresses.get(key) ?? object.status?.podIP ?? '';
        if (host) nodes.find(({ name }) => name === object.spec.nodeName)?.addresses.push(address);
        else applyObject(state, object, address);
        break;
      }
      default:
        applyObject(state, object);
    }
  };
  for (const object of fixture.objects) apply(object);
  return item.steps.map((step) => {
    for (const object of step.apply ?? []) apply(object);
    for (const removal of step.delete ?? []) remove(state, removal);
    return expectationOf(state, places, (key) => endOf(state, key, addresses, fixture));
  });
}

const nodeOf = ({
  metadata,
}: NodeCase): { name: string; labels: Readonly<Record<string, string>>; addresses: string[] } => ({
  name: metadata.name,
  labels: metadata.labels ?? {},
  // Those of the pods in its network, which come later in the fixture.
  addresses: [],
});

const portsOf = ({ spec }: PodObject): ReadonlySet<string> =>
  new Set(
    spec.containers
      .flatMap((container) => container.ports ?? [])
      .map(({ protocol = 'TCP', containerPort }) => `${protocol}/${containerPort}`),
  );

/** A policy that is replaced keeps its age. */
function putPolicy(state: TieredState, policy: ClusterPolicyObject): void {
  const at = state.clusterPolicies.findIndex(
    ({ kind, metadata }) => kind === policy.kind && metadata.name === policy.metadata.name,
  );
  if (at < 0) state.clusterPolicies.push(policy);
  else state.clusterPolicies[at] = policy;
}

function remove(state: TieredState, removal: Removal): void {
  removeObject(state, removal);
  state.clusterPolicies = state.clusterPolicies.filter(
    ({ kind, metadata }) => kind !== removal.kind || metadata.name !== removal.name,
  );
}

function endOf(state: TieredState, key: string, addresses: ReadonlyMap<string, string>, fixture: Fixture): End {
  const pod = state.pods.find(({ namespace, name }) => `${namespace}/${name}` === key);
  if (pod !== undefined) return { pod };
  const object = fixture.objects.find(
    (candidate): candidate is PodObject =>
      candidate.kind === 'Pod' && `${candidate.metadata.namespace}/${candidate.metadata.name}` === key,
  );
  return { address: addresses.get(key) ?? object?.status?.podIP ?? '' };
}

function expectationOf(state: TieredState, places: readonly Place[], end: (key: string) => End): Expectation {
  return {
    order: places.map(({ key }) => key),
    tables: ports.map((port) => {
      const [protocol = '', number = ''] = port.split('/');
      const cell = (from: Place, to: Place): string => {
        if (from.host || !to.serves.has(port)) return '-';
        return from.key === to.key || tieredAllowed(state, end(from.key), end(to.key), protocol, Number(number))
          ? '.'
          : 'X';
      };
      return { ports: [port], rows: places.map((from) => places.map((to) => cell(from, to)).join('')) };
    }),
  };
}
