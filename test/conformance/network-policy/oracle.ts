import type { LabelSelector } from '@ovenbird/kube';
import type { Case, Expectation, Fixture, FixtureObject, Peer, PolicyObject, Port, Removal } from './case.ts';

/**
 * What NetworkPolicies mean, written after the Kubernetes API's documentation and sharing nothing with the controller, so
 * that each can be held against the other.
 */

type Labels = Readonly<Record<string, string>>;

export interface OraclePod {
  readonly namespace: string;
  readonly name: string;
  labels: Labels;
  readonly address: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

/** Who is no pod with a network of its own: a node, with its pods in the node's network, or something outside. */
export interface OracleStranger {
  readonly address: string;
}

/** A cluster, as far as policies see it. */
export interface OracleState {
  readonly namespaces: Map<string, Labels>;
  pods: OraclePod[];
  policies: PolicyObject[];
}

export function selected(selector: LabelSelector, labels: Labels): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = labels[key];
    const listed = value !== undefined && values.includes(value);
    if (operator === 'In' && !listed) return false;
    if (operator === 'NotIn' && listed) return false;
    if (operator === 'Exists' && value === undefined) return false;
    if (operator === 'DoesNotExist' && value !== undefined) return false;
  }
  return true;
}

/** Bits of an address as text, so that a network is a prefix. */
function bitsOf(address: string): string {
  if (!address.includes(':'))
    return address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].map((part) => parseInt(part, 16).toString(2).padStart(16, '0')).join('');
}

export function inNetwork(address: string, cidr: string): boolean {
  const [network = '', length = '0'] = cidr.split('/');
  if (network.includes(':') !== address.includes(':')) return false;
  return bitsOf(address).startsWith(bitsOf(network).slice(0, Number(length)));
}

/** The network of that prefix length that holds an address. */
function networkOf(address: string, length: number): string {
  const bits = bitsOf(address);
  const kept = bits.slice(0, length).padEnd(bits.length, '0');
  const parts = (width: number): number[] =>
    Array.from({ length: bits.length / width }, (_, at) => parseInt(kept.slice(at * width, (at + 1) * width), 2));
  if (bits.length === 32) return `${parts(8).join('.')}/${length}`;
  return `${parts(16)
    .map((part) => part.toString(16))
    .join(':')}/${length}`;
}

function peerMatches(
  peer: Peer,
  policy: PolicyObject,
  other: OraclePod | OracleStranger,
  namespaces: OracleState['namespaces'],
): boolean {
  const { ipBlock, namespaceSelector, podSelector } = peer;
  if (ipBlock !== undefined) {
    const excepted = (ipBlock.except ?? []).some((cidr) => inNetwork(other.address, cidr));
    return inNetwork(other.address, ipBlock.cidr) && !excepted;
  }
  if (!('labels' in other)) return false;
  // What is no pod, such as a node, is in no namespace.
  const labels = namespaces.get(other.namespace);
  if (labels === undefined) return false;
  const inNamespace =
    namespaceSelector === undefined
      ? other.namespace === policy.metadata.namespace
      : selected(namespaceSelector, labels);
  return inNamespace && selected(podSelector ?? {}, other.labels);
}

function portMatches(
  { protocol = 'TCP', port, endPort }: Port,
  to: OraclePod | undefined,
  asked: string,
  number: number,
): boolean {
  if (protocol !== asked) return false;
  if (port === undefined) return true;
  if (typeof port === 'string')
    return (to?.ports ?? []).some((own) => own.name === port && own.protocol === asked && own.port === number);
  return endPort === undefined ? port === number : port <= number && number <= endPort;
}

/**
 * Whether a pod's policies let something pass in one direction.
 * @param to the pod that is connected to
 * @returns undefined when no policy isolates the pod in this direction
 */
