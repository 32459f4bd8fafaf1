import { request } from '@ovenbird/crds';
import { mayUse, type SubnetRules } from '../alloc/choose-subnet.ts';
import { AllocError } from '../alloc/error.ts';
import type { Loans } from '../alloc/loans.ts';
import { ownerOf } from '../compile/names.ts';
import type { PodRequest } from '../pod/request.ts';
import type { Address, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import { vipProblem } from './members.ts';

/**
 * The address of the Vip that a pod names in the annotation `vip`, as the pod's own.
 * @throws AllocError `vip-forbidden`, `no-vip`, `forbidden`, `invalid`, `family` or `taken`
 */
export function borrowVip(
  pod: Pick<Pod, 'namespace' | 'name' | 'uid'>,
  { vip: name = '', subnet: asked, family }: PodRequest,
  reader: Reader,
  loans: Loans,
  rules: SubnetRules,
): Address {
  const vip = reader.get('Vip', name);
  const problem = vipProblem(pod, name, vip, request.vip);
  if (vip === undefined || problem !== undefined) throw new AllocError('vip-forbidden', problem ?? '');
  const { subnet } = vip;
  if (asked !== undefined && asked !== subnet)
    throw new AllocError(
      'invalid',
      `Vip "${name}" is of subnet "${subnet}", and ${request.logicalSwitch} asks for "${asked}": remove one of the two`,
    );
  const usable = reader.get('UsableSubnet', subnet);
  const held = reader.get('VipAddress', name);
  if (usable === undefined || held === undefined || held.uid !== vip.uid || usable.deleting)
    throw new AllocError('no-vip', `Vip "${name}" has no address yet; see \`kubectl describe vip ${name}\``, [subnet]);
  if (!mayUse(usable, pod.namespace, reader, rules))
    throw new AllocError(
      'forbidden',
      `namespace "${pod.namespace}" may not use subnet "${subnet}" of Vip "${name}": add it to the subnet's spec.namespaces`,
      [subnet],
    );
  const via = ownerOf('Vip', name);
  const owner = ownerOf('Pod', `${pod.namespace}/${pod.name}`);
  const user = loans.userOf(via);
  if (user !== undefined && user !== owner)
    throw new AllocError('taken', `Vip "${name}" is the address of ${user}; the pod starts when that is gone`, [
      subnet,
    ]);
  const { v4, v6, mac } = held;
  const [four, six] = [family === 'IPv6' ? undefined : v4, family === 'IPv4' ? undefined : v6];
  if ((family === 'Dual' && (v4 === undefined || v6 === undefined)) || (four ?? six) === undefined)
    throw new AllocError('family', `Vip "${name}" has no address of ${request.ipFamily} ${family ?? ''}`, [subnet]);
  return {
    owner,
    uid: pod.uid,
    subnet,
    mac,
    via,
    ...(four === undefined ? {} : { v4: four }),
    ...(six === undefined ? {} : { v6: six }),
  };
}
