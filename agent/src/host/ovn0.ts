import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import type { OpenVswitch, Transaction } from '@ovenbird/ovsdb';
import { AgentError } from '../error.ts';
import { hostSocket } from '../netlink/socket.ts';
import { type LinkState, type RouteState, readLink } from '../netlink/state.ts';
import type { HostRoute, NodeNetwork } from '../networks.ts';
import { integrationBridge, interfaceNamed, newTransaction, type Ovs, VENDOR } from '../ovs/database.ts';
import { run } from './run.ts';
import { setSysctl } from './sysctl.ts';

const NO_IPV6 =
  'the join subnet has IPv6, but the kernel of this node has none: boot it without ipv6.disable=1 (sysctl net.ipv6.conf.all.disable_ipv6=1 is no hindrance), or give the cluster a join subnet and Subnets with IPv4 alone';

/** The node's own port in the overlay. */
export const HOST_PORT = 'ovn0';

/**
 * The transaction that makes `ovn0` an internal port of br-int, bound to the node's logical switch port; undefined when
 * it is one already.
 */
export function hostPortTransaction(ovs: Ovs, node: NodeNetwork, mtu: number): Transaction<OpenVswitch> | undefined {
  const bridge = integrationBridge(ovs);
  if (bridge === undefined) return undefined;
  const transaction = newTransaction();
  const existing = interfaceNamed(ovs, HOST_PORT);
  if (existing === undefined) {
    const iface = transaction.insert('Interface', {
      name: HOST_PORT,
      type: 'internal',
      mac: node.mac,
      mtu_request: mtu,
      external_ids: new Map([
        ['vendor', VENDOR],
        ['iface-id', node.portName],
      ]),
    });
    const port = transaction.insert('Port', { name: HOST_PORT, interfaces: [iface] });
    transaction.mutate('Bridge', bridge._uuid, 'ports', 'insert', [port]);
    return transaction.comment('ovenbird: create ovn0');
  }
  let needed = false;
  if (existing.mac !== node.mac || existing.mtu_request !== mtu) {
    needed = true;
    transaction.update('Interface', existing._uuid, { mac: node.mac, mtu_request: mtu });
  }
  if (existing.external_ids.get('iface-id') !== node.portName) {
    needed = true;
    transaction.mutate('Interface', existing._uuid, 'external_ids', 'delete', ['iface-id']);
    transaction.mutate('Interface', existing._uuid, 'external_ids', 'insert', new Map([['iface-id', node.portName]]));
  }
  return needed ? transaction.comment('ovenbird: mend ovn0') : undefined;
}

/**
 * `ip -batch` lines that bring `ovn0` to what is wanted; empty when it is that. Routes of the kernel (`proto kernel`) and
 * link-local addresses are left alone, everything else on `ovn0` is ours.
 */
export function hostPortCommands(
  link: LinkState,
  routes: readonly RouteState[],
  node: NodeNetwork,
  wanted: readonly HostRoute[],
): readonly string[] {
  const lines: string[] = [];
  const addresses = new Set(node.addresses.map(({ address, prefix }) => `${address}/${prefix}`));
  const present = new Set(
    link.addresses
      .filter(({ local }) => !local.startsWith('fe80:'))
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  );
  for (const old of present) if (!addresses.has(old)) lines.push(`address delete ${old} dev ${HOST_PORT}`);
  for (const address of addresses) {
    if (!present.has(address))
      lines.push(`address add ${address} dev ${HOST_PORT}${isIPv6(address.split('/')[0] ?? '') ? ' nodad' : ''}`);
  }
  if (!link.up) lines.push(`link set dev ${HOST_PORT} up`);
  const gateways = new Map(routes.filter(({ byKernel }) => !byKernel).map((route) => [route.dst, route.gateway]));
  const cidrs = new Set(wanted.map(({ cidr }) => cidr));
  for (const old of gateways.keys()) if (!cidrs.has(old)) lines.push(`route delete ${old} dev ${HOST_PORT}`);
  for (const { cidr, gateway } of wanted) {
    if (gateways.get(cidr) !== gateway) lines.push(`route replace ${cidr} via ${gateway} dev ${HOST_PORT}`);
  }
  return lines;
}

/** Brings addresses and routes of `ovn0` to what is wanted. The link must exist. Returns what it had to do. */
export async function configureHostPort(node: NodeNetwork, wanted: readonly HostRoute[]): Promise<readonly string[]> {
  const link = await readLink(hostSocket(), HOST_PORT);
  if (link === undefined) throw new Error(`the link ${HOST_PORT} does not exist yet`);
  const lines = hostPortCommands(link, link.routes, node, wanted);
  if (lines.length > 0) await run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
  return lines;
}

/**
 * Kernel settings that forwarding between pods and the world needs.
 * @param ipv6 whether the overlay has IPv6
 * @throws AgentError `host-command` where it has and the kernel has not
 */
export function configureForwarding(ipv6: boolean): void {
  setSysctl('net/ipv4/ip_forward', '1');
  // Pods of other nodes reach this one over the underlay while their route back is ovn0; 2 (loose) accepts that, and the
  // kernel uses the larger of this and `all` (ip-sysctl, rp_filter).
  setSysctl(`net/ipv4/conf/${HOST_PORT}/rp_filter`, '2');
  setSysctl(`net/ipv4/conf/${HOST_PORT}/send_redirects`, '0');
  if (!ipv6) return;
  if (!existsSync('/proc/sys/net/ipv6')) throw new AgentError('host-command', NO_IPV6);
  // On a node that has it switched off as such, the overlay has it all the same.
  setSysctl(`net/ipv6/conf/${HOST_PORT}/disable_ipv6`, '0');
  const forwarding = 'net/ipv6/conf/all/forwarding';
  if (readFileSync(`/proc/sys/${forwarding}`, 'utf8').trim() !== '1') {
    // A router ignores router advertisements unless accept_ra is 2: a node that has its default route from one would
    // lose it (ip-sysctl, accept_ra).
    for (const name of readdirSync('/proc/sys/net/ipv6/conf')) {
      const path = `/proc/sys/net/ipv6/conf/${name}/accept_ra`;
      if (name !== HOST_PORT && existsSync(path) && readFileSync(path, 'utf8').trim() === '1') writeFileSync(path, '2');
    }
    setSysctl(forwarding, '1');
  }
  setSysctl(`net/ipv6/conf/${HOST_PORT}/accept_ra`, '0');
}
