import { mkdirSync } from 'node:fs';
import { CONFIGMAPS, type KubeClient, SECRETS, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';
import type { LabPod } from '../workloads/objects.ts';
import { CniRunner } from './cni.ts';
import type { KubeletConfig } from './config.ts';
import type { EnvSources } from './env.ts';
import { serveHttp } from './http-server.ts';
import { raiseNeighbourLimits } from './neighbours.ts';
import { keepNodes } from './nodes.ts';
import { PodManager } from './pod-manager.ts';
import { RecordStore } from './pod-record.ts';
import { PodServer } from './pod-server.ts';
import type { KubeletContext } from './pod-worker.ts';
import { Semaphore } from './semaphore.ts';

/** What a kubelet runs with. */
export interface KubeletOptions {
  readonly config: KubeletConfig;
  readonly client: KubeClient;
  readonly log: Logger;
  /** Ends the kubelet; pods keep running, their sandboxes are taken over by the next one. */
  readonly signal: AbortSignal;
  readonly warn: (pod: LabPod, reason: string, message: string) => void;
}

/** Serves all nodes of the configuration until the signal fires. Needs root. */
export async function runKubelet({ config, client, log, signal, warn }: KubeletOptions): Promise<void> {
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const limits = raiseNeighbourLimits();
  if (limits.length > 0) log.info({ limits }, 'neighbour tables of this machine');
  const nodes = new Map(config.nodes.map((node) => [node.name, node]));
  const podServer = new PodServer((text) => log.warn({ text: text.trim() }, 'pod server'));
  const context: KubeletContext = {
    client,
    podServer,
    records: new RecordStore(config.stateDir),
    clock: systemClock,
    log,
    signal,
    stateDir: config.stateDir,
    podNetnsPrefix: config.podNetnsPrefix,
    nodeNames: [...nodes.keys()],
    node: (name) => nodes.get(name),
    runner: (node) =>
      new CniRunner({ binDir: node.cniBin, enter: ['nsenter', `--net=/run/netns/${node.netns}`, '--'] }),
    plugins: new Semaphore(config.cniConcurrency),
    lookup: (namespace) => lookupIn(client, namespace),
    warn,
  };
  const manager = new PodManager(context);
  try {
    await serveHttp(config.socket, { find: (namespace, name) => manager.find(namespace, name) }, signal);
    log.info({ nodes: [...nodes.keys()], socket: config.socket }, 'kubelet serves');
    await Promise.all([keepNodes(config.nodes, { client, clock: systemClock, log, signal }), manager.run()]);
  } finally {
    await podServer.stop();
  }
}

function lookupIn(client: KubeClient, namespace: string): EnvSources['lookup'] {
  return async (kind, name, key) => {
    if (kind === 'ConfigMap') return (await client.resource(CONFIGMAPS).find({ namespace, name }))?.data?.[key];
    const value = (await client.resource(SECRETS).find({ namespace, name }))?.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
  };
}
