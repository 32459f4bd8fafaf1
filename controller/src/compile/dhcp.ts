import { type OptionsOf, parseIp, parseOptions, request } from '@ovenbird/crds';
import { networkMtuKey } from '../node/network-mtu.ts';
import type { Address, Pod, UsableSubnet } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { CompileContext } from './context.ts';
import { macFromName } from './mac.ts';
import { routerPortName } from './names.ts';
import type { RowBuilder } from './rows-builder.ts';

type Options = ReadonlyMap<string, string>;

/** Options, or none where somebody got past the API server's rules. */
function optionsOf(of: OptionsOf, text: string): Options {
  try {
    return parseOptions(of, text);
  } catch (error) {
    if (error instanceof RangeError) return new Map();
    throw error;
  }
}

/** The MTU that pods of the subnet have; none while no agent has said what its node's is. */
function mtuOf(subnet: UsableSubnet, reader: Reader): readonly (readonly [string, string])[] {
  const mtu = subnet.mtu ?? reader.get('NetworkMtu', networkMtuKey)?.mtu;
  return mtu === undefined ? [] : [['mtu', String(mtu)]];
}

/** The router's port has this MAC, and answers for the gateway's address. */
const routerMac = ({ vpc, name }: UsableSubnet): string => macFromName(routerPortName(vpc, name));

/**
 * Options of one family with defaults. The server is the gateway: an address that clients find on the link when they renew
 * (ovn-nb(5), server_id).
 */
function withDefaults(subnet: UsableSubnet, family: 4 | 6, given: Options, reader: Reader): Options {
  const gateway = subnet.v4?.gateway ?? '';
  const defaults: readonly (readonly [string, string])[] =
    family === 6
      ? [['server_id', routerMac(subnet)]]
      : [
          ['lease_time', '3600'],
          ['router', gateway],
          ['server_id', gateway],
          ['server_mac', routerMac(subnet)],
          ...mtuOf(subnet, reader),
        ];
  return new Map([...defaults, ...given]);
}

const keyOf = (family: 4 | 6): string => `dhcpv${family}`;

/** Rows of table DHCP_Options of a subnet that answers DHCP. */
export function dhcpRows(rows: RowBuilder, subnet: UsableSubnet, reader: Reader): void {
  if (subnet.dhcp === undefined) return;
  for (const family of [4, 6] as const) {
    const net = subnet[`v${family}`];
    if (net === undefined) continue;
    const options = withDefaults(subnet, family, optionsOf(`v${family}`, subnet.dhcp[`v${family}`]), reader);
    rows.row('DHCP_Options', keyOf(family), { cidr: net.cidr, options }, { subnet: subnet.name });
  }
}

/** The options of a port by its addresses, as columns of Logical_Switch_Port. */
export function dhcpColumns(
  context: CompileContext,
  subnet: UsableSubnet,
  address: Pick<Address, 'v4' | 'v6'>,
  own: Readonly<Partial<Record<4 | 6, string>>> = {},
): Readonly<Record<string, string>> {
  if (subnet.dhcp === undefined) return {};
  const reference = (family: 4 | 6): string => own[family] ?? context.dhcpOptions(subnet.name, keyOf(family)).uuid;
  return {
    ...(address.v4 === undefined ? {} : { dhcpv4_options: reference(4) }),
    ...(address.v6 === undefined ? {} : { dhcpv6_options: reference(6) }),
  };
}

const annotations = [
  [4, 'v4', request.dhcpV4Options],
  [6, 'v6', request.dhcpV6Options],
] as const;

/** Rows for the options that a pod asks for instead of its subnet's: their UUIDs by family. */
export function podDhcpRows(
  rows: RowBuilder,
  subnet: UsableSubnet,
  pod: Pod,
  reader: Reader,
): Readonly<Partial<Record<4 | 6, string>>> {
  const own: Partial<Record<4 | 6, string>> = {};
  for (const [family, of, key] of annotations) {
    const net = subnet[of];
    const text = pod.annotations[key] ?? '';
    if (text === '' || net === undefined || subnet.dhcp === undefined) continue;
    const given = optionsOf(of, text);
    // What cannot be read is reported, and the subnet's options hold.
    if (given.size === 0) continue;
    const options = withDefaults(subnet, family, given, reader);
    own[family] = rows.row('DHCP_Options', keyOf(family), { cidr: net.cidr, options }, { subnet: subnet.name }).uuid;
  }
  return own;
}

/** What is wrong with the DHCP annotations of a pod, for events. */
export function dhcpProblems(pod: Pod): readonly string[] {
  return annotations.flatMap(([, of, key]) => {
    const text = pod.annotations[key];
    if (text === undefined) return [];
    try {
      parseOptions(of, text);
      return [];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return [`annotation ${key}: ${error.message}`];
    }
  });
}

/** `ipv6_ra_configs` of the router's port (ovn-nb(5), Logical_Router_Port), with Kube-OVN's defaults. */
export function routerAdvertisement(subnet: UsableSubnet, reader: Reader): Options {
  if (subnet.ra === undefined || subnet.v6 === undefined) return new Map();
  return new Map([
    ['address_mode', 'dhcpv6_stateful'],
    ['max_interval', '30'],
    ['min_interval', '5'],
    ['send_periodic', 'true'],
    ...mtuOf(subnet, reader),
    ...optionsOf('ra', subnet.ra),
  ]);
}

/**
 * `other_config` of a switch with multicast snooping. Queries come from the gateway's addresses (RFC 3376 §4.1.13, RFC 3810
 * §5.1.14: a link-local one for MLD), so that no address is spent.
 */
export function multicastConfig(subnet: UsableSubnet): Options {
  if (!subnet.multicastSnoop) return new Map();
  const mac = routerMac(subnet);
  return new Map([
    ['mcast_snoop', 'true'],
    ['mcast_querier', 'true'],
    ['mcast_eth_src', mac],
    ...(subnet.v4 === undefined ? [] : [['mcast_ip4_src', subnet.v4.gateway] as const]),
    ...(subnet.v6 === undefined ? [] : [['mcast_ip6_src', linkLocal(mac)] as const]),
  ]);
}

/** The link-local address of a MAC (RFC 4291, appendix A): that of the router's port. */
function linkLocal(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((octet) => Number.parseInt(octet, 16));
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return parseIp(`fe80::${groups.map((group) => group.toString(16)).join(':')}`);
}
