import { run } from '@ovenbird/deploy';
import type { TestLab } from './lab.ts';
import type { Stream } from './packet-stream.ts';

const bridge = 'br-int';
const networkSwitch = 'control-pair';
/** Fits the tunnel. */
const mtu = '1400';

/**
 * Two endpoints on two nodes, on a logical switch made by hand: the same databases, switches and tunnels as pods have, and
 * nothing that belongs to controller or agents. What this pair loses, the machine lost.
 */
export class ControlPair implements AsyncDisposable {
  readonly #lab: TestLab;
  readonly #ends: readonly { readonly node: string; readonly namespace: string; readonly nodeNamespace: string }[];

  private constructor(lab: TestLab, first: number) {
    this.#lab = lab;
    this.#ends = lab.state.nodes.slice(first, first + 2).map(({ name, namespace }, index) => ({
      node: name,
      nodeNamespace: namespace,
      namespace: `${namespace.slice(0, -name.length)}control-${index + 1}`,
    }));
  }

  /** Makes the pair in two nodes of the lab. @param first index of the first one, the second is the next */
  static async create(lab: TestLab, first = 0): Promise<ControlPair> {
    const pair = new ControlPair(lab, first);
    await pair.#remove();
    await lab.nbctl('ls-add', networkSwitch);
    for (const [index, { node, namespace, nodeNamespace }] of pair.#ends.entries()) {
      const port = `control-${index + 1}`;
      const mac = `0a:00:00:00:cc:0${index + 1}`;
      const addresses = [`192.168.66.${index + 1}`, `fd66::${index + 1}`];
      await lab.nbctl('lsp-add', networkSwitch, port, '--', 'lsp-set-addresses', port, [mac, ...addresses].join(' '));
      await run(['ip', 'netns', 'add', namespace]);
      const peer = ['peer', 'name', 'eth0', 'mtu', mtu, 'address', mac, 'netns', namespace];
      await run(['ip', 'link', 'add', port, 'mtu', mtu, 'type', 'veth', ...peer], { namespace: nodeNamespace });
      await lab.onNode(node, 'ip', 'link', 'set', port, 'up');
      await run(['ip', 'address', 'add', `${addresses[0]}/24`, 'dev', 'eth0'], { namespace });
      await run(['ip', 'address', 'add', `${addresses[1]}/64`, 'dev', 'eth0', 'nodad'], { namespace });
      await run(['ip', 'link', 'set', 'eth0', 'up'], { namespace });
      // The userspace datapath takes frames as they are: a checksum left to hardware would go out unfinished.
      await run(['ethtool', '-K', 'eth0', 'tx', 'off'], { namespace });
      const options = ['--', 'set', 'Interface', port, `external_ids:iface-id=${port}`];
      await lab.vsctl(node, 'add-port', bridge, port, ...options);
    }
    return pair;
  }

  /** A stream of each family in each direction. */
  streams(): readonly Stream[] {
    const [one = '', two = ''] = this.#ends.map(({ namespace }) => `/run/netns/${namespace}`);
    return ['192.168.66.', 'fd66::'].flatMap((network, index) => [
      { name: `control-ipv${index === 0 ? 4 : 6}`, from: one, to: two, address: `${network}2`, port: 9900 },
      { name: `control-back-ipv${index === 0 ? 4 : 6}`, from: two, to: one, address: `${network}1`, port: 9900 },
    ]);
  }

  async #remove(): Promise<void> {
    for (const [index, { node, namespace }] of this.#ends.entries()) {
      await this.#lab.vsctl(node, '--if-exists', 'del-port', bridge, `control-${index + 1}`);
      // With its last name the namespace goes, and both ends of the cable with it.
      const names = (await run(['ip', 'netns', 'list'])).split('\n').map((line) => line.split(' ')[0]);
      if (names.includes(namespace)) await run(['ip', 'netns', 'delete', namespace]);
    }
    await this.#lab.nbctl('--if-exists', 'ls-del', networkSwitch);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
  }
}
