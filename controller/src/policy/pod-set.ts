import type { Namespace, Pod } from '../store/model.ts';
import type { NamedContainerPort, PodSet } from './model.ts';
import { requiredPairs, selects } from './selector.ts';

/**
 * The index "which sets hold this pod": a set stands in the buckets of one requirement that all its pods meet, a pod
 * looks into the buckets of its labels. So a pod sees only sets that ask for a label it has, and those that ask for none.
 * NUL and `*`, `@` separate: they occur in no namespace and no label.
 */
export function bucketsOf(set: PodSet): readonly string[] {
  const scope = set.namespace ?? '*';
  const byPod = requiredPairs(set.pods);
  if (byPod !== undefined) return byPod.map(([key, value]) => `${scope}\0${key}\0${value}`);
  const byNamespace = requiredPairs(set.namespaces ?? []);
  if (byNamespace !== undefined) return byNamespace.map(([key, value]) => `@\0${key}\0${value}`);
  return [scope];
}

/** Buckets that may hold sets of a pod within its own namespace only: those of its policies. */
export function ownBuckets(pod: Pod): readonly string[] {
  const { namespace, labels } = pod;
  return [namespace, ...Object.entries(labels).map(([key, value]) => `${namespace}\0${key}\0${value}`)];
}

/** Buckets that may hold sets of a pod: {@link ownBuckets} and those of sets over several namespaces. */
export function allBuckets(pod: Pod, namespace: Namespace): readonly string[] {
  return [
    ...ownBuckets(pod),
    '*',
    ...Object.entries(pod.labels).map(([key, value]) => `*\0${key}\0${value}`),
    ...Object.entries(namespace.labels).map(([key, value]) => `@\0${key}\0${value}`),
  ];
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
