import type { Scalar, Value } from './rows.ts';

/**
 * What is ours in the northbound database: per table the columns, map keys and set members that Ovenbird writes,
 * compares and heals. Everything else belongs to northd, to ovn-nbctl users or to other writers and is never compared.
 *
 * Within a row of ours an owned column that the desired row does not mention has its default. So what compile stopped
 * writing goes away after a restart as well, when nobody remembers that it was once written.
 */

/** How one owned column is compared and written. */
export type ColumnRule =
  /** The whole value is ours. `required` columns have no default: a desired row must give them. */
  | {
      readonly rule: 'whole';
      readonly shape: 'scalar' | 'optional' | 'set' | 'map';
      readonly required: boolean;
      readonly fallback: Value;
      readonly references?: Reference;
    }
  /** A map that others write too: ours are the listed keys and those that begin with `ovenbird/`. */
  | { readonly rule: 'keys'; readonly keys: ReadonlySet<string> }
  /** A set merged element by element: ours are the elements that a unit emits and references to rows of ours. */
  | { readonly rule: 'members'; readonly references?: Reference };

/** The table that a column refers to. A weak reference vanishes with its target (RFC 7047 §3.2 `refType`). */
export interface Reference {
  readonly table: string;
  readonly weak: boolean;
}

/** One table that Ovenbird writes. */
export interface TableOwnership {
  /** How a row of ours is told from others' rows without knowing what we once wrote. */
  readonly mark: 'external_ids' | 'name prefix' | 'uuid version';
  readonly columns: Readonly<Record<string, ColumnRule>>;
  /** Columns that others write, listed so that a test can say that no column was forgotten. */
  readonly foreign: readonly string[];
  /** Unique index of the schema. */
  readonly unique?: readonly string[];
}

/** Keys without prefix that rows of ours carry in external_ids for people and dashboards to read. */
const READABLE = [
  'vendor',
  'pod',
  'namespace',
  'node',
  'subnet',
  'vpc',
  'cidr',
  'gateway',
  'router',
  'uid',
  'kind',
  'name',
  'service',
  'policy',
  'rule',
  'security_group',
  'ip_pool',
];

const strong = (table: string): Reference => ({ table, weak: false });
const weak = (table: string): Reference => ({ table, weak: true });
const required: ColumnRule = { rule: 'whole', shape: 'scalar', required: true, fallback: undefined };
const scalar = (fallback: Scalar): ColumnRule => ({ rule: 'whole', shape: 'scalar', required: false, fallback });
const optional: ColumnRule = { rule: 'whole', shape: 'optional', required: false, fallback: undefined };
const optionalTo = (references: Reference): ColumnRule => ({ ...optional, references });
const set: ColumnRule = { rule: 'whole', shape: 'set', required: false, fallback: [] };
const setOf = (references: Reference): ColumnRule => ({ ...set, references });
const map: ColumnRule = { rule: 'whole', shape: 'map', required: false, fallback: new Map() };
const keys = (...names: readonly string[]): ColumnRule => ({ rule: 'keys', keys: new Set(names) });
const members = (references?: Reference): ColumnRule =>
  references === undefined ? { rule: 'members' } : { rule: 'members', references };
const externalIds = keys(...READABLE);

const LOAD_BALANCERS = {
  load_balancer: members(weak('Load_Balancer')),
  load_balancer_group: members(strong('Load_Balancer_Group')),
};

