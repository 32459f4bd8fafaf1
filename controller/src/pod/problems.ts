import { type FurtherInterface, isIpamOnly, parseNetem } from '@ovenbird/crds';
import type { ApiEffects } from '../api-effects.ts';
import { dhcpProblems } from '../compile/dhcp.ts';
import { namesFor, qosProblem } from '../qos/binding.ts';
import { groupProblems } from '../security-group/members.ts';
import type { Key, Namespace, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { drain, Tick } from '../tick.ts';
import { namedVips, vipProblem } from '../vip/members.ts';
import { bandwidthOf } from './bandwidth.ts';
import { portOptionsOf } from './port-options.ts';

/** What a pod asks for in vain, though it runs without: bad bandwidth, ports that it may not have, Vips and groups of others. */
function podProblems(pod: Pod, reader: Reader): readonly { readonly reason: string; readonly message: string }[] {
  const namespace = reader.get('Namespace', pod.namespace);
  const vips = namedVips(pod, namespace)
    .map((name) => vipProblem(pod, name, reader.get('Vip', name)))
    .filter((message) => message !== undefined);
  const key = `${pod.namespace}/${pod.name}`;
  const first = interfaceProblems(pod, namespace, reader.get('PodAddress', key)?.subnet, reader);
  const further = reader
    .index('AttachmentAddress', 'pod', key)
    .filter(({ uid, provider }) => uid === pod.uid && !isIpamOnly(provider))
    .flatMap((address) => interfaceProblems(pod, namespace, address.subnet, reader, address));
  return [
    ...dhcpProblems(pod).map((message) => ({ reason: 'InvalidAnnotation', message })),
    // Without its namespace nobody knows what the pod may do.
    ...(namespace === undefined ? [] : portOptionsOf(pod.annotations, namespace).problems),
    ...first,
    ...further,
    ...vips.map((message) => ({ reason: 'VipForbidden', message })),
  ];
}

/** What one interface of a pod is without: bandwidth limits, delay and loss, QoSPolicies, SecurityGroups. */
function interfaceProblems(
  pod: Pod,
  namespace: Namespace | undefined,
  subnet: string | undefined,
  reader: Reader,
  further?: FurtherInterface,
): readonly { readonly reason: string; readonly message: string }[] {
  const vpc = subnet === undefined ? undefined : reader.get('UsableSubnet', subnet)?.vpc;
  const { key, names } = namesFor(pod, namespace, further);
  const policies = names
    .map((name) => qosProblem(pod.namespace, key, name, reader.get('QoSPolicy', name)))
    .filter((message) => message !== undefined);
  const of = (reason: string, messages: readonly string[]): readonly { reason: string; message: string }[] =>
    messages.map((message) => ({ reason, message }));
  return [
    ...of('InvalidAnnotation', [
      ...bandwidthOf(pod, further).problems,
      ...parseNetem(pod.annotations, further).problems,
    ]),
    ...of('QoSPolicyForbidden', policies),
    ...of('SecurityGroupRefused', groupProblems(pod, vpc, reader, further)),
  ];
}

/** Tells of pods what {@link podProblems} finds, in a turn of its own: the rows of a change are sent before. */
export class ProblemTeller {
  readonly #due = new Set<Key>();
  readonly #tick: Tick;

  constructor(state: Reader, api: Pick<ApiEffects, 'event'>, onError: (error: unknown) => void) {
    const tellOf = (key: Key): void => {
      const pod = state.get('Pod', key);
      if (pod === undefined) return;
      for (const { reason, message } of podProblems(pod, state))
        api.event({ kind: 'Pod', object: pod }, reason, message);
    };
    this.#tick = new Tick(() => drain(this.#due, tellOf), onError);
  }

  /** What a pod asks for may have changed, or what it gets. */
  changed(key: Key): void {
    this.#due.add(key);
  }

  /** Everything is decided that follows from the changes. */
  tell(): void {
    if (this.#due.size > 0) this.#tick.schedule();
  }

  stop(): void {
    this.#tick.stop();
  }
}
