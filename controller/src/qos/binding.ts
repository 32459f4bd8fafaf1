import { askedOf, type FurtherInterface, isIpamOnly, request } from '@ovenbird/crds';
import type { AttachmentAddress } from '../attachment/model.ts';
import { askedAnywhere, listOf } from '../pod/interface.ts';
import { allBuckets, bucketsOf } from '../policy/pod-set.ts';
import { selects } from '../policy/selector.ts';
import { olderFirst } from '../store/by-age.ts';
import type { Key, Namespace, Pod } from '../store/model.ts';
import type { Reader, State } from '../store/state.ts';
import type { QosPolicy, QosTarget } from './model.ts';

/** Names of QoSPolicies in a namespace's annotation. */
export const policiesOfNamespace = ({ annotations }: Pick<Namespace, 'annotations'>): readonly string[] =>
  listOf(annotations[request.qosPolicy]);

/** Names of QoSPolicies in a pod's annotations, for any of its interfaces. */
export const namedPolicies = (pod: Pick<Pod, 'annotations'>): readonly string[] => [
  ...new Set(askedAnywhere(pod, request.qosPolicy).flatMap(listOf)),
];

/** Policies that are named for an interface of a pod, and where: its own annotation stands before the namespace's. */
export function namesFor(
  pod: Pod,
  namespace: Namespace | undefined,
  further?: FurtherInterface,
): { readonly key: string; readonly names: readonly string[] } {
  const { key, text } = askedOf(pod, request.qosPolicy, further);
  const own = listOf(text);
  return own.length > 0
    ? { key, names: own }
    : { key: request.qosPolicy, names: namespace === undefined ? [] : policiesOfNamespace(namespace) };
}

/** Whether the pods of a namespace may name the policy. */
const mayName = (policy: QosPolicy, namespace: string): boolean =>
  policy.allowedNamespaces.includes('*') || policy.allowedNamespaces.includes(namespace);

/**
 * Why a pod does not have a policy that it names; undefined when it has.
 * @param key of the annotation that names it
 */
export function qosProblem(
  namespace: string,
  key: string,
  name: string,
  policy: QosPolicy | undefined,
): string | undefined {
  if (policy !== undefined && mayName(policy, namespace)) return undefined;
  const why =
    policy === undefined
      ? 'does not exist'
      : `is not for namespace "${namespace}"; its spec.allowedNamespaces has to list it`;
  return `QoSPolicy "${name}", named by ${key}, ${why}`;
}

/** Buckets of the index of policies in which a pod that one of the targets chooses will look (see policy/pod-set.ts). */
export function targetBuckets({ targets }: QosPolicy): readonly string[] {
  return targets.flatMap(({ namespaces, namespaceSelector = [], pods }) =>
    namespaces === undefined
      ? bucketsOf({ namespaces: namespaceSelector, pods })
      : namespaces.flatMap((namespace) => bucketsOf({ namespace, pods })),
  );
}

function chooses(target: QosTarget, pod: Pod, namespace: Namespace, subnet: string): boolean {
  return (
    (target.namespaces?.includes(pod.namespace) ?? true) &&
    selects(target.namespaceSelector ?? [], namespace.labels) &&
    selects(target.pods, pod.labels) &&
    (target.subnets?.includes(subnet) ?? true)
  );
}

const strongerFirst = (a: QosPolicy, b: QosPolicy): number => b.priority - a.priority || olderFirst(a, b);

/**
 * The policies of an interface of a pod, highest priority first: those that choose it and those that are named for it and may
 * be. Of equal priority there is one, the oldest: two rows of one priority would leave the choice to OVN.
 * @param subnet in which the interface has its address
 */
export function policiesOf(
  pod: Pod,
  namespace: Namespace,
  subnet: string,
  reader: Reader,
  further?: FurtherInterface,
): readonly QosPolicy[] {
  const found = new Set<QosPolicy>();
  for (const bucket of allBuckets(pod, namespace))
    for (const policy of reader.index('QoSPolicy', 'targets', bucket))
      if (policy.targets.some((target) => chooses(target, pod, namespace, subnet))) found.add(policy);
  for (const name of namesFor(pod, namespace, further).names) {
    const policy = reader.get('QoSPolicy', name);
    if (policy !== undefined && mayName(policy, pod.namespace)) found.add(policy);
  }
  const taken = new Set<number>();
  return [...found].sort(strongerFirst).filter(({ priority }) => {
    if (taken.has(priority)) return false;
    taken.add(priority);
    return true;
  });
}

/** Keys of pods that a policy may choose or be named by, and maybe more. */
export function* candidates(policy: QosPolicy, state: State): Generator<Key> {
  const inNamespace = function* (namespace: string): Generator<Key> {
    for (const pod of state.index('Pod', 'namespace', namespace)) yield `${namespace}/${pod.name}`;
  };
  for (const { namespaces, namespaceSelector, subnets } of policy.targets) {
    if (namespaces !== undefined) for (const namespace of namespaces) yield* inNamespace(namespace);
    else if (subnets !== undefined) {
      for (const subnet of subnets) {
        for (const { owner } of state.index('PodAddress', 'subnet', subnet)) yield owner.slice('Pod/'.length);
        for (const { pod } of state.index('AttachmentAddress', 'subnet', subnet)) if (pod !== undefined) yield pod;
      }
    } else if (namespaceSelector !== undefined && namespaceSelector.length > 0) {
      for (const { name, labels } of state.list('Namespace'))
        if (selects(namespaceSelector, labels)) yield* inNamespace(name);
    } else yield* state.keys('Pod');
  }
  yield* naming(policy.name, state);
}

/** Keys of pods that name a policy, themselves or by their namespace. */
export function* naming(policy: string, state: State): Generator<Key> {
  for (const { namespace, name } of state.index('Pod', 'qosPolicy', policy)) yield `${namespace}/${name}`;
  for (const { name } of state.index('Namespace', 'qosPolicy', policy))
    for (const pod of state.index('Pod', 'namespace', name)) yield `${name}/${pod.name}`;
}

/** Keys of the interfaces of a pod that can have policies: the pod's own, and `<pod>/<interface>`. */
export function interfacesOf(pod: Key, state: Reader): readonly Key[] {
  return [pod, ...state.index('AttachmentAddress', 'pod', pod).map(({ ifname }) => `${pod}/${ifname}`)];
}

/** The pod of an interface, and whether that is a further one. @param key see {@link interfacesOf} */
export function splitInterface(key: Key): { readonly pod: Key; readonly isFurther: boolean } {
  const [namespace, name, ifname] = key.split('/');
  return { pod: `${namespace}/${name}`, isFurther: ifname !== undefined };
}

/** The address of a further interface, when that is a port of OVN. */
export function furtherPort(key: Key, reader: Reader): AttachmentAddress | undefined {
  const address = reader.get('AttachmentAddress', key);
  return address === undefined || isIpamOnly(address.provider) ? undefined : address;
}
