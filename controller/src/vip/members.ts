import { request } from '@ovenbird/crds';
import { ownerOf, splitOwner } from '../compile/names.ts';
import type { Address, Namespace, Pod, Vip } from '../store/model.ts';
import type { Reader } from '../store/state.ts';

/** Names that the annotation `aaps` lists: that of the pod, else that of its namespace. */
export const namedVips = (pod: Pick<Pod, 'annotations'>, namespace: Namespace | undefined): readonly string[] =>
  (pod.annotations[request.aaps] ?? namespace?.annotations[request.aaps] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** Why a Vip that a pod names is not for it; undefined when it is. */
export function vipProblem(
  pod: Pick<Pod, 'namespace'>,
  name: string,
  vip: Vip | undefined,
  key: string = request.aaps,
): string | undefined {
  if (vip?.namespace === pod.namespace) return undefined;
  const why = vip === undefined ? 'does not exist' : `is for namespace "${vip.namespace}"`;
  return `Vip "${name}", named by ${key}, ${why}; name one whose spec.namespace is "${pod.namespace}"`;
}

/** Whether a pod may have the Vip's address: it is in its namespace, and names it or has its labels. */
export function sharesVip(pod: Pod, vip: Vip, reader: Reader): boolean {
  if (pod.namespace !== vip.namespace) return false;
  if (namedVips(pod, reader.get('Namespace', pod.namespace)).includes(vip.name)) return true;
  return vip.selector.length > 0 && vip.selector.every(([key, value]) => pod.labels[key] === value);
}

/** Whether the Vip's address is a pod's own now (annotation `vip`), and so shared by nobody. */
export const isPodsOwn = (vip: string, reader: Reader): boolean =>
  reader.index('PodAddress', 'via', ownerOf('Vip', vip)).length > 0;

/** Addresses of the Vips that a pod of this subnet may have. */
export function vipsOf(pod: Pod, subnet: string, reader: Reader): readonly Address[] {
  return reader
    .index('Vip', 'namespace', pod.namespace)
    .filter((vip) => vip.subnet === subnet && sharesVip(pod, vip, reader) && !isPodsOwn(vip.name, reader))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((vip) => reader.get('VipAddress', vip.name))
    .filter((address) => address !== undefined);
}

/** Whether an address is what a Vip asks for. */
export const isWanted = (vip: Vip, address: Address): boolean =>
  (['v4', 'v6', 'mac'] as const).every((part) => vip[part] === undefined || vip[part] === address[part]);

export const addressesOfVip = ({ v4, v6 }: Address): readonly string[] =>
  [v4, v6].filter((address) => address !== undefined);

/** The pods that may have a Vip's address now, by `namespace/name`, sorted: those with a port on its switch. */
export function podsOfVip(vip: Vip, reader: Reader): readonly Pod[] {
  const [own] = reader.index('PodAddress', 'via', ownerOf('Vip', vip.name));
  const owner = own === undefined ? undefined : reader.get('Pod', splitOwner(own.owner)[1]);
  if (owner !== undefined) return [owner];
  return reader
    .index('Pod', 'namespace', vip.namespace)
    .filter((pod) => sharesVip(pod, vip, reader))
    .filter((pod) => {
      const address = reader.get('PodAddress', `${pod.namespace}/${pod.name}`);
      return address?.uid === pod.uid && address.subnet === vip.subnet;
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
