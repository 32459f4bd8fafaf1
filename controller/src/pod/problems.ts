import { parseNetem } from '@ovenbird/crds';
import type { ApiEffects } from '../api-effects.ts';
import { dhcpProblems } from '../compile/dhcp.ts';
import { namesOf, qosProblem } from '../qos/binding.ts';
import { groupProblem, namedGroups } from '../security-group/members.ts';
import type { Key, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { namedVips, vipProblem } from '../vip/members.ts';
import { bandwidthOf } from './bandwidth.ts';
import { portOptionsOf } from './port-options.ts';

/** What a pod asks for in vain, though it runs without: bad bandwidth, ports that it may not have, Vips and groups of others. */
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
  const subnet = reader.get('PodAddress', `${pod.namespace}/${pod.name}`)?.subnet;
  const vpc = subnet === undefined ? undefined : reader.get('UsableSubnet', subnet)?.vpc;
  const groups = namedGroups(pod)
    .map((name) => groupProblem(pod, name, vpc, reader))
    .filter((message) => message !== undefined);
  return [
    ...[...bandwidthOf(pod.annotations).problems, ...dhcpProblems(pod), ...parseNetem(pod.annotations).problems].map(
      (message) => ({
        reason: 'InvalidAnnotation',
        message,
      }),
    ),
    // Without its namespace nobody knows what the pod may do.
    ...(namespace === undefined ? [] : portOptionsOf(pod.annotations, namespace).problems),
    ...policies.map((message) => ({ reason: 'QoSPolicyForbidden', message })),
    ...groups.map((message) => ({ reason: 'SecurityGroupRefused', message })),
    ...vips.map((message) => ({ reason: 'VipForbidden', message })),
  ];
}

/** Tells of a pod what {@link podProblems} finds. */
export function tellProblems(
  key: Key,
  { state, api }: { readonly state: Reader; readonly api: Pick<ApiEffects, 'event'> },
): void {
  const pod = state.get('Pod', key);
  if (pod === undefined) return;
  for (const { reason, message } of podProblems(pod, state)) api.event({ kind: 'Pod', object: pod }, reason, message);
}
