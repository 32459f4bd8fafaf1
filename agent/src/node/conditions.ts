import { type Node, toTime } from '@ovenbird/kube';

/** A condition of the Node as the agent wants it (core/v1 NodeCondition, without its times). */
export interface NodeConditionInput {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/**
 * Kubernetes' own: while it is True the node gets the taint `node.kubernetes.io/network-unavailable:NoSchedule`. Cloud
 * providers set it on new nodes and leave it to the network to clear it.
 */
export const NETWORK_UNAVAILABLE = 'NetworkUnavailable';

/** Whether the router of the join network answers this node. */
export const GATEWAY_HEALTHY = 'ovenbird.io/GatewayHealthy';
/** Whether neighbours answer through the tunnels. */
export const TUNNELS_HEALTHY = 'ovenbird.io/TunnelsHealthy';
const NETWORK_EMULATION = 'ovenbird.io/NetworkEmulation';

/** Every type that the agent writes. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set([
  NETWORK_UNAVAILABLE,
  GATEWAY_HEALTHY,
  TUNNELS_HEALTHY,
  NETWORK_EMULATION,
]);

/** {@link NETWORK_UNAVAILABLE}. @param reason why pods cannot be attached; undefined when they can */
export function networkUnavailable(reason: string | undefined): NodeConditionInput {
  return reason === undefined
    ? { type: NETWORK_UNAVAILABLE, status: 'False', reason: 'OvenbirdServes', message: 'pods can be attached' }
    : { type: NETWORK_UNAVAILABLE, status: 'True', reason: 'OvenbirdCannotServe', message: reason };
}

/** Whether pods of this node get the delay and loss that they ask for. */
export function networkEmulation(works: boolean): NodeConditionInput {
  const type = NETWORK_EMULATION;
  return works
    ? { type, status: 'True', reason: 'NothingLacks', message: 'every pod has the delay and loss that it asks for' }
    : {
        type,
        status: 'False',
        reason: 'KernelWithoutNetem',
        message: 'the kernel has no sch_netem: annotations latency, jitter, loss and limit of pods have no effect here',
      };
}

/**
 * The strategic merge patch (conditions merge by type) that brings a Node's status to what is wanted; undefined when it is
 * that.
 * @param wallMs now, milliseconds since 1970
 * @param annotations what the Node's metadata has to say. The status of a Node takes metadata with it: kubelet writes its
 * annotations so (kubernetes, pkg/util/node, PatchNodeStatus), which needs no permission beside that of the status.
 */
export function conditionPatch(
  node: Node,
  wanted: readonly NodeConditionInput[],
  wallMs: number,
  annotations: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> | undefined {
  const now = toTime(wallMs);
  const conditions = wanted.flatMap((input) => {
    const old = node.status?.conditions?.find(({ type }) => type === input.type);
    if (old?.status === input.status && old.reason === input.reason && old.message === input.message) return [];
    const moved = old?.status === input.status ? {} : { lastTransitionTime: now };
    return [{ ...input, lastHeartbeatTime: now, ...moved }];
  });
  const said = Object.entries(annotations).every(([key, value]) => node.metadata.annotations?.[key] === value);
  if (conditions.length === 0 && said) return undefined;
  return {
    metadata: { uid: node.metadata.uid, ...(said ? {} : { annotations }) },
    ...(conditions.length === 0 ? {} : { status: { conditions } }),
  };
}
