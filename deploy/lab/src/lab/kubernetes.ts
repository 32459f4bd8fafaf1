import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { underlay } from '../fabric/addresses.ts';
import { socketReady, southboundRemote } from '../fabric/central.ts';
import { identity } from '../fabric/pki.ts';
import { agentKubeconfig, ensureTokens, kubeconfigOf } from './access.ts';
import { apiReady } from './api.ts';
import type { LabNode, LabState, Layout } from './layout.ts';
import { openLoopback } from './loopback.ts';
import type { ProcessSpec } from './process.ts';
import { compileCache, installManifests, nodeProgram } from './repository.ts';

/** Name of the API server's certificate. */
export const apiIdentity = 'apiserver';

/** Name of the controller's certificate. */
export const controllerIdentity = 'controller';

/** Longest start of one of our own processes, in milliseconds. */
const deadline = 60_000;

/** Address ranges of the cluster (design, 5), IPv6 only where the lab has it. */
export function clusterRanges(dualStack: boolean): {
  readonly services: readonly string[];
  readonly pods: string;
  readonly join: string;
} {
  const both = (ipv4: string, ipv6: string): readonly string[] => (dualStack ? [ipv4, ipv6] : [ipv4]);
  return {
    services: both('10.96.0.0/12', 'fd00:10:96::/112'),
    pods: both('10.16.0.0/16', 'fd00:10:16::/112').join(','),
    join: both('100.64.0.0/16', 'fd00:100:64::/112').join(','),
  };
}

/** One of our own processes: its configuration is written anew before each start, since it may hold what only then exists. */
function configured(
  layout: Layout,
  name: string,
  folder: string,
  configuration: () => unknown,
  flags: readonly string[] = [],
): Pick<ProcessSpec, 'name' | 'logFile' | 'argv' | 'env' | 'prepare' | 'deadline'> {
  const file = join(layout.config, `${name}.json`);
  return {
    name,
    logFile: join(layout.log, `${name}.log`),
    argv: nodeProgram(folder, file, flags),
    env: { NODE_COMPILE_CACHE: compileCache },
    prepare: () => {
      mkdirSync(layout.config, { recursive: true, mode: 0o700 });
      writeFileSync(file, `${JSON.stringify(configuration(), undefined, 2)}\n`, { mode: 0o600 });
    },
    deadline,
  };
}

/** The embedded API server, with scheduler and workload controllers. */
export function apiServer(state: LabState, layout: Layout): ProcessSpec {
  const { key, cert } = identity(layout.pki, apiIdentity);
  return {
    namespace: state.namespaces.fabric,
    ...configured(layout, 'apiserver', 'deploy/lab/src/apiserver', () => ({
      listen: [{ host: underlay.ipv4, port: underlay.apiPort }, { fd: 3 }],
      tls: { key, cert },
      tokens: ensureTokens(state, layout),
      kubeletSocket: layout.kubeletSocket,
      stateDir: layout.api,
      serviceCidrs: clusterRanges(state.options.dualStack).services,
      manifests: installManifests(),
      workloads: { kubeconfig: kubeconfigOf(layout, 'controller-manager') },
    })),
    inherit: async () => [await openLoopback(layout)],
    ready: () => apiReady(layout),
  };
}

/** The kubelet of all nodes. */
export function kubelet(state: LabState, layout: Layout): ProcessSpec {
  return {
    ...configured(layout, 'kubelet', 'deploy/lab/src/kubelet', () => ({
      kubeconfig: kubeconfigOf(layout, 'kubelet'),
      nodes: state.nodes.map((node) => {
        const files = layout.node(node.name);
        return {
          name: node.name,
          netns: node.namespace,
          cniBin: files.cniBin,
          cniConf: files.cniConf,
          cniSocket: files.cniSocket,
          addresses: addressesOf(node),
        };
      }),
      socket: layout.kubeletSocket,
      stateDir: layout.kubelet,
      podNetnsPrefix: state.namespaces.podPrefix,
    })),
    stale: [layout.kubeletSocket],
    ready: () => socketReady(layout.kubeletSocket),
  };
}

function addressesOf(node: LabNode): readonly string[] {
  const { ipv4, ipv6 } = node.addresses;
  return ipv6 === undefined ? [ipv4] : [ipv4, ipv6];
}

/** Ovenbird's controller. */
export function controller(state: LabState, layout: Layout): ProcessSpec {
  const ranges = clusterRanges(state.options.dualStack);
  return {
    namespace: state.namespaces.fabric,
    ...configured(
      layout,
      'controller',
      'controller/src',
      () => ({
        kubeconfig: kubeconfigOf(layout, 'controller'),
        northbound: [`unix:${layout.central.northbound}`],
        southbound: [`unix:${layout.central.southbound}`],
        leaseNamespace: 'kube-system',
        identity: 'lab-controller',
        defaultVpc: 'ovn-cluster',
        defaultSubnet: { name: 'ovn-default', cidrBlock: ranges.pods },
        joinSubnet: { name: 'join', cidrBlock: ranges.join },
        serviceCidr: ranges.services.join(','),
        listen: '127.0.0.1:10660',
        lookupListen: `${underlay.ipv4}:${underlay.lookupPort}`,
        tls: identity(layout.pki, controllerIdentity),
        logLevel: 'info',
      }),
      [
        // Speed rather than memory: a storm of pods makes garbage that is dead before a larger young generation is full.
        '--max-semi-space-size=64',
      ],
    ),
    // It serves inside the fabric's namespace only; that it works shows in the nodes, which `lab up` waits for.
    ready: () => true,
  };
}

/** Ovenbird's agent on one node. */
export function agent(state: LabState, layout: Layout, node: LabNode): ProcessSpec {
  const files = layout.node(node.name);
  const { key, cert, ca } = identity(layout.pki, node.name);
  return {
    namespace: node.namespace,
    ...configured(
      layout,
      `${node.name}.agent`,
      'agent/src',
      () => ({
        nodeName: node.name,
        kubeconfig: agentKubeconfig(layout, node.name),
        ovsdb: `unix:${files.db}`,
        ovnRemote: southboundRemote,
        encapType: 'geneve',
        datapathType: 'netdev',
        cniSocket: files.cniSocket,
        querySocket: files.querySocket,
        // Not the node's address: that goes and comes with br-underlay.
        listen: `0.0.0.0:${underlay.agentPort}`,
        ovsRunDir: files.run,
        ovnRunDir: files.run,
        ovnLog: join(layout.log, `${node.name}.ovn-controller.log`),
        netnsDirs: ['/run/netns'],
        // Tests kill daemons on purpose and want to see what follows.
        outOfServiceAfter: 3000,
        lookup: [`https://${underlay.ipv4}:${underlay.lookupPort}`],
        tlsKey: key,
        tlsCert: cert,
        tlsCa: ca,
        // The lab puts the shim there itself, by a link: /run, where copies would land, often is mounted noexec.
        cniConfDir: files.cniConf,
        serviceCidr: clusterRanges(state.options.dualStack).services.join(','),
        logLevel: 'info',
      }),
      // Memory rather than speed: an agent makes little garbage, and there is one on every node.
      ['--max-semi-space-size=2', '--optimize-for-size'],
    ),
    stale: [files.cniSocket, files.querySocket],
    // It takes CNI requests only once its node has an address on the join subnet, which shows in the node being Ready.
    ready: () => socketReady(files.querySocket),
  };
}
