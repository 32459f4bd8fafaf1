import type { KubeObject } from '@ovenbird/kube';
import type { Ended } from './exec.ts';
import { type CniCall, NODE, type NodeUnderTest } from './node-under-test.ts';

/** A pod of the test: its object, its northbound port, its sandbox. */
export interface TestPod {
  readonly name: string;
  /** `default` when absent. */
  readonly namespace?: string;
  readonly uid: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly mac: string;
  readonly containerId: string;
  readonly netns: string;
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** The `index`-th pod, with a sandbox of its own but neither object nor port. */
export async function sandbox(node: NodeUnderTest, index: number, containerId = `c${index}`): Promise<TestPod> {
  return {
    name: `p${index}`,
    uid: `uid-p${index}`,
    ip4: `10.16.${index >> 8}.${10 + (index & 0xff)}`,
    ip6: `fd00:10:16::${(16 + index).toString(16)}`,
    mac: `02:00:00:00:${hex(index >> 8)}:${hex(index & 0xff)}`,
    containerId,
    netns: await node.podNamespace(containerId),
  };
}

/** The Pod object; `announced` = as the controller leaves it. */
export function podObject(pod: TestPod, announced: boolean, phase = 'Pending'): KubeObject {
  const annotations = {
    'ovn.kubernetes.io/allocated': 'true',
    'ovn.kubernetes.io/routed': 'true',
    'ovn.kubernetes.io/ip_address': `${pod.ip4},${pod.ip6}`,
    'ovn.kubernetes.io/mac_address': pod.mac,
    'ovn.kubernetes.io/cidr': '10.16.0.0/16,fd00:10:16::/112',
    'ovn.kubernetes.io/gateway': '10.16.0.1,fd00:10:16::1',
    'ovn.kubernetes.io/logical_switch': 'net',
    'ovenbird.io/announced-uid': pod.uid,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      namespace: pod.namespace ?? 'default',
      uid: pod.uid,
      ...(announced ? { annotations } : {}),
    },
    spec: { nodeName: NODE },
    status: { phase },
  } as KubeObject;
}

/** The northbound port, as the controller writes it. */
export function portCommands(pod: TestPod): readonly (readonly string[])[] {
  const port = `${pod.name}.${pod.namespace ?? 'default'}`;
  return [
    ['lsp-add', 'net', port],
    ['lsp-set-addresses', port, `${pod.mac} ${pod.ip4} ${pod.ip6}`],
    ['lsp-set-port-security', port, `${pod.mac} ${pod.ip4} ${pod.ip6}`],
    ['lsp-set-options', port, `requested-chassis=${NODE}`, `iface-id-ver=${pod.uid}`],
  ];
}

/** Sandbox, port and announced object of a pod. */
export async function announcedPod(node: NodeUnderTest, index: number): Promise<TestPod> {
  const pod = await sandbox(node, index);
  await node.nbctl(...portCommands(pod));
  await node.put('Pod', podObject(pod, true));
  return pod;
}

/** CNI_ARGS of a pod, in the order a runtime happens to use. */
export function argsOf(pod: TestPod): string {
  return `K8S_POD_UID=${pod.uid};IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace ?? 'default'};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`;
}

/** Runs the plugin for a pod. */
export function cni(node: NodeUnderTest, command: string, pod: TestPod, more: Partial<CniCall> = {}): Promise<Ended> {
  return node.cni({ command, containerId: pod.containerId, netns: pod.netns, args: argsOf(pod), ...more });
}

/** Names of pods' OVS ports and of host veths, which must agree. */
export async function leftovers(node: NodeUnderTest): Promise<{ ports: string[]; links: string[] }> {
  const { must } = await import('./exec.ts');
  const ports = (await node.vsctl('list-ports', 'br-int')).split('\n').filter((name) => /^h[0-9a-f]{12}$/.test(name));
  const shown = JSON.parse(await must(node.inNode('ip', '-json', 'link', 'show'))) as { ifname: string }[];
  return { ports, links: shown.map(({ ifname }) => ifname).filter((name) => /^h[0-9a-f]{12}$/.test(name)) };
}
