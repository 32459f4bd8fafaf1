import { attachmentUid, bindAttachment } from '../attachment/wanted.ts';
import { ownerOf, splitOwner } from '../compile/names.ts';
import { hasPort } from '../pod/life.ts';
import { olderFirst } from '../store/by-age.ts';
import type { Address, IpRecord, Key } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { isWanted as isAskedBy } from '../vip/members.ts';
import type { Allocator } from './allocator.ts';
import { isKept, keeperExists, virtualMachine } from './kept.ts';
import type { Loans } from './loans.ts';

/** A port of ours in the northbound database, as far as addresses go. */
export interface DurablePort {
  /** `Pod/ns/name` or `Node/name`. */
  readonly owner: string;
  readonly uid: string;
  readonly subnet: string;
  /** `MAC v4 v6`, as in Logical_Switch_Port.addresses. */
  readonly addresses: string;
  /** See `Address.keepFor`. */
  readonly keepFor?: Key;
  /** Provider of the network, of an attachment. */
  readonly network?: string;
  /** See `Address.via`. */
  readonly via?: Key;
}

export interface LoadResult {
  /** Owners whose address was taken over. */
  readonly adopted: number;
  /** What could not be: two durable records of one address; the northbound row won. */
  readonly conflicts: readonly string[];
  /** Owners whose IP object has to be written or removed. */
  readonly stale: readonly string[];
}

/** Who holds what, by subnet and address, before alloc is rebuilt from it. */
export function durableHolders(
  ports: readonly DurablePort[],
  records: readonly IpRecord[],
): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const holders = new Map<string, Map<string, string>>();
  const add = (subnet: string, owner: string, addresses: readonly (string | undefined)[]): void => {
    const held = holders.get(subnet) ?? new Map<string, string>();
    holders.set(subnet, held);
    for (const address of addresses) if (address !== undefined) held.set(address, owner);
  };
  // What people reserve keeps its subnet; that it is a host address there is found out later.
  for (const record of records) add(record.subnet, ownerOfRecord(record), record.managed ? [record.v4, record.v6] : []);
  for (const port of ports) {
    const parsed = parsePortAddresses(port.addresses);
    add(port.subnet, port.owner, [parsed?.v4, parsed?.v6]);
  }
  return holders;
}

/** Parses Logical_Switch_Port.addresses of a pod or node port. */
function parsePortAddresses(text: string): { mac: string; v4?: string; v6?: string } | undefined {
  const [mac, ...addresses] = text.split(' ');
  if (mac === undefined || addresses.length === 0) return undefined;
  const result: { mac: string; v4?: string; v6?: string } = { mac };
  for (const address of addresses) {
    if (address.includes(':')) result.v6 = address;
    else result.v4 = address;
  }
  return result;
}

/**
 * Rebuilds alloc at start: northbound ports first, then IP objects (design §3.2). Pods that neither names ask again as
 * ordinary requests. Of two records of one address the northbound row wins.
 *
 * A port whose pod is gone is not adopted as the pod's: its row will be removed, and only then is its address free. Until
 * then it is held under the same owner.
 */
export function loadAddresses(
  state: State,
  allocator: Allocator,
  loans: Loans,
  ports: readonly DurablePort[],
): LoadResult {
  let adopted = 0;
  const conflicts: string[] = [];
  const stale: string[] = [];

  const take = (address: Address, source: string): boolean => {
    const holder = allocator.adopt(address);
    if (holder !== undefined) {
      const text = [address.v4, address.v6].filter((part) => part !== undefined).join(',');
      conflicts.push(`${source}: ${text} of ${address.owner} is held by ${holder}`);
      return false;
    }
    adopted += 1;
    return true;
  };

  /** A pod's port has the address of a Vip or virtual machine, which holds it. */
  const borrowed = (address: Address, via: Key): void => {
    const [kind, key] = splitOwner(via);
    const found = kind === 'Vip' ? state.get('Vip', key) : undefined;
    const vip = found !== undefined && found.subnet === address.subnet && isAskedBy(found, address) ? found : undefined;
    // A Vip that was deleted or changed holds it for its pod to the end; its IP object knows its UID.
    const holding: Address =
      kind === 'Vip'
        ? { ...address, owner: via, uid: vip?.uid ?? state.get('IpRecord', key)?.ownerUid ?? '' }
        : { ...address, owner: via };
    if (!take(holding, 'northbound port')) return;
    loans.lend(via, address.owner);
    if (vip !== undefined) state.set('VipAddress', key, holding);
    bind(state, { ...address, via }, undefined);
  };

  for (const port of ports) {
    const parsed = parsePortAddresses(port.addresses);
    if (parsed === undefined) continue;
    const { keepFor, via } = port;
    const address: Address = {
      owner: port.owner,
      uid: port.uid,
      subnet: port.subnet,
      ...parsed,
      ...(keepFor === undefined ? {} : { keepFor }),
    };
    if (via !== undefined) borrowed(address, via);
    else if (take(address, 'northbound port')) bind(state, address, port.network);
  }
  // What was decided comes before what people want; of their wishes the older goes first.
  const records = state.list('IpRecord').toSorted((a, b) => Number(b.managed) - Number(a.managed) || olderFirst(a, b));
  for (const record of records) {
    const address = addressOfRecord(record);
    if (address === undefined) continue;
    const held = allocator.held(address.owner);
    if (held !== undefined && held.subnet === address.subnet) {
      if (held.uid !== address.uid) stale.push(address.owner);
      continue;
    }
    const addresses = [address.v4, address.v6].filter((text) => text !== undefined);
    // A reservation that makes no sense (for now) is explained by an event, and tried again when its subnet changes.
    if (!record.managed && record.attachment === undefined && !allocator.isReservable(address.subnet, addresses))
      continue;
    if (!isWanted(state, record, address)) {
      stale.push(address.owner);
      continue;
    }
    if (take(address, `IP ${record.name}`)) bind(state, address, record.attachment?.network);
    else stale.push(address.owner);
  }
  return { adopted, conflicts, stale };
}

