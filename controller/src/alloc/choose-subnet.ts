import { cidrContains, isIpamOnly, parsePoolEntry, request } from '@ovenbird/crds';
import type { PodRequest } from '../pod/request.ts';
import { selects } from '../policy/selector.ts';
import { byAge } from '../store/by-age.ts';
import type { Pod, UsablePool, UsableSubnet } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { AllocError } from './error.ts';

export interface SubnetRules {
  readonly defaultVpc: string;
  readonly defaultSubnet: string;
  readonly joinSubnet: string;
}

/** Where an address may come from: what no IPPool of a subnet has set apart, or one of its IPPools. */
export interface Source {
  readonly subnet: string;
  readonly pool?: string;
}

const switchKey = request.logicalSwitch;
const poolKey = request.ipPool;

/**
 * Where a pod may get its address from, best first.
 *
 * Who may use what (design §3): the default subnet, subnets that list the namespace, and subnets of the default VPC that list
 * nobody; nothing else, whatever the annotations say. Of their IPPools those that list the namespace or nobody; where some
 * list the namespace, nothing but these.
 * An announcement of ours counts as a request as well: that is how a pod gets its address back when both the northbound
 * database and the IP objects were lost.
 * @throws AllocError `no-subnet`, `forbidden`, `no-pool` or `pool-forbidden`.
 */
export function candidateSources(
  pod: Pick<Pod, 'namespace'>,
  asked: PodRequest,
  reader: Reader,
  rules: SubnetRules,
): readonly Source[] {
  const { namespace } = pod;
  if (asked.pools !== undefined) return asked.pools.map((name) => namedPool(name, asked, namespace, reader, rules));
  const bound = byAge(reader, 'IPPool', reader.index('UsablePool', 'namespace', namespace));
  if (asked.subnet !== undefined) {
    const subnet = requestedSubnet(asked.subnet, namespace, reader, rules);
    const own = bound.filter((pool) => pool.subnet === subnet);
    return own.length > 0 ? own.map(sourceOf) : [{ subnet }];
  }
  const candidates =
    bound.length > 0 ? usableBound(bound, namespace, reader, rules) : ownSubnets(namespace, reader, rules);
  if (asked.choices === undefined) return candidates;
  // A static address picks the subnet that it is in; otherwise the first one refuses it with the reason.
  const addresses = asked.choices.map(({ v4, v6 }) => v4 ?? v6 ?? '');
  const holding = candidates.filter((source) => addresses.some((address) => contains(source, address, reader)));
  return holding.length > 0 ? holding : candidates;
}

/** Whether a namespace may have addresses of an IPPool that it did not name: the pool lists it, or nobody. */
export function mayUsePool(pool: string, namespace: string, reader: Reader): boolean {
  const found = reader.get('UsablePool', pool);
  return found === undefined || found.namespaces.length === 0 || found.namespaces.includes(namespace);
}

/** The subnet of pods whose namespace no subnet lists: the oldest that asks to be it, else the one of the configuration. */
export function defaultSubnetOf(reader: Reader, rules: SubnetRules): string {
  const asking = reader
    .index('UsableSubnet', 'default', 'yes')
    .filter(
      (subnet) =>
        subnet.vpc === rules.defaultVpc &&
        subnet.name !== rules.joinSubnet &&
        subnet.provider === undefined &&
        !subnet.deleting,
    );
  return byAge(reader, 'Subnet', asking)[0]?.name ?? rules.defaultSubnet;
}

const sourceOf = ({ subnet, name }: UsablePool): Source => ({ subnet, pool: name });

/** The subnets that list the namespace, oldest first, else the default one. */
function ownSubnets(namespace: string, reader: Reader, rules: SubnetRules): readonly Source[] {
  const listing = new Set(
    [
      ...reader.index('UsableSubnet', 'namespace', namespace),
      ...reader.index('UsableSubnet', 'selecting', 'yes').filter((subnet) => lists(subnet, namespace, reader)),
    ].filter(
      (subnet) =>
        subnet.name !== rules.joinSubnet &&
        subnet.provider === undefined &&
        mayUse(subnet, namespace, reader, rules) &&
        !subnet.deleting,
    ),
  );
  if (listing.size === 0) return [{ subnet: defaultSubnetOf(reader, rules) }];
  return byAge(reader, 'Subnet', listing).map(({ name }) => ({ subnet: name }));
}