export function npVerdict(
  { policies, namespaces }: OracleState,
  direction: 'Ingress' | 'Egress',
  [self, other]: readonly [OraclePod, OraclePod | OracleStranger],
  to: OraclePod | undefined,
  [protocol, port]: readonly [string, number],
): boolean | undefined {
  let isolated = false;
  for (const policy of policies) {
    const { podSelector, policyTypes, ingress, egress } = policy.spec;
    const defaults = (egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
    const types = (policyTypes ?? []).length > 0 ? (policyTypes ?? []) : defaults;
    const applies = policy.metadata.namespace === self.namespace && types.includes(direction);
    if (!applies || !selected(podSelector, self.labels)) continue;
    isolated = true;
    const rules =
      direction === 'Ingress'
        ? (ingress ?? []).map((rule) => ({ peers: rule.from ?? [], ports: rule.ports ?? [] }))
        : (egress ?? []).map((rule) => ({ peers: rule.to ?? [], ports: rule.ports ?? [] }));
    for (const { peers, ports } of rules) {
      const peer = peers.length === 0 || peers.some((one) => peerMatches(one, policy, other, namespaces));
      const onPort = ports.length === 0 || ports.some((one) => portMatches(one, to, protocol, port));
      if (peer && onPort) return true;
    }
  }
  return isolated ? false : undefined;
}

/** Whether a new connection may be opened. A pod always reaches itself. */
export function allowed(state: OracleState, from: OraclePod, to: OraclePod, protocol: string, port: number): boolean {
  if (from.namespace === to.namespace && from.name === to.name) return true;
  const asked = [protocol, port] as const;
  const blocked = (['Egress', 'Ingress'] as const).some(
    (direction) => npVerdict(state, direction, direction === 'Egress' ? [from, to] : [to, from], to, asked) === false,
  );
  return !blocked;
}

export const emptyState = (): OracleState => ({ namespaces: new Map(), pods: [], policies: [] });

const isPolicy = (object: PolicyObject, namespace: string | undefined, name: string): boolean =>
  object.metadata.namespace === namespace && object.metadata.name === name;

/** Applies an object as a {@link Case} means it. @param address of a pod that is new */
export function applyObject(state: OracleState, object: FixtureObject, address?: string): void {
  const { name, namespace = '', labels = {} } = object.metadata;
  switch (object.kind) {
    case 'Namespace':
      state.namespaces.set(name, labels);
      break;
    case 'Pod': {
      const known = state.pods.find((pod) => pod.namespace === namespace && pod.name === name);
      if (known !== undefined) {
        known.labels = labels;
        break;
      }
      const ports = object.spec.containers
        .flatMap((container) => container.ports ?? [])
        .map((port) => ({ name: port.name ?? '', port: port.containerPort, protocol: port.protocol ?? 'TCP' }));
      state.pods.push({ namespace, name, labels, address: address ?? object.status?.podIP ?? '', ports });
      break;
    }
    case 'NetworkPolicy':
      state.policies = [...state.policies.filter((policy) => !isPolicy(policy, namespace, name)), object];
      break;
    case 'AdminNetworkPolicy':
    case 'BaselineAdminNetworkPolicy':
    case 'ClusterNetworkPolicy':
    case 'Node':
    case 'Service':
      break;
  }
}

export function removeObject(state: OracleState, { kind, namespace, name }: Removal): void {
  if (kind === 'Namespace') {
    state.namespaces.delete(name);
    state.pods = state.pods.filter((pod) => pod.namespace !== name);
    state.policies = state.policies.filter((policy) => policy.metadata.namespace !== name);
  } else if (kind === 'Pod') state.pods = state.pods.filter((pod) => pod.namespace !== namespace || pod.name !== name);
  else if (kind === 'NetworkPolicy')
    state.policies = state.policies.filter((policy) => !isPolicy(policy, namespace, name));
}

/** Ports that every pod of the fixtures listens on. */
export const ports = ['TCP/80', 'TCP/81', 'UDP/80', 'UDP/81', 'SCTP/80', 'SCTP/81'] as const;

/** The reachability that a state means. */
export function expectationOf(state: OracleState): Expectation {
  const { pods } = state;
  return {
    order: pods.map((pod) => `${pod.namespace}/${pod.name}`),
    tables: ports.map((key) => {
      const [protocol = '', number = ''] = key.split('/');
      const cell = (from: OraclePod, to: OraclePod): string =>
        allowed(state, from, to, protocol, Number(number)) ? '.' : 'X';
      return { ports: [key], rows: pods.map((from) => pods.map((to) => cell(from, to)).join('')) };
    }),
  };
}

/** What the expectation says of one connection. */
export function cellOf(expectation: Expectation, from: string, to: string, port: string): string {
  const table = expectation.tables.find((candidate) => candidate.ports.includes(port));
  return table?.rows[expectation.order.indexOf(from)]?.[expectation.order.indexOf(to)] ?? '-';
}

/** The case with its blocks computed from the addresses that pods really have. */
export function retarget(item: Case, addresses: ReadonlyMap<string, string>): Case {
  const blocks = new Map<string, string>();
  for (const { cidr, pod, prefix } of item.cidrVars ?? []) {
    const address = addresses.get(pod);
    // A prefix means the same share of the address in both families: a /24 leaves the last 8 bits.
    if (address !== undefined) blocks.set(cidr, networkOf(address, address.includes(':') ? prefix + 96 : prefix));
  }
  const renamed = JSON.parse(JSON.stringify(item.steps), (_key, value: unknown) =>
    typeof value === 'string' ? (blocks.get(value) ?? value) : value,
  ) as Case['steps'];
  return { ...item, steps: renamed };
}

/** Calls back with the state after each step, from the fixture on. */
export function replay(
  item: Case,
  fixture: Fixture,
  addresses: ReadonlyMap<string, string>,
  onStep: (state: OracleState, step: Case['steps'][number], index: number) => void,
): void {
  const state = emptyState();
  const apply = (object: FixtureObject): void =>
    applyObject(state, object, addresses.get(`${object.metadata.namespace}/${object.metadata.name}`));
  for (const object of fixture.objects) apply(object);
  for (const [index, step] of item.steps.entries()) {
    for (const object of step.apply ?? []) apply(object);
    for (const removal of step.delete ?? []) removeObject(state, removal);
    onStep(state, step, index);
  }
}
