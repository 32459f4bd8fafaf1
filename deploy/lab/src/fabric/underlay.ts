import { LabError } from '../lab/error.ts';
import { type NodeAddresses, nodeLinks, underlay } from './addresses.ts';
import { run, runAny } from './run.ts';

/** A node as the underlay sees it. */
export interface UnderlayNode {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: NodeAddresses;
}

/** Name of a node's cable at the fabric's end. */
function cable(node: UnderlayNode): string {
  return node.name;
}

/**
 * The userspace datapath reads frames from veths with AF_PACKET sockets and would see checksums that nobody computed and
 * segments larger than the MTU; so the lab's links do without offloads.
 */
function noOffloads(links: readonly string[]): string {
  return links.map((link) => `ethtool -K ${link} tx off tso off gso off gro off >/dev/null`).join('\n');
}

function writeSysctls(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([key, value]) => `[ ! -e /proc/sys/${key} ] || echo ${value} > /proc/sys/${key}`)
    .join('\n');
}

/** Duplicate address detection would keep a fresh IPv6 address unusable for a second; the lab's are unique by plan. */
const noDad = {
  'net/ipv6/conf/all/accept_dad': 0,
  'net/ipv6/conf/default/accept_dad': 0,
  'net/ipv6/conf/all/accept_ra': 0,
  'net/ipv6/conf/default/accept_ra': 0,
};

/** The bridge that stands for the switch between the machines, and a cable into each node. The namespaces exist already. */
export async function buildFabric(
  namespace: string,
  nodes: readonly UnderlayNode[],
  dualStack: boolean,
  signal?: AbortSignal,
): Promise<void> {
  await run(['sh', '-e'], { namespace, input: writeSysctls(noDad), signal });
  const { bridge, bridgeMac, ipv4, ipv4Length, ipv6, ipv6Length, outside, mtu } = underlay;
  const commands = [
    'link set lo up',
    // No spanning tree and no snooping: a lab's switch must forward from its first frame.
    `link add ${bridge} address ${bridgeMac} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    ...nodes.map(
      (node) => `link add ${cable(node)} mtu ${mtu} type veth peer name ${nodeLinks.nic} netns ${node.namespace}`,
    ),
    ...nodes.map((node) => `link set ${cable(node)} master ${bridge} up`),
    `link set ${bridge} up`,
    `address add ${ipv4}/${ipv4Length} dev ${bridge}`,
    `address add ${outside.ipv4}/32 dev lo`,
    ...(dualStack
      ? [`address add ${ipv6}/${ipv6Length} dev ${bridge} nodad`, `address add ${outside.ipv6}/128 dev lo nodad`]
      : []),
  ];
  await run(['ip', '-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n`, signal });
  await run(['sh', '-e'], { namespace, input: noOffloads([bridge, ...nodes.map(cable)]), signal });
}

/** Plugs a node in again, whose namespace was made anew. */
export async function replugNode(namespace: string, node: UnderlayNode, signal?: AbortSignal): Promise<void> {
  const { bridge, mtu } = underlay;
  // The kernel takes the old cable away with the old namespace, but in its own time: until then its name is taken.
  const removal = await runAny(['ip', '-n', namespace, 'link', 'delete', cable(node)], { signal });
  if (removal.code !== 0 && !removal.stderr.includes('Cannot find device'))
    throw new LabError('command-failed', `the old cable of ${node.name}: ${removal.stderr.trim()}`);
  const commands = [
    `link add ${cable(node)} mtu ${mtu} type veth peer name ${nodeLinks.nic} netns ${node.namespace}`,
    `link set ${cable(node)} master ${bridge} up`,
  ];
  await run(['ip', '-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n`, signal });
  await run(['sh', '-e'], { namespace, input: noOffloads([cable(node)]), signal });
  await prepareNic(node, signal);
}

/** Brings up a node's side of its cable. */
export async function prepareNic(node: UnderlayNode, signal?: AbortSignal): Promise<void> {
  const { nic } = nodeLinks;
  const script = [
    writeSysctls({ ...noDad, 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 }),
    // The kernel keeps seeing what arrives on the NIC besides Open vSwitch. It must not answer for the addresses of
    // br-underlay with the NIC's MAC: no ARP reply from here, no IPv6 on it. Unicast it drops by itself, since
    // br-underlay has a MAC of its own (a frame for another MAC is not for this host).
    writeSysctls({ [`net/ipv4/conf/${nic}/arp_ignore`]: 8, [`net/ipv6/conf/${nic}/disable_ipv6`]: 1 }),
    'ip link set lo up',
    `ip link set ${nic} up`,
    noOffloads([nic]),
  ].join('\n');
  await run(['sh', '-e'], { namespace: node.namespace, input: script, signal });
}

/** Gives the node's underlay bridge, which Open vSwitch made, the node's addresses and default routes. Repeatable. */
export async function addressNode(node: UnderlayNode, signal?: AbortSignal): Promise<void> {
  const { bridge } = nodeLinks;
  const { ipv4, ipv6 } = node.addresses;
  const commands = [
    `link set ${bridge} mtu ${underlay.mtu} up`,
    `address replace ${ipv4}/${underlay.ipv4Length} dev ${bridge}`,
    `route replace default via ${underlay.ipv4} dev ${bridge}`,
    ...(ipv6 === undefined
      ? []
      : [
          `address replace ${ipv6}/${underlay.ipv6Length} dev ${bridge} nodad`,
          `route replace default via ${underlay.ipv6} dev ${bridge}`,
        ]),
  ];
  await run(['ip', '-n', node.namespace, '-batch', '-'], { input: `${commands.join('\n')}\n`, signal });
}