/** The owner key of an IP object: the pod or node that it names, or, made by hand for nobody, itself. */
export function ownerOfRecord(record: IpRecord): string {
  if (record.attachment !== undefined) {
    const { namespace = '', podName, name } = record;
    return ownerOf(
      'Attachment',
      podName === undefined ? name : `${namespace}/${podName}/${record.attachment.interface}`,
    );
  }
  if (record.managed && record.vip !== undefined) return ownerOf('Vip', record.vip);
  // A machine's pods come and go under other names.
  if (record.managed && record.keepFor?.startsWith(`${virtualMachine}/`) === true) return record.keepFor;
  if (!record.managed && record.ofMachine === true)
    return ownerOf(virtualMachine, `${record.namespace ?? ''}/${record.podName ?? ''}`);
  if (record.podName !== undefined && record.podName !== '')
    return ownerOf('Pod', `${record.namespace ?? ''}/${record.podName}`);
  if (record.managed && record.nodeName !== undefined && record.nodeName !== '')
    return ownerOf('Node', record.nodeName);
  return ownerOf('IP', record.name);
}

export function addressOfRecord(record: IpRecord): Address | undefined {
  if (record.v4 === undefined && record.v6 === undefined) return undefined;
  return {
    owner: ownerOfRecord(record),
    uid: record.ownerUid ?? '',
    subnet: record.subnet,
    mac: record.mac ?? '',
    ...(record.v4 === undefined ? {} : { v4: record.v4 }),
    ...(record.v6 === undefined ? {} : { v6: record.v6 }),
    ...(record.keepFor === undefined ? {} : { keepFor: record.keepFor }),
  };
}

/** Whether the record still stands for somebody: its owner lives, its StatefulSet does, or a person made it. */
function isWanted(state: State, record: IpRecord, address: Address): boolean {
  const [kind, key] = splitOwner(address.owner);
  if (kind === 'Attachment') return attachmentUid(state, key) === (address.uid === '' ? record.uid : address.uid);
  if (!record.managed) return true;
  if (kind === 'Pod') {
    const pod = state.get('Pod', key);
    if (hasPort(pod) && pod.uid === address.uid) return true;
    return isKept(address, state);
  }
  if (kind === 'Node') return state.get('Node', key)?.uid === address.uid;
  if (kind === 'Vip') return state.get('Vip', key)?.uid === address.uid;
  return kind === virtualMachine && keeperExists(address.owner, state);
}

/** Makes an adopted address the current one of its pod or node, when that is still the same incarnation. */
function bind(state: State, address: Address, network: string | undefined): void {
  const [kind, key] = splitOwner(address.owner);
  if (kind === 'Pod') {
    const pod = state.get('Pod', key);
    if (hasPort(pod) && pod.uid === address.uid) state.set('PodAddress', key, address);
  } else if (kind === 'Attachment') bindAttachment(state, key, address, network);
  else if (kind === 'Vip' && state.get('Vip', key)?.uid === address.uid) state.set('VipAddress', key, address);
  else if (kind === 'Node' && state.get('Node', key)?.uid === address.uid) state.set('NodeAddress', key, address);
}