/** Every table that Ovenbird writes, by name. NB_Global is not among them: fence.ts writes its three keys. */
export const OWNERSHIP: Readonly<Record<string, TableOwnership>> = {
  Logical_Switch: {
    mark: 'external_ids',
    columns: {
      name: required,
      ports: members(strong('Logical_Switch_Port')),
      acls: members(strong('ACL')),
      qos_rules: members(strong('QoS')),
      ...LOAD_BALANCERS,
      dns_records: members(weak('DNS')),
      forwarding_groups: members(strong('Forwarding_Group')),
      other_config: keys(
        'mcast_snoop',
        'mcast_querier',
        'mcast_eth_src',
        'mcast_ip4_src',
        'mcast_ip6_src',
        'mcast_flood_unregistered',
        'vlan-passthru',
        'broadcast-arps-to-all-routers',
        'fdb_age_threshold',
      ),
      external_ids: externalIds,
    },
    foreign: ['copp'],
  },
  Logical_Switch_Port: {
    mark: 'external_ids',
    columns: {
      name: required,
      type: scalar(''),
      options: keys(
        'requested-chassis',
        'iface-id-ver',
        'router-port',
        'network_name',
        'nat-addresses',
        'exclude-lb-vips-from-garp',
        'arp_proxy',
        'virtual-ip',
        'virtual-parents',
        'mcast_flood',
        'mcast_flood_reports',
        'localnet_learn_fdb',
        'disable_arp_nd_rsp',
        'disable_garp_rarp',
        'activation-strategy',
        'ethtype',
      ),
      parent_name: optional,
      peer: optional,
      // northd copies tag_request to `tag`, also for localnet ports (ovn-nb(5)): desire the request, never the result.
      tag_request: optional,
      addresses: set,
      port_security: set,
      dhcpv4_options: optionalTo(weak('DHCP_Options')),
      dhcpv6_options: optionalTo(weak('DHCP_Options')),
      mirror_rules: members(weak('Mirror')),
      ha_chassis_group: optionalTo(strong('HA_Chassis_Group')),
      external_ids: externalIds,
    },
    // `enabled` is the switch an administrator turns by hand (ovn-nbctl lsp-set-enabled).
    foreign: ['tag', 'dynamic_addresses', 'up', 'enabled', 'health_checks'],
    unique: ['name'],
  },
  Forwarding_Group: {
    mark: 'external_ids',
    columns: {
      name: required,
      vip: required,
      vmac: required,
      liveness: scalar(false),
      child_port: set,
      external_ids: externalIds,
    },
    foreign: [],
  },
  Address_Set: {
    mark: 'external_ids',
    columns: { name: required, addresses: members(), external_ids: externalIds },
    foreign: [],
    unique: ['name'],
  },
  Port_Group: {
    mark: 'external_ids',
    columns: {
      name: required,
      ports: members(weak('Logical_Switch_Port')),
      acls: members(strong('ACL')),
      external_ids: externalIds,
    },
    foreign: [],
    unique: ['name'],
  },
  Load_Balancer: {
    mark: 'external_ids',
    columns: {
      name: required,
      vips: map,
      protocol: optional,
      health_check: members(strong('Load_Balancer_Health_Check')),
      ip_port_mappings: map,
      selection_fields: set,
      options: keys(
        'reject',
        'hairpin_snat_ip',
        'skip_snat',
        'add_route',
        'neighbor_responder',
        'template',
        'address-family',
        'affinity_timeout',
        'ct_flush',
        'use_stateless_nat',
        'distributed',
      ),
      external_ids: externalIds,
    },
    foreign: [],
  },
  Load_Balancer_Group: {
    mark: 'name prefix',
    columns: { name: required, load_balancer: members(weak('Load_Balancer')) },
    foreign: [],
    unique: ['name'],
  },
  Load_Balancer_Health_Check: {
    mark: 'external_ids',
    columns: { vip: required, options: map, external_ids: externalIds },
    foreign: [],
  },
  ACL: {
    mark: 'external_ids',
    columns: {
      name: optional,
      priority: required,
      direction: required,
      match: required,
      action: required,
      log: scalar(false),
      severity: optional,
      meter: optional,
      label: scalar(0),
      tier: scalar(0),
      options: keys('log-related', 'apply-after-lb', 'persist-established'),
      external_ids: externalIds,
    },
    foreign: ['sample_new', 'sample_est', 'network_function_group'],
  },
  QoS: {
    mark: 'external_ids',
    columns: {
      priority: required,
      direction: required,
      match: required,
      action: map,
      bandwidth: map,
      external_ids: externalIds,
    },
    foreign: [],
  },
  Mirror: {
    mark: 'external_ids',
    columns: {
      name: required,
      filter: required,
      sink: required,
      type: required,
      index: scalar(0),
      external_ids: externalIds,
    },
    foreign: ['mirror_rules'],
    unique: ['name'],
  },
  Meter: {
    mark: 'external_ids',
    columns: {
      name: required,
      unit: required,
      // At least one element, so not merged by member: an insert must hold it.
      bands: setOf(strong('Meter_Band')),
      fair: optional,
      external_ids: externalIds,
    },
    foreign: [],
    unique: ['name'],
  },
  Meter_Band: {
    mark: 'external_ids',
    columns: { action: required, rate: required, burst_size: scalar(0), external_ids: externalIds },
    foreign: [],
  },
  Logical_Router: {
    mark: 'external_ids',
    columns: {
      name: required,
      ports: members(strong('Logical_Router_Port')),
      static_routes: members(strong('Logical_Router_Static_Route')),
      policies: members(strong('Logical_Router_Policy')),
      nat: members(strong('NAT')),
      ...LOAD_BALANCERS,
      options: keys(
        'always_learn_from_arp_request',
        'dynamic_neigh_routers',
        'mac_binding_age_threshold',
        'chassis',
        'snat-ct-zone',
        'dnat_force_snat_ip',
        'lb_force_snat_ip',
        'mcast_relay',
        'ct-commit-all',
      ),
      external_ids: externalIds,
    },
    foreign: ['enabled', 'copp'],
  },
  Logical_Router_Port: {
    mark: 'external_ids',
    columns: {
      name: required,
      gateway_chassis: members(strong('Gateway_Chassis')),
      ha_chassis_group: optionalTo(strong('HA_Chassis_Group')),
      options: keys(
        'redirect-type',
        'reside-on-redirect-chassis',
        'gateway_mtu',
        'gateway_mtu_bypass',
        'route_table',
        'mcast_flood',
        'prefix',
        'prefix_delegation',
      ),
      networks: set,
      mac: required,
      peer: optional,
      ipv6_ra_configs: map,
      external_ids: externalIds,
    },
    foreign: ['enabled', 'ipv6_prefix', 'status', 'dhcp_relay'],
    unique: ['name'],
  },
  Logical_Router_Static_Route: {
    mark: 'external_ids',
    columns: {
      route_table: scalar(''),
      ip_prefix: required,
      policy: optional,
      nexthop: required,
      output_port: optional,
      bfd: optionalTo(weak('BFD')),
      selection_fields: set,
      options: keys('ecmp_symmetric_reply', 'origin'),
      external_ids: externalIds,
    },
    foreign: [],
  },
  Logical_Router_Policy: {
    mark: 'external_ids',
    columns: {
      priority: required,
      match: required,
      action: required,
      nexthop: optional,
      nexthops: set,
      bfd_sessions: setOf(weak('BFD')),
      options: keys('pkt_mark', 'ecmp_symmetric_reply'),
      external_ids: externalIds,
    },
    foreign: ['chain', 'jump_chain', 'output_port'],
  },
  NAT: {
    mark: 'external_ids',
    columns: {
      external_ip: required,
      external_mac: optional,
      external_port_range: scalar(''),
      logical_ip: required,
      logical_port: optional,
      type: required,
      allowed_ext_ips: optionalTo(strong('Address_Set')),
      exempted_ext_ips: optionalTo(strong('Address_Set')),
      gateway_port: optionalTo(weak('Logical_Router_Port')),
      options: keys('stateless', 'add_route'),
      priority: scalar(0),
      match: scalar(''),
      external_ids: externalIds,
    },
    foreign: [],
  },
  DHCP_Options: {
    mark: 'external_ids',
    columns: { cidr: required, options: map, external_ids: externalIds },
    foreign: [],
  },
  DNS: {
    mark: 'external_ids',
    columns: { records: map, options: keys('ovn-owned'), external_ids: externalIds },
    foreign: [],
  },
  Gateway_Chassis: {
    mark: 'external_ids',
    columns: { name: required, chassis_name: required, priority: scalar(0), options: map, external_ids: externalIds },
    foreign: [],
    unique: ['name'],
  },
  HA_Chassis: {
    mark: 'external_ids',
    columns: { chassis_name: required, priority: scalar(0), external_ids: externalIds },
    foreign: [],
  },
  HA_Chassis_Group: {
    mark: 'external_ids',
    columns: { name: required, ha_chassis: members(strong('HA_Chassis')), external_ids: externalIds },
    foreign: [],
    unique: ['name'],
  },
  BFD: {
    mark: 'external_ids',
    columns: {
      logical_port: required,
      dst_ip: required,
      min_tx: optional,
      min_rx: optional,
      detect_mult: optional,
      options: map,
      external_ids: externalIds,
    },
    foreign: ['status'],
    unique: ['logical_port', 'dst_ip'],
  },
  Static_MAC_Binding: {
    // No name column to prefix: ours have UUIDs of version 5, ovsdb-server gives others version 4.
    mark: 'uuid version',
    columns: { logical_port: required, ip: required, mac: required, override_dynamic_mac: scalar(false) },
    foreign: [],
    unique: ['logical_port', 'ip'],
  },
};

/** Columns per table that the replica must hold for this writer: what is ours, and NB_Global's fence. */
export function monitoredColumns(): Readonly<Record<string, readonly string[]>> {
  const monitored: Record<string, readonly string[]> = { NB_Global: ['external_ids'] };
  for (const [table, { columns }] of Object.entries(OWNERSHIP)) monitored[table] = Object.keys(columns);
  return monitored;
}
