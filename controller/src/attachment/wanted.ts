import { multus, providerKey, splitDual } from '@ovenbird/crds';
import type { Wanted } from '../alloc/allocator.ts';
import { AllocError } from '../alloc/error.ts';
import { bandwidthOf } from '../pod/bandwidth.ts';
import { hasPort } from '../pod/life.ts';
import type { Address, IpRecord, Key, Pod } from '../store/model.ts';
import type { Reader, State } from '../store/state.ts';
import type { AttachmentAddress, NetworkAttachment, NetworkSelection, WantedAttachment } from './model.ts';
import { parseSelections } from './selection.ts';

/** The pod part of an attachment's key; undefined for a container outside of Kubernetes. */
export function podOfKey(key: Key): Key | undefined {
  const slash = key.lastIndexOf('/');
  return slash < 0 ? undefined : key.slice(0, slash);
}

/** What a pod asks for beside its first interface. @throws AllocError `invalid` */
export function selectionsOf(pod: Pod): readonly NetworkSelection[] {
  const text = pod.annotations[multus.networks];
  return text === undefined ? [] : parseSelections(text, pod.namespace);
}

/** Whether a container outside of Kubernetes asks for an address with this object. */
export const isContainerRecord = (record: IpRecord | undefined): boolean =>
  record?.attachment !== undefined && record.podName === undefined;

/** UID of the pod or IP object that wants the attachment now; undefined when nobody does. */
export function attachmentUid(reader: Reader, key: Key): string | undefined {
  const podKey = podOfKey(key);
  if (podKey === undefined) {
    const record = reader.get('IpRecord', key);
    if (record === undefined || !isContainerRecord(record) || record.deleting) return undefined;
    return reader.get('Node', record.nodeName ?? '') !== undefined ? record.uid : undefined;
  }
  const pod = reader.get('Pod', podKey);
  if (!hasPort(pod)) return undefined;
  const selections = readableSelections(pod);
  // An edit that cannot be read takes nothing away.
  if (selections === undefined) return pod.uid;
  return selections.some(({ ifname }) => ifname === key.slice(podKey.length + 1)) ? pod.uid : undefined;
}

function readableSelections(pod: Pod): readonly NetworkSelection[] | undefined {
  try {
    return selectionsOf(pod);
  } catch (error) {
    if (!(error instanceof AllocError)) throw error;
    return undefined;
  }
}

/**
 * The attachment of one selection of a pod.
 * @param first whether no earlier selection of the pod has the same provider
 * @returns undefined for a definition that is none of ours
 * @throws AllocError
 */
export function wantedByPod(
  reader: Reader,
  pod: Pod,
  selection: NetworkSelection,
  first: (provider: string) => boolean,
): WantedAttachment | undefined {
  const definition = definitionOf(reader, selection);
  const { provider } = definition;
  if (provider === '') return undefined;
  const asked = (name: string): string | undefined => {
    const own = pod.annotations[providerKey(provider, `${name}.${selection.ifname}`)];
    const value = own ?? (first(provider) ? pod.annotations[providerKey(provider, name)] : undefined);
    return value === '' ? undefined : value;
  };
  // As for a pod: without its limit a new interface would run at its neighbours' cost.
  const [badLimit] = bandwidthOf(pod, { provider, ifname: selection.ifname }).problems;
  if (badLimit !== undefined) throw new AllocError('invalid', badLimit);
  const podKey = `${pod.namespace}/${pod.name}`;
  const subnet = asked('logical_switch') ?? definition.subnet;
  return {
    key: `${podKey}/${selection.ifname}`,
    uid: pod.uid,
    node: pod.node,
    ifname: selection.ifname,
    pod: podKey,
    namespace: pod.namespace,
    provider,
    ...(subnet === undefined ? {} : { subnet }),
    wanted: addressWanted(selection, asked('ip_address'), asked('mac_address'), provider),
  };
}

/** The definition that a selection names. @throws AllocError `no-subnet` when there is none */
function definitionOf(reader: Reader, { definition }: NetworkSelection): NetworkAttachment {
  const found = reader.get('NetworkAttachment', definition);
  if (found !== undefined) return found;
  throw new AllocError(
    'no-subnet',
    `NetworkAttachmentDefinition ${definition}, asked for by ${multus.networks}, does not exist`,
  );
}

/** The attachment of a container outside of Kubernetes. */
export function wantedByContainer(record: IpRecord): WantedAttachment {
  const { v4, v6, mac } = record;
  return {
    key: record.name,
    uid: record.uid,
    node: record.nodeName ?? '',
    ifname: record.attachment?.interface ?? '',
    namespace: '',
    provider: 'ovn',
    subnet: record.subnet,
    wanted: {
      ...(v4 === undefined ? {} : { v4 }),
      ...(v6 === undefined ? {} : { v6 }),
      ...(mac === undefined ? {} : { mac }),
    },
  };
}

/**
 * Makes an adopted address the current one of its attachment, when that is still the same incarnation.
 * @param network provider that the address was decided for: the pod's list of networks, and the definitions that it
 *   names, may have changed since, and what is attached stays
 */
export function bindAttachment(state: State, key: Key, address: Address, network: string | undefined): void {
  const uid = attachmentUid(state, key);
  if (uid === undefined || (address.uid !== uid && address.uid !== '')) return;
  const podKey = podOfKey(key);
  const record = podKey === undefined ? state.get('IpRecord', key) : undefined;
  const pod = podKey === undefined ? undefined : state.get('Pod', podKey);
  const ifname = podKey === undefined ? record?.attachment?.interface : key.slice(podKey.length + 1);
  const bound: AttachmentAddress = {
    ...address,
    uid,
    node: pod?.node ?? record?.nodeName ?? '',
    ifname: ifname ?? '',
    provider: podKey === undefined ? 'ovn' : (network ?? 'ovn'),
    committed: false,
    ...(podKey === undefined ? {} : { pod: podKey }),
  };
  state.set('AttachmentAddress', key, bound);
}

function addressWanted(
  selection: NetworkSelection,
  address: string | undefined,
  mac: string | undefined,
  provider: string,
): Wanted {
  const wanted: { v4?: string; v6?: string; mac?: string } = {};
  try {
    if (address !== undefined) Object.assign(wanted, splitDual(address));
  } catch {
    throw new AllocError(
      'invalid',
      `annotation ${providerKey(provider, 'ip_address')}: "${address?.slice(0, 100)}" is not an address; write an IPv4 address, an IPv6 address, or both as "v4,v6"`,
    );
  }
  // The selection is more particular than the annotation of the provider.
  for (const ip of selection.ips) wanted[ip.includes(':') ? 'v6' : 'v4'] = ip;
  const chosen = selection.mac ?? mac?.toLowerCase();
  return chosen === undefined ? wanted : { ...wanted, mac: chosen };
}