/** The IPPools that are set apart for the namespace, in subnets that it may use. */
function usableBound(
  bound: readonly UsablePool[],
  namespace: string,
  reader: Reader,
  rules: SubnetRules,
): readonly Source[] {
  const usable = bound.filter(({ subnet }) => {
    const found = reader.get('UsableSubnet', subnet);
    return found !== undefined && mayUse(found, namespace, reader, rules);
  });
  const [first] = bound;
  if (usable.length === 0 && first !== undefined) requestedSubnet(first.subnet, namespace, reader, rules);
  return usable.map(sourceOf);
}

function namedPool(name: string, asked: PodRequest, namespace: string, reader: Reader, rules: SubnetRules): Source {
  const pool = reader.get('UsablePool', name);
  if (pool === undefined) {
    const known = reader.get('IPPool', name);
    const why = known === undefined ? 'does not exist' : 'is not usable (see `kubectl describe ippool`)';
    throw new AllocError('no-pool', `IPPool "${name}", asked for by ${poolKey}, ${why}`, known ? [known.subnet] : []);
  }
  if (!mayUsePool(name, namespace, reader)) {
    throw new AllocError(
      'pool-forbidden',
      `namespace "${namespace}" may not use IPPool "${name}": add it to the pool's spec.namespaces, or name another pool in ${poolKey}`,
      [pool.subnet],
    );
  }
  requestedSubnet(pool.subnet, namespace, reader, rules);
  if (asked.subnet !== undefined && asked.subnet !== pool.subnet) {
    throw new AllocError(
      'invalid',
      `${switchKey} asks for subnet "${asked.subnet}", but IPPool "${name}" is in subnet "${pool.subnet}"; remove one of the two annotations`,
      [pool.subnet],
    );
  }
  return sourceOf(pool);
}

function requestedSubnet(name: string, namespace: string, reader: Reader, rules: SubnetRules): string {
  const subnet = reader.get('UsableSubnet', name);
  if (subnet === undefined) {
    const known = reader.get('Subnet', name) !== undefined;
    const why = known ? 'is not usable yet (see `kubectl describe subnet`)' : 'does not exist';
    throw new AllocError('no-subnet', `subnet "${name}", asked for by ${switchKey}, ${why}`, [name]);
  }
  if (name === rules.joinSubnet) {
    throw new AllocError(
      'forbidden',
      `subnet "${name}" connects the nodes and takes no pods: name another subnet in ${switchKey}, or remove the annotation`,
      [name],
    );
  }
  if (isIpamOnly(subnet.provider)) {
    throw new AllocError(
      'forbidden',
      `subnet "${name}" (provider ${subnet.provider ?? ''}) gives addresses to interfaces of other plugins only: name another subnet in ${switchKey}`,
      [name],
    );
  }
  if (!mayUse(subnet, namespace, reader, rules)) {
    throw new AllocError(
      'forbidden',
      `namespace "${namespace}" may not use subnet "${name}": add it to the subnet's spec.namespaces, or name another subnet in ${switchKey}`,
      [name],
    );
  }
  return name;
}

/** Who may use what (design §3). @param namespace empty for what is in none */
export function mayUse(subnet: UsableSubnet, namespace: string, reader: Reader, rules: SubnetRules): boolean {
  if (subnet.name === defaultSubnetOf(reader, rules)) return true;
  const listed = subnet.namespaces.length > 0 || subnet.namespaceSelectors.length > 0;
  if (isIpamOnly(subnet.provider)) return !listed || lists(subnet, namespace, reader);
  const vpc = reader.get('Vpc', subnet.vpc);
  if (vpc !== undefined && vpc.namespaces.length > 0 && !vpc.namespaces.includes(namespace)) return false;
  if (listed) return lists(subnet, namespace, reader);
  return subnet.vpc === rules.defaultVpc;
}

/** Whether the subnet names the namespace, by name or by label. */
function lists(subnet: UsableSubnet, namespace: string, reader: Reader): boolean {
  if (subnet.namespaces.includes(namespace)) return true;
  const labels = reader.get('Namespace', namespace)?.labels ?? {};
  return subnet.namespaceSelectors.some((selector) => selects(selector, labels));
}

function contains(source: Source, address: string, reader: Reader): boolean {
  const subnet = reader.get('UsableSubnet', source.subnet);
  const inside = [subnet?.v4, subnet?.v6].some((net) => net !== undefined && cidrContains(net.cidr, address));
  if (!inside || source.pool === undefined) return inside;
  const { first, family } = parsePoolEntry(address);
  const ips = reader.get('UsablePool', source.pool)?.ips ?? [];
  return ips
    .map(parsePoolEntry)
    .some((range) => range.family === family && range.first <= first && first <= range.last);
}
