import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { announcement } from '@ovenbird/crds';
import { run, waitFor } from '@ovenbird/deploy';
import { type KubeClient, PODS, type Pod } from '@ovenbird/kube';
import type { TestLab } from '../../src/lab.ts';

/** One pod of the benchmark, ready to be attached: its address is announced, its port is known on the node. */
export interface NodePod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly containerId: string;
  /** Path of its network namespace. */
  readonly netns: string;
  /** What the controller announced. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Name of the reference's host link and OVS port. */
  readonly referenceLink: string;
  /** File with the commands of the reference's `ip -batch` on the node. */
  readonly nodeBatch: string;
  /** File with those inside of the pod. */
  readonly podBatch: string;
}

const deadline = 120_000;

/**
 * Pods bound to a node whose kubelet does not run: the benchmark is the runtime. Made once, attached and detached many times.
 */
export class NodePods implements AsyncDisposable {
  readonly pods: readonly NodePod[];
  readonly #netns: readonly string[];

  private constructor(pods: readonly NodePod[], netns: readonly string[]) {
    this.pods = pods;
    this.#netns = netns;
  }

  /**
   * Makes pods and their network namespaces and waits until the southbound database has all their ports.
   * @param directory for the reference's command files
   */
  static async create(
    lab: TestLab,
    client: KubeClient,
    options: { node: string; namespace: string; count: number; directory: string },
  ): Promise<NodePods> {
    const { node, namespace, count, directory } = options;
    const names = Array.from({ length: count }, (_, index) => `p${index}`);
    const netns = names.map((name) => `${lab.state.namespaces.podPrefix}-bench-${name}`);
    await run(['ip', '-batch', '-'], { input: netns.map((name) => `netns add ${name}\n`).join('') });
    const api = client.resource(PODS);
    for (const name of names) {
      await api.create({
        metadata: { namespace, name },
        spec: { nodeName: node, containers: [{ name: 'main', image: 'lab' }] },
      });
    }
    const announced = await waitFor(
      'the addresses of all pods are announced',
      async () => {
        const { items } = await api.list({ namespace });
        const waiting = items.filter(({ metadata }) => metadata.annotations?.[announcement.announcedUid] === undefined);
        return items.length === count && waiting.length === 0 ? items : `${waiting.length} are not`;
      },
      { deadline, interval: 200 },
    );
    await lab.nbctl('--wait=hv', 'sync');
    const byName = new Map(announced.map((pod) => [pod.metadata.name, pod]));
    const pods = names.map((name, index) => {
      const pod = byName.get(name);
      if (pod === undefined) throw new Error(`the pod ${name} is gone`);
      return withCommands(pod, index, `/run/netns/${netns[index] ?? ''}`, directory);
    });
    return new NodePods(pods, netns);
  }

  /** Removes the network namespaces; the pods go with their lab. */
  async [Symbol.asyncDispose](): Promise<void> {
    await run(['ip', '-batch', '-'], { input: this.#netns.map((name) => `netns delete ${name}\n`).join('') });
  }
}

/** Writes the reference's commands: the same links, addresses and routes that Ovenbird makes. */
function withCommands(pod: Pod, index: number, netns: string, directory: string): NodePod {
  const { name, namespace = '', uid = '', annotations = {} } = pod.metadata;
  const link = `ref${index}`;
  const list = (key: string): readonly string[] => (annotations[key] ?? '').split(',');
  const gateways = list(announcement.gateway);
  const cidrs = list(announcement.cidr);
  const nodeBatch = join(directory, `${link}.node`);
  const podBatch = join(directory, `${link}.pod`);
  const mac = annotations[announcement.macAddress] ?? '';
  writeFileSync(
    nodeBatch,
    `link add name ${link} mtu 1400 type veth peer name eth0 mtu 1400 address ${mac} netns ${netns}\nlink set dev ${link} up\n`,
  );
  const addresses = list(announcement.ipAddress).map((address, at) => {
    const length = cidrs[at]?.split('/')[1] ?? '';
    return `address add ${address}/${length} dev eth0${address.includes(':') ? ' nodad' : ''}`;
  });
  const routes = gateways.map((gateway) => `route add default via ${gateway} dev eth0`);
  const lines = [...addresses, 'link set dev eth0 up', ...routes];
  writeFileSync(podBatch, `${lines.join('\n')}\n`);
  return {
    name,
    namespace,
    uid,
    containerId: `bench-${name}`,
    netns,
    annotations,
    referenceLink: link,
    nodeBatch,
    podBatch,
  };
}
