import { mkdirSync, watch } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { type Clock, isKubeError, type KubeClient, LEASES, type PodCondition, sleep } from '@ovenbird/kube';
import type { Logger } from 'pino';
import { LAB_NODES, timestamp } from '../workloads/objects.ts';
import { findConflist } from './cni.ts';
import type { NodeConfig } from './config.ts';

/** What keeping the nodes needs. */
export interface NodesContext {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Intervals of a kubelet: the lease is renewed every 10 s and lasts 40 s (KubeletConfiguration, defaults). */
const LEASE = { renewMs: 10_000, durationSeconds: 40, namespace: 'kube-node-lease' } as const;
const PODS_PER_NODE = 1000;
const VERSION = 'v1.33.0-ovenbird-lab';

/** Registers the nodes, keeps their Ready condition equal to "there is a conflist", and renews their leases. */
export async function keepNodes(nodes: readonly NodeConfig[], context: NodesContext): Promise<void> {
  await Promise.all([...nodes.map((node) => keepReady(node, context)), keepLeases(nodes, context)]);
}

async function keepReady(node: NodeConfig, context: NodesContext): Promise<void> {
  const { signal, clock, log } = context;
  mkdirSync(node.cniConf, { recursive: true });
  let wake = Promise.withResolvers<void>();
  const look = (): void => wake.resolve();
  const watcher = watch(node.cniConf, look);
  const end = (): void => {
    watcher.close();
    look();
  };
  signal.addEventListener('abort', end, { once: true });
  let shown: boolean | undefined;
  while (!signal.aborted) {
    wake = Promise.withResolvers<void>();
    const ready = findConflist(node.cniConf) !== undefined;
    try {
      if (shown === undefined) await register(node, context);
      if (ready !== shown) await showStatus(node, ready, context);
      shown = ready;
      await wake.promise;
    } catch (error) {
      if (signal.aborted) break;
      log.warn({ node: node.name, error: messageOf(error) }, 'cannot report the node');
      await sleep(clock, 1000, signal);
    }
  }
}

async function register(node: NodeConfig, { client, signal }: NodesContext): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': node.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': goArch(),
    'beta.kubernetes.io/os': 'linux',
    'beta.kubernetes.io/arch': goArch(),
    ...node.labels,
  };
  const nodes = client.resource(LAB_NODES);
  try {
    await nodes.create({ metadata: { name: node.name, labels } }, { signal, fieldManager: 'kubelet' });
  } catch (error) {
    if (!isKubeError(error, 'already-exists')) throw error;
    await nodes.patch({ name: node.name }, { metadata: { labels } }, { signal, fieldManager: 'kubelet' });
  }
}

async function showStatus(node: NodeConfig, ready: boolean, { client, clock, signal }: NodesContext): Promise<void> {
  const nodes = client.resource(LAB_NODES);
  const current = await nodes.get({ name: node.name }, { signal });
  const before = (current.status?.conditions ?? []) as readonly PodCondition[];
  const status = nodeStatus(node, ready, before, timestamp(clock.wallMs()));
  await nodes.patchStatus({ name: node.name }, { status }, { signal, fieldManager: 'kubelet' });
}

/** The status of a node; conditions of others (network problem detectors ...) stay. Pure but for the machine's size. */
export function nodeStatus(
  node: NodeConfig,
  ready: boolean,
  before: readonly PodCondition[],
  now: string,
): Record<string, unknown> {
  const quiet = (type: string, what: string): PodCondition => ({
    type,
    status: 'False',
    reason: `KubeletHas${what}`,
    message: `kubelet has ${what
      .replaceAll(/([A-Z])/g, ' $1')
      .toLowerCase()
      .trim()} available`,
  });
  const conditions: PodCondition[] = [
    quiet('MemoryPressure', 'SufficientMemory'),
    quiet('DiskPressure', 'NoDiskPressure'),
    quiet('PIDPressure', 'SufficientPID'),
    ready
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : {
          type: 'Ready',
          status: 'False',
          reason: 'KubeletNotReady',
          message: `container runtime network not ready: NetworkReady=false: no CNI configuration in ${node.cniConf}`,
        },
  ];
  const stamped = conditions.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const same = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime: same ?? now };
  });
  const others = before.filter(({ type }) => !conditions.some((condition) => condition.type === type));
  const resources = {
    cpu: String(cpus().length),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: String(PODS_PER_NODE),
  };
  return {
    addresses: [
      ...node.addresses.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: node.name },
    ],
    capacity: resources,
    allocatable: resources,
    conditions: [...stamped, ...others],
    nodeInfo: {
      architecture: goArch(),
      operatingSystem: 'linux',
      kernelVersion: release(),
      osImage: 'Ovenbird lab node (a network namespace)',
      kubeletVersion: VERSION,
      kubeProxyVersion: '',
      containerRuntimeVersion: 'ovenbird-lab://0.1',
      machineID: node.name,
      systemUUID: node.name,
      bootID: node.name,
    },
  };
}

async function keepLeases(nodes: readonly NodeConfig[], context: NodesContext): Promise<void> {
  const { signal, clock, log } = context;
  while (!signal.aborted) {
    for (const node of nodes) {
      try {
        await renew(node.name, context);
      } catch (error) {
        if (!signal.aborted) log.warn({ node: node.name, error: messageOf(error) }, 'cannot renew the lease');
      }
    }
    await sleep(clock, LEASE.renewMs, signal);
  }
}

async function renew(name: string, { client, clock, signal }: NodesContext): Promise<void> {
  const leases = client.resource(LEASES);
  const ref = { namespace: LEASE.namespace, name };
  const spec = {
    holderIdentity: name,
    leaseDurationSeconds: LEASE.durationSeconds,
    // metav1.MicroTime: six digits
    renewTime: new Date(clock.wallMs()).toISOString().replace('Z', '000Z'),
  };
  try {
    await leases.patch(ref, { spec }, { signal, fieldManager: 'kubelet' });
  } catch (error) {
    if (!isKubeError(error, 'not-found')) throw error;
    await leases.create({ metadata: ref, spec }, { signal, fieldManager: 'kubelet' });
  }
}

function goArch(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
