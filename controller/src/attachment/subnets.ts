import { cidrContains, isIpamOnly } from '@ovenbird/crds';
import { defaultSubnetOf, mayUse, type SubnetRules } from '../alloc/choose-subnet.ts';
import { AllocError } from '../alloc/error.ts';
import { byAge } from '../store/by-age.ts';
import type { UsableSubnet } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { WantedAttachment } from './model.ts';

/**
 * The subnets that an attachment may get its address from, best first: the one asked for by name, else those of its
 * provider. The rules of who may use what are those of pods (design §3); a container outside of Kubernetes is in no
 * namespace, so it may use what is there for everybody.
 * @throws AllocError `no-subnet` or `forbidden`
 */
export function attachmentSubnets(wanted: WantedAttachment, reader: Reader, rules: SubnetRules): readonly string[] {
  const { provider, namespace } = wanted;
  if (wanted.subnet !== undefined) return [requested(wanted.subnet, wanted, reader, rules)];
  if (provider === 'ovn') return [requested(defaultSubnetOf(reader, rules), wanted, reader, rules)];
  const all = reader.index('UsableSubnet', 'provider', provider).filter((subnet) => !subnet.deleting);
  if (all.length === 0) {
    throw new AllocError(
      'no-subnet',
      `no usable Subnet has spec.provider ${provider}; create one, or name a Subnet in the definition's "subnet"`,
    );
  }
  const allowed = all.filter((subnet) => mayUse(subnet, namespace, reader, rules));
  if (allowed.length === 0) {
    const names = all.map(({ name }) => name);
    throw new AllocError(
      'forbidden',
      `namespace "${namespace}" may not use subnet ${names.join(', ')} of provider ${provider}: add it to spec.namespaces`,
      names,
    );
  }
  const names = byAge(reader, 'Subnet', allowed).map(({ name }) => name);
  const address = wanted.wanted.v4 ?? wanted.wanted.v6;
  if (address === undefined) return names;
  const holding = names.filter((name) => contains(reader.get('UsableSubnet', name), address));
  return holding.length > 0 ? holding : names;
}

function requested(name: string, wanted: WantedAttachment, reader: Reader, rules: SubnetRules): string {
  const subnet = reader.get('UsableSubnet', name);
  if (subnet === undefined) {
    const known = reader.get('Subnet', name) !== undefined;
    throw new AllocError(
      'no-subnet',
      `subnet "${name}" ${known ? 'is not usable yet (see `kubectl describe subnet`)' : 'does not exist'}`,
      [name],
    );
  }
  const refuse = (why: string): AllocError => new AllocError('forbidden', `subnet "${name}" ${why}`, [name]);
  if (name === rules.joinSubnet) throw refuse('connects the nodes and takes nobody else: name another one');
  if (isIpamOnly(subnet.provider) !== isIpamOnly(wanted.provider))
    throw refuse(`has the provider ${subnet.provider ?? 'ovn'}, which does not fit ${wanted.provider}`);
  if (isIpamOnly(subnet.provider) && subnet.provider !== wanted.provider)
    throw refuse(`belongs to the provider ${subnet.provider ?? ''}, not to ${wanted.provider}`);
  if (!mayUse(subnet, wanted.namespace, reader, rules)) {
    throw refuse(
      wanted.namespace === ''
        ? 'is reserved for namespaces or in a Vpc of its own: a container outside of Kubernetes may use subnets of the default Vpc that list no namespaces'
        : `may not be used by namespace "${wanted.namespace}": add it to the subnet's spec.namespaces`,
    );
  }
  return name;
}

function contains(subnet: UsableSubnet | undefined, address: string): boolean {
  return [subnet?.v4, subnet?.v6].some((net) => net !== undefined && cidrContains(net.cidr, address));
}
