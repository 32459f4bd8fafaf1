import { createHash } from 'node:crypto';
import { contentId } from '../content-id.ts';

/**
 * Every name that Ovenbird gives in the northbound database, in one place (the table for people is docs/names.md).
 *
 * Kubernetes names hold no `_`, so parts joined with `_` cannot collide with a bare name: a switch is its subnet, a router
 * its VPC, a pod's port `<pod>.<namespace>` (a namespace holds no dot, so the last dot splits it), and every other port has
 * a `_` in it. Names used in matches (`@group`, `$set`) may hold only letters, digits, `_` and `.`
 * (ovn-nb(5), Port_Group name), so `-` becomes `_` there and a kind prefix keeps the kinds apart.
 */

export const switchName = (subnet: string): string => subnet;
export const routerName = (vpc: string): string => vpc;
export const podPortName = (namespace: string, pod: string): string => `${pod}.${namespace}`;
/** Further interface of a pod. With two `_` it is none of the names that join two parts. */
export const interfacePortName = (namespace: string, pod: string, ifname: string): string =>
  `nic_${pod}.${namespace}_${ifname}`;
/** Interface of a container outside of Kubernetes; `name` is its IP object's. */
export const attachedPortName = (node: string, name: string): string => `attached_${node}_${name}`;
export const nodePortName = (node: string): string => `node_${node}`;
/** The router's side of the link between a VPC's router and a subnet's switch. */
export const routerPortName = (vpc: string, subnet: string): string => `${vpc}_${subnet}`;
/** The switch's side of that link. */
export const switchRouterPortName = (subnet: string, vpc: string): string => `${subnet}_${vpc}`;

/**
 * A Kubernetes name as an identifier: `-` → `_`, and a `.` (legal in node, subnet and VPC names) stays, so the mapping is
 * injective for names without `_`. An identifier must not begin with a digit; the kind prefix sees to that.
 */
const identifier = (name: string): string => name.replaceAll('-', '_');

/** What a node publishes of a pod (`hostPort`) or container, by the name of its port, for the pods of the VPC. */
export const hostPortBalancerName = (port: string, protocol: string): string => `hostport_${port}_${protocol}`;
/** Load balancers for every switch of a VPC. The prefix is how rows of this table are known as ours: it has no external_ids. */
export const balancerGroupName = (vpc: string): string => `ovenbird_${vpc}`;

/** Pods (and only pods) of the default VPC on one node. northd derives the address sets `<name>_ip4` and `<name>_ip6`. */
export const nodePortGroupName = (node: string): string => `node_${identifier(node)}`;
/** CIDRs inside the VPC, as destinations that never leave by a node. */
export const internalSetName = (vpc: string, family: 4 | 6): string => `internal_${identifier(vpc)}_ip${family}`;

/** The pods that a NetworkPolicy selects. A namespace holds no dot, so the first dot splits it. */
export const policyGroupName = (namespace: string, policy: string): string =>
  `np_${identifier(namespace)}.${identifier(policy)}`;
/**
 * Those of a NetworkPolicy's pods that have a container port with this name and number, or are in another than the default
 * VPC. Neither a port's nor a VPC's first label holds a dot where it could be taken for the next part.
 */
export const subjectsGroupName = (
  namespace: string,
  policy: string,
  port: { readonly name: string; readonly protocol: string; readonly number: number } | undefined,
  vpc: string | undefined,
): string =>
  [
    port === undefined ? 'npvpc' : `npport_${port.protocol}_${port.number}_${identifier(port.name)}`,
    vpc === undefined ? '' : identifier(vpc).replaceAll('.', '..'),
    identifier(namespace),
    identifier(policy),
  ].join('.');
/** Addresses of pods that policies name as peers; `id` is a hash of the selectors, which external_ids tell in words. */
export const peerSetName = (id: string, family: 4 | 6): string => `peer_${id}_ip${family}`;
/** Addresses on the join subnet of nodes that have an address in a block. */
export const nodeBlockName = (id: string, family: 4 | 6): string => `nodes_${id}_ip${family}`;

/** The pods of a SecurityGroup. northd derives the address sets `<name>_ip4` and `<name>_ip6`. */
export const securityGroupName = (group: string): string => `sg_${identifier(group)}`;
/**
 * The pods of a SecurityGroup that are in other ones as well, whose passes its rules leave out: they are not in
 * {@link securityGroupName}. The name is a hash, because those may be many; external_ids name them.
 */
export function groupClassName({
  group,
  with: others,
}: {
  readonly group: string;
  readonly with: readonly string[];
}): string {
  return `sgpass_${contentId([group, ...others])}`;
}
/** Other sides of rules of a SecurityGroup, without those that are in others; `id` is a hash, external_ids tell it in words. */
export const groupPartName = (id: string): string => `sgpart_${id}`;
/** The pods that name a SecurityGroup in vain. */
export const closedGroupName = 'closed_group';
/** The limit of log entries of an object: `kind` as kubectl abbreviates it. */
export const logMeterName = (kind: LoggedKind, key: string): string => `log_${kind}_${key.replace('/', '.')}`;

/** Kinds whose rules may be logged, as kubectl abbreviates them. */
export type LoggedKind = 'subnet' | 'sg' | 'netpol';

/**
 * ACL.name, which log entries carry: `<kind>/<name>/<rule>`. It holds 63 characters (ovn-nb(5)), so of long names the first
 * ones are kept, and a hash.
 */
export function aclName(kind: LoggedKind, key: string, rule: string): string {
  const whole = `${kind}/${key}/${rule}`;
  if (whole.length <= 63) return whole;
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return `${kind}/${key.slice(0, 63 - kind.length - rule.length - hash.length - 3)}~${hash}/${rule}`;
}

/** The addresses of an IPPool. */
export const ipPoolSetName = (pool: string, family: 4 | 6): string => `ippool_${identifier(pool)}_ip${family}`;
/** Addresses of nodes that cluster policies name as peers; `id` is a hash of the selectors, which external_ids tell in words. */
export const nodeSetName = (id: string, family: 4 | 6): string => `nodeset_${id}_ip${family}`;

/** The pods that share the limits of a QoSPolicy. */
export const qosGroupName = (policy: string): string => `qos_${identifier(policy)}`;

/** Virtual port of a Vip; the IPv6 one of two has a name of its own, since a port has one virtual address. */
export const vipPortName = (vip: string, family: 4 | 6, both: boolean): string =>
  family === 6 && both ? `vip_${vip}_ip6` : `vip_${vip}`;
/** external_ids of a virtual port: `MAC v4 v6`, as other ports have it in `addresses`. */
export const ADDRESS_KEY = 'ovenbird/address';

/** `ovenbird/owner` of a row: the object it was compiled from. */
export const ownerOf = (kind: string, key: string): string => `${kind}/${key}`;

/** The parts of an owner; a key of a namespaced object holds a `/` of its own. */
export function splitOwner(owner: string): readonly [kind: string, key: string] {
  const slash = owner.indexOf('/');
  return [owner.slice(0, slash), owner.slice(slash + 1)];
}

const vendor = 'ovenbird';

/** external_ids that every row of ours carries. */
export function externalIds(owner: string, more: Readonly<Record<string, string>> = {}): ReadonlyMap<string, string> {
  return new Map([['vendor', vendor], ['ovenbird/owner', owner], ...Object.entries(more)]);
}
