import { type IP, IPS, ipObject, SUBNETS, type Subnet } from '@ovenbird/crds';
import {
  dropBulk,
  type KubeClient,
  NODES,
  type Node,
  PODS,
  type Pod,
  Reflector,
  type ReflectorNotice,
  runtimeUid,
  Store,
} from '@ovenbird/kube';
import type { Logger } from 'pino';
import { OWN_CONDITIONS } from './node/conditions.ts';

/** What the agent watches: its own pods, its Node, the Subnets. Nothing here grows with the number of nodes. */
export interface Watches {
  readonly pods: Store<Pod>;
  readonly nodes: Store<Node>;
  readonly subnets: Store<Subnet>;
  /** IP objects of this node's containers outside of Kubernetes. */
  readonly containers: Store<IP>;
  /** Resolves when pods, Node and Subnets were listed. */
  readonly synced: Promise<unknown>;
}

/** Annotations the agent reads, those about further interfaces by provider; the others can be large. */
const OWN_ANNOTATION = /^(ovn\.kubernetes\.io|ovenbird\.io)\/|\.kubernetes\.io\/(latency|jitter|loss|limit)(\.|$)/;

function ownAnnotations(annotations: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => OWN_ANNOTATION.test(key)));
}

/** The part of a Pod that the agent reads, with the UID that the runtime knows. */
export function projectPod(pod: Pod): Pod {
  const { namespace, name, resourceVersion, deletionTimestamp, annotations } = pod.metadata;
  const uid = runtimeUid(pod.metadata);
  const ports = (pod.spec.containers ?? [])
    .flatMap((one) => one.ports ?? [])
    .filter(({ hostPort = 0 }) => hostPort > 0);
  return {
    metadata: { namespace, name, uid, resourceVersion, deletionTimestamp, annotations: ownAnnotations(annotations) },
    spec: {
      nodeName: pod.spec.nodeName,
      hostNetwork: pod.spec.hostNetwork,
      ...(ports.length === 0 ? {} : { containers: [{ name: '', ports }] }),
    },
    status: { phase: pod.status?.phase },
  };
}

/** The part of a Node that the agent reads; kubelet rewrites the rest every few minutes. */
export function projectNode(node: Node): Node {
  const { name, uid, resourceVersion, annotations } = node.metadata;
  return {
    metadata: { name, uid, resourceVersion, annotations: ownAnnotations(annotations) },
    status: {
      addresses: node.status?.addresses,
      conditions: node.status?.conditions
        ?.filter(({ type }) => OWN_CONDITIONS.has(type))
        .map(({ type, status, reason, message }) => ({ type, status, reason, message })),
    },
  };
}

/** The part of an IP object that the agent reads. */
export function projectContainer({ metadata, spec, status }: IP): IP {
  const { name, uid, resourceVersion, deletionTimestamp, annotations } = metadata;
  return {
    apiVersion: 'ovenbird.io/v1',
    kind: 'IP',
    metadata: {
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      annotations: ownAnnotations(annotations),
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** Starts the watches. */
export function startWatches(client: KubeClient, nodeName: string, log: Logger, signal: AbortSignal): Watches {
  const onListenerError = (err: unknown): void => log.error({ err }, 'a change listener failed');
  const pods = new Store<Pod>({ onListenerError });
  const nodes = new Store<Node>({ onListenerError });
  const subnets = new Store<Subnet>({ onListenerError });
  const containers = new Store<IP>({ onListenerError });
  const noticed =
    (kind: string) =>
    (notice: ReflectorNotice): void => {
      // History that is gone only means to list again.
      if (notice.type === 'error' && notice.error.code !== 'gone')
        log.warn({ kind, err: notice.error, retryInMs: notice.retryInMs }, 'cannot watch, is tried again');
      else if (notice.type === 'handler-error') log.error({ kind, err: notice.error }, 'cannot read an object');
      else log.debug({ kind, ...notice }, 'watch');
    };
  const reflectors = [
    new Reflector<Pod, Pod>({
      client,
      kind: PODS,
      fieldSelector: `spec.nodeName=${nodeName}`,
      project: projectPod,
      sink: pods,
      signal,
      onNotice: noticed('Pod'),
    }),
    new Reflector<Node, Node>({
      client,
      kind: NODES,
      fieldSelector: `metadata.name=${nodeName}`,
      project: projectNode,
      sink: nodes,
      signal,
      onNotice: noticed('Node'),
    }),
    new Reflector<Subnet, Subnet>({
      client,
      kind: SUBNETS,
      project: dropBulk,
      sink: subnets,
      signal,
      onNotice: noticed('Subnet'),
    }),
  ];
  new Reflector<IP, IP>({
    client,
    kind: IPS,
    labelSelector: `${ipObject.attachment}=true,${ipObject.nodeName}=${nodeName}`,
    project: projectContainer,
    sink: containers,
    signal,
    onNotice: noticed('IP'),
  }).start();
  for (const reflector of reflectors) reflector.start();
  return { pods, nodes, subnets, containers, synced: Promise.all(reflectors.map((reflector) => reflector.synced)) };
}
