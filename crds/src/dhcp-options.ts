/**
 * Options of DHCP and router advertisements as people write them, `name=value` joined by commas, and as the northbound
 * database holds them (ovn-nb(5), DHCP_Options.options and Logical_Router_Port.ipv6_ra_configs).
 */
import type { Rule } from './rule.ts';

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const ipv4 = `${octet}([.]${octet}){3}`;
const h = '[0-9a-fA-F]{1,4}';
const ipv6 = `((${h}:){7}${h}|(${h}:){1,7}:|(${h}:){1,6}:${h}|(${h}:){1,5}(:${h}){1,2}|(${h}:){1,4}(:${h}){1,3}|(${h}:){1,3}(:${h}){1,4}|(${h}:){1,2}(:${h}){1,5}|${h}:(:${h}){1,6}|:((:${h}){1,7}|:))`;
/** `{a, b}` with `,` or `;` between, or one alone. */
const oneOrMore = (item: string): string => `(${item}|[{]${item}([,;] ?${item})*[}])`;
const word = '[^,;{}"= ]+';
const uint16 = '(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})';

/** What values of a type look like, by the types of the southbound tables DHCP_Options and DHCPv6_Options. */
const types = {
  ipv4: ipv4,
  ipv4s: oneOrMore(ipv4),
  ipv6: ipv6,
  ipv6s: oneOrMore(ipv6),
  mac: '[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}',
  bool: '[01]',
  truth: '(true|false)',
  uint8: octet,
  uint16,
  uint32: '[0-9]{1,9}',
  text: `("[^"]{1,255}"|${word})`,
  names: oneOrMore('[0-9A-Za-z._-]+'),
  routes: `[{]${ipv4}/[0-9]{1,2}, ?${ipv4}(, ?${ipv4}/[0-9]{1,2}, ?${ipv4})*[}]`,
  preferences: oneOrMore(`(HIGH|MEDIUM|LOW)-${ipv6}/[0-9]{1,3}`),
  preference: '(HIGH|MEDIUM|LOW)',
  mode: '(slaac|dhcpv6_stateful|dhcpv6_stateless)',
} as const;
type Type = keyof typeof types;

/** Whose options: DHCP over IPv4, over IPv6, or router advertisements. */
export type OptionsOf = 'v4' | 'v6' | 'ra';

/** Names of options by type. */
const known: Readonly<Record<OptionsOf, Partial<Record<Type, readonly string[]>>>> = {
  v4: {
    ipv4: ['server_id', 'netmask', 'next_server', 'broadcast_address', 'router_solicitation', 'swap_server'],
    ipv4s: [
      'router',
      'dns_server',
      'log_server',
      'lpr_server',
      'policy_filter',
      'nis_server',
      'ntp_server',
      'netbios_name_server',
      'tftp_server_address',
    ],
    mac: ['server_mac'],
    bool: ['ip_forward_enable', 'router_discovery', 'ethernet_encap'],
    uint8: ['default_ttl', 'tcp_ttl', 'netbios_node_type'],
    uint16: ['mtu'],
    uint32: ['lease_time', 'T1', 'T2', 'arp_cache_timeout', 'tcp_keepalive_interval'],
    text: ['hostname', 'domain_name', 'wpad', 'bootfile_name', 'bootfile_name_alt', 'path_prefix', 'tftp_server'],
    names: ['domain_search_list'],
    routes: ['classless_static_route', 'ms_classless_static_route'],
  },
  v6: { mac: ['server_id'], ipv6s: ['dns_server'], names: ['domain_search'], truth: ['dhcpv6_stateless'] },
  ra: {
    mode: ['address_mode'],
    preference: ['router_preference'],
    truth: ['send_periodic'],
    uint16: ['mtu', 'max_interval', 'min_interval'],
    ipv6: ['rdnss'],
    names: ['dnssl'],
    preferences: ['route_info'],
  },
};

const typesOf = (of: OptionsOf): readonly (readonly [Type, readonly string[]])[] =>
  Object.entries(known[of]) as [Type, readonly string[]][];

const entryPattern = (of: OptionsOf): string =>
  typesOf(of)
    .map(([type, names]) => `(${names.join('|')})=${types[type]}`)
    .join('|');
const wholePattern = (of: OptionsOf): string => `^((${entryPattern(of)})(, ?|$))*$`;

const typeByName = (of: OptionsOf): ReadonlyMap<string, Type> =>
  new Map(typesOf(of).flatMap(([type, names]) => names.map((name) => [name, type] as const)));

const examples: Readonly<Record<OptionsOf, string>> = {
  v4: 'lease_time=3600,dns_server={10.96.0.10;10.96.0.11},domain_name="example.org"',
  v6: 'dns_server=fd00:10:96::a,domain_search=example.org',
  ra: 'address_mode=slaac,max_interval=30,rdnss=fd00:10:96::a',
};

const compiled = Object.fromEntries(
  (['v4', 'v6', 'ra'] as const).map((of) => [
    of,
    {
      whole: new RegExp(wholePattern(of)),
      entry: new RegExp(`(?:^|, ?)(${entryPattern(of)})(?=,|$)`, 'g'),
      types: typeByName(of),
    },
  ]),
) as Record<OptionsOf, { whole: RegExp; entry: RegExp; types: ReadonlyMap<string, Type> }>;

/** What to write instead of options that are none. */
const optionsAdvice = (of: OptionsOf): string =>
  `write name=value joined by commas, such as ${examples[of]}; the names are ${[...compiled[of].types.keys()].join(', ')}`;

/** The rule of a field that holds options. */
export const optionsRule = (of: OptionsOf): Rule<string> => ({
  rule: `self.matches('${wholePattern(of)}')`,
  message: optionsAdvice(of),
  holds: (value) => compiled[of].whole.test(value),
});

/**
 * Options as the northbound database holds them: lists in braces, text in quotes.
 * @throws RangeError with what to write instead
 */
export function parseOptions(of: OptionsOf, text: string): ReadonlyMap<string, string> {
  const { whole, entry, types: byName } = compiled[of];
  if (!whole.test(text)) throw new RangeError(`"${text.slice(0, 100)}" are no options: ${optionsAdvice(of)}`);
  return new Map(
    Array.from(text.matchAll(entry), ([, found = '']) => {
      const at = found.indexOf('=');
      const name = found.slice(0, at);
      return [name, stored(of, byName.get(name), found.slice(at + 1))] as const;
    }),
  );
}

function stored(of: OptionsOf, type: Type | undefined, value: string): string {
  switch (type) {
    case 'text':
      return value.startsWith('"') ? value : `"${value}"`;
    case 'names':
    case 'preferences': {
      const bare = value.replace(/[{} ]/g, '').replaceAll(';', ',');
      return of === 'ra' ? bare : `"${bare}"`;
    }
    case 'ipv4s':
    case 'ipv6s':
      return value.replaceAll(';', ',');
    default:
      return value;
  }
}
