import { request } from '@ovenbird/crds';
import { allBuckets, bucketsOf } from '../policy/pod-set.ts';
import { selects } from '../policy/selector.ts';
import type { Key, Namespace, Pod } from '../store/model.ts';
import type { Reader, State } from '../store/state.ts';
import type { QosPolicy, QosTarget } from './model.ts';

/** Names of QoSPolicies in the annotation of a pod or a namespace, joined by commas. */
export const namedPolicies = (annotations: Readonly<Record<string, string>>): readonly string[] =>
  (annotations[request.qosPolicy] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** Policies that a pod names: its own annotation stands before that of its namespace. */
export function namesOf(pod: Pod, namespace: Namespace | undefined): readonly string[] {
  const own = namedPolicies(pod.annotations);
  return own.length > 0 ? own : namedPolicies(namespace?.annotations ?? {});
}

/** Whether the pods of a namespace may name the policy. */
export const mayName = (policy: QosPolicy, namespace: string): boolean =>
  policy.allowedNamespaces.includes('*') || policy.allowedNamespaces.includes(namespace);

/** Why a pod does not have a policy that it names; undefined when it has. */
export function qosProblem(namespace: string, name: string, policy: QosPolicy | undefined): string | undefined {
  if (policy !== undefined && mayName(policy, namespace)) return undefined;
  const why =
    policy === undefined
      ? 'does not exist'
      : `is not for namespace "${namespace}"; its spec.allowedNamespaces has to list it`;
  return `QoSPolicy "${name}", named by ${request.qosPolicy}, ${why}`;
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

const strongerFirst = (a: QosPolicy, b: QosPolicy): number => {
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.name < b.name ? -1 : 1;
};

/**
 * The policies of a pod, highest priority first: those that choose it and those that it names and may name. Of equal
 * priority there is one, the oldest: two rows of one priority would leave the choice to OVN.
 * @param subnet in which the pod has its address
 */
export function policiesOf(pod: Pod, namespace: Namespace, subnet: string, reader: Reader): readonly QosPolicy[] {
  const found = new Set<QosPolicy>();
  for (const bucket of allBuckets(pod, namespace))
    for (const policy of reader.index('QoSPolicy', 'targets', bucket))
      if (policy.targets.some((target) => chooses(target, pod, namespace, subnet))) found.add(policy);
  for (const name of namesOf(pod, namespace)) {
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
      for (const subnet of subnets)
        for (const { owner } of state.index('PodAddress', 'subnet', subnet)) yield owner.slice('Pod/'.length);
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
