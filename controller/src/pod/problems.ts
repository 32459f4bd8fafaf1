import { namesOf, qosProblem } from '../qos/binding.ts';
import type { Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { namedVips, vipProblem } from '../vip/members.ts';
import { bandwidthOf } from './bandwidth.ts';
import { portOptionsOf } from './port-options.ts';

/** What a pod asks for in vain, though it runs without: bad bandwidth, ports that it may not have, Vips of others. */
export function podProblems(
  pod: Pod,
  reader: Reader,
): readonly { readonly reason: string; readonly message: string }[] {
  const namespace = reader.get('Namespace', pod.namespace);
  const vips = namedVips(pod)
    .map((name) => vipProblem(pod, name, reader.get('Vip', name)))
    .filter((message) => message !== undefined);
  const policies = namesOf(pod, namespace)
    .map((name) => qosProblem(pod.namespace, name, reader.get('QoSPolicy', name)))
    .filter((message) => message !== undefined);
  return [
    ...bandwidthOf(pod.annotations).problems.map((message) => ({ reason: 'InvalidAnnotation', message })),
    // Without its namespace nobody knows what the pod may do.
    ...(namespace === undefined ? [] : portOptionsOf(pod.annotations, namespace).problems),
    ...policies.map((message) => ({ reason: 'QoSPolicyForbidden', message })),
    ...vips.map((message) => ({ reason: 'VipForbidden', message })),
  ];
}
