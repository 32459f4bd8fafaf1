import { cidrContains, request } from '@ovenbird/crds';
import type { Pod, UsableSubnet } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { Wanted } from './allocator.ts';
import { AllocError } from './error.ts';

export interface SubnetRules {
  readonly defaultVpc: string;
  readonly defaultSubnet: string;
  readonly joinSubnet: string;
}

const switchKey = request.logicalSwitch;

/**
 * The subnets a pod may get its address from, best first.
 *
 * Who may use what (design §3): the default subnet, subnets that list the namespace, and subnets of the default VPC that list
 * nobody; nothing else, whatever the annotations say.
 * An announcement of ours counts as a request as well: that is how a pod gets its address back when both the northbound
 * database and the IP objects were lost.
 * @throws AllocError `no-subnet` or `forbidden`.
 */
export function candidateSubnets(pod: Pod, wanted: Wanted, reader: Reader, rules: SubnetRules): readonly string[] {
  const namespace = reader.get('Namespace', pod.namespace);
  const requested = pod.annotations[switchKey] ?? namespace?.annotations[switchKey];
  if (requested !== undefined && requested !== '') return [requestedSubnet(requested, pod, reader, rules)];

  const listing = [...reader.index('UsableSubnet', 'namespace', pod.namespace)]
    .filter(
      (subnet) => subnet.name !== rules.joinSubnet && mayUse(subnet, pod.namespace, reader, rules) && !subnet.deleting,
    )
    .map((subnet) => subnet.name)
    .sort((a, b) => byAge(reader, a, b));
  const candidates = listing.length > 0 ? listing : [rules.defaultSubnet];
  const address = wanted.v4 ?? wanted.v6;
  if (address === undefined) return candidates;
  // A static address picks the subnet that it is in; otherwise the first one refuses it with the reason.
  const holding = candidates.filter((name) => contains(reader.get('UsableSubnet', name), address));
  return holding.length > 0 ? holding : candidates;
}

function requestedSubnet(name: string, pod: Pod, reader: Reader, rules: SubnetRules): string {
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
  if (!mayUse(subnet, pod.namespace, reader, rules)) {
    throw new AllocError(
      'forbidden',
      `namespace "${pod.namespace}" may not use subnet "${name}": add it to the subnet's spec.namespaces, or name another subnet in ${switchKey}`,
      [name],
    );
  }
  return name;
}

function mayUse(subnet: UsableSubnet, namespace: string, reader: Reader, rules: SubnetRules): boolean {
  if (subnet.name === rules.defaultSubnet) return true;
  const vpc = reader.get('Vpc', subnet.vpc);
  if (vpc !== undefined && vpc.namespaces.length > 0 && !vpc.namespaces.includes(namespace)) return false;
  if (subnet.namespaces.length > 0) return subnet.namespaces.includes(namespace);
  return subnet.vpc === rules.defaultVpc;
}

function contains(subnet: UsableSubnet | undefined, address: string): boolean {
  const nets = [subnet?.v4, subnet?.v6];
  return nets.some((net) => net !== undefined && cidrContains(net.cidr, address));
}

function byAge(reader: Reader, a: string, b: string): number {
  const left = reader.get('Subnet', a)?.created ?? '';
  const right = reader.get('Subnet', b)?.created ?? '';
  return left < right || (left === right && a < b) ? -1 : 1;
}
