import type { Namespace, Pod } from '../store/model.ts';
import type { NamedContainerPort, PodSet } from './model.ts';
import { type Labels, requiredPairs, selects } from './selector.ts';

/**
 * The index "which sets hold this pod": a set stands in the buckets of one requirement that all its pods meet, and of one
 * that their namespaces meet; a pod looks into the buckets of its labels and its namespace's. So a pod sees only sets that
 * ask for labels it has, and those that ask for none.
 * NUL and `*`, `@` separate: they occur in no namespace and no label.
 */
export function bucketsOf(set: Pick<PodSet, 'namespace' | 'namespaces' | 'pods'>): readonly string[] {
  const byPod = requiredPairs(set.pods)?.map(pairText);
  if (set.namespace !== undefined) return byPod?.map((pair) => `${set.namespace}\0${pair}`) ?? [set.namespace];
  const byNamespace = requiredPairs(set.namespaces ?? [])?.map(pairText);
  const scopes = byNamespace?.map((pair) => `@\0${pair}`) ?? ['*'];
  return byPod === undefined ? scopes : scopes.flatMap((scope) => byPod.map((pair) => `${scope}\0${pair}`));
}

const pairText = ([key, value]: readonly [key: string, value: string]): string => `${key}\0${value}`;
const pairsOf = (labels: Labels): readonly string[] => Object.entries(labels).map(pairText);

/** Buckets that may hold sets of a pod within its own namespace only: those of its policies. */
export function ownBuckets({ namespace, labels }: Pod): readonly string[] {
  return [namespace, ...pairsOf(labels).map((pair) => `${namespace}\0${pair}`)];
}

/** Buckets that may hold sets of a pod: {@link ownBuckets} and those of sets over several namespaces. */
export function allBuckets(pod: Pod, namespace: Namespace): readonly string[] {
  const pairs = pairsOf(pod.labels);
  const scopes = ['*', ...pairsOf(namespace.labels).map((pair) => `@\0${pair}`)];
  return [...ownBuckets(pod), ...scopes.flatMap((scope) => [scope, ...pairs.map((pair) => `${scope}\0${pair}`)])];
}

/**
 * Whether the pod is in the set. Pods that share the node's network are in none: they are the node (Kubernetes docs).
 * @param vpc VPC of the pod, undefined in the default VPC
 */
export function isMember(set: PodSet, pod: Pod, namespace: Namespace | undefined, vpc: string | undefined): boolean {
  if (set.holds !== 'policy' && set.vpc !== vpc) return false;
  if (set.namespace === undefined) {
    if (namespace === undefined || !selects(set.namespaces ?? [], namespace.labels)) return false;
  } else if (set.namespace !== pod.namespace) return false;
  if (pod.hostNetwork || !selects(set.pods, pod.labels)) return false;
  if (![...(set.port === undefined ? [] : [set.port]), ...(set.ports ?? [])].every((port) => hasPort(pod, port)))
    return false;
  return !(set.not ?? []).some(
    (not) =>
      namespace !== undefined &&
      selects(not.namespaces, namespace.labels) &&
      selects(not.pods, pod.labels) &&
      not.ports.every((port) => hasPort(pod, port)),
  );
}

const hasPort = (pod: Pod, port: NamedContainerPort): boolean =>
  pod.namedPorts.some(
    ({ name, protocol, number }) => name === port.name && protocol === port.protocol && number === port.number,
  );
