import { createHash } from 'node:crypto';
import { type IP, type IPStatus, ipObject } from '@ovenbird/crds';
import { virtualMachine } from '../alloc/kept.ts';
import { ownerOfRecord } from '../alloc/load.ts';
import type { AttachmentAddress } from '../attachment/model.ts';
import { splitOwner } from '../compile/names.ts';
import type { Address, IpRecord, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';

/** Name of the IP object of an owner: the port's name for a pod (as in Kube-OVN), `node-<node>` for a node. */
export function recordName(owner: string): string {
  const [kind, key] = splitOwner(owner);
  if (kind === 'Node') return `node-${key}`;
  if (kind === 'Attachment') return interfaceRecordName(key);
  const slash = key.indexOf('/');
  return slash < 0 ? key : `${key.slice(slash + 1)}.${key.slice(0, slash)}`;
}

/** `<pod>.<namespace>.<interface>`; names of objects lack some characters of names of interfaces. */
function interfaceRecordName(key: string): string {
  const [namespace = '', pod = '', ifname = ''] = key.split('/');
  const plain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(ifname);
  return `${pod}.${namespace}.${plain ? ifname : createHash('sha256').update(ifname).digest('hex').slice(0, 12)}`;
}

/** When the condition of an object was first true, and the generation that this write makes. */
export interface Stamp {
  /** RFC 3339. */
  readonly since: string;
  readonly generation: number;
}

/** What the condition `Ready` of an object says that the controller made: it is there as long as somebody has its address. */
function readyOf(owner: string, pod: Pod | undefined, reserved: boolean): { reason: string; message: string } {
  const [kind, key] = splitOwner(owner);
  const what = kind === 'Pod' || kind === 'Node' ? `${kind.toLowerCase()} ${key}` : `${kind} ${key}`;
  if (reserved) return { reason: 'Reserved', message: `kept for ${what}` };
  const user = borrowers.has(kind) && pod !== undefined ? `pod ${pod.namespace}/${pod.name}, for ${what},` : what;
  return { reason: 'InUse', message: `${user} has it` };
}

const statusOf = (ready: { reason: string; message: string }, { since, generation }: Stamp): IPStatus => ({
  conditions: [{ type: 'Ready', status: 'True', observedGeneration: generation, lastTransitionTime: since, ...ready }],
});

/** Whether the stored object has the condition, about what it says now. */
const says = ({ ready, generation }: IpRecord, reason: string): boolean =>
  ready?.reason === reason && ready.observed === (generation ?? ready.observed);

/** The IP object of a pod's further interface. */
export function interfaceRecordOf(name: string, address: AttachmentAddress, stamp: Stamp): IP {
  const { subnet, node, pod = '', ifname, provider, v4 = '', v6 = '', mac, uid } = address;
  const slash = pod.indexOf('/');
  return {
    apiVersion: 'ovenbird.io/v1',
    kind: 'IP',
    metadata: {
      name,
      labels: { [ipObject.managed]: 'true', [ipObject.subnet]: subnet, [ipObject.nodeName]: node },
    },
    spec: {
      podName: pod.slice(slash + 1),
      namespace: pod.slice(0, slash),
      nodeName: node,
      subnet,
      ipAddress: [v4, v6].filter((text) => text !== '').join(','),
      v4IpAddress: v4,
      v6IpAddress: v6,
      macAddress: mac,
      ownerUID: uid,
      attachment: { interface: ifname, network: provider },
    },
    status: statusOf({ reason: 'InUse', message: `pod ${pod} has it, on ${ifname}` }, stamp),
  };
}

/**
 * The name when another owner's object sits on the plain one (a pod `node-a` in namespace `b` and a node `a.b` would share
 * one). Kubernetes names leave no character that could keep them apart, hence a hash.
 */
export const distinctRecordName = (owner: string): string =>
  `${recordName(owner).slice(0, 240)}.${createHash('sha256').update(owner).digest('hex').slice(0, 8)}`;

/**
 * The IP object that stands for an address.
 * @param pod the owner's pod while it lives; without one the address is kept, and marked so.
 */
export function recordOf(name: string, address: Address, pod: Pod | undefined, stamp: Stamp): IP {
  const [kind, key] = splitOwner(address.owner);
  const slash = key.indexOf('/');
  const isPod = kind === 'Pod';
  const node = kind === 'Node' ? key : pod?.node;
  const podName = isPod ? key.slice(slash + 1) : (pod?.name ?? '');
  const namespace = isPod || kind === virtualMachine ? key.slice(0, slash) : (pod?.namespace ?? '');
  return {
    apiVersion: 'ovenbird.io/v1',
    kind: 'IP',
    metadata: {
      name,
      labels: {
        [ipObject.managed]: 'true',
        [ipObject.subnet]: address.subnet,
        ...(node === undefined ? {} : { [ipObject.nodeName]: node }),
        ...(isReserved(address, pod) ? { [ipObject.reserved]: 'true' } : {}),
        ...(kind === 'Vip' ? { [ipObject.vip]: key } : {}),
      },
      ...(address.keepFor === undefined ? {} : { annotations: { [ipObject.keepFor]: address.keepFor } }),
    },
    spec: {
      podName,
      namespace,
      podType: address.keepFor === undefined ? '' : splitOwner(address.keepFor)[0],
      nodeName: node ?? '',
      subnet: address.subnet,
      ipAddress: [address.v4, address.v6].filter((text) => text !== undefined).join(','),
      v4IpAddress: address.v4 ?? '',
      v6IpAddress: address.v6 ?? '',
      macAddress: address.mac,
      ownerUID: address.uid,
    },
    status: statusOf(readyOf(address.owner, pod, isReserved(address, pod)), stamp),
  };
}

/** Whether an IP object holds the address for its owner, so that it is found again when the owner's port is gone. */
export function isDurable(address: Address, reader: Reader): boolean {
  const holder = address.via ?? address.owner;
  return [recordName(holder), distinctRecordName(holder)].some((name) => {
    const record = reader.get('IpRecord', name);
    if (record === undefined || record.deleting || ownerOfRecord(record) !== holder) return false;
    if (record.subnet !== address.subnet) return false;
    const { v4, v6, keepFor } = record;
    // What a person reserved stays as it is: the family that it does not name is not kept beyond the port.
    if (!record.managed) return (v4 ?? address.v4) === address.v4 && (v6 ?? address.v6) === address.v6;
    return v4 === address.v4 && v6 === address.v6 && keepFor === address.keepFor;
  });
}

/** Whether the stored object says what `recordOf` would. */
export function isRecorded(record: IpRecord, address: Address, pod: Pod | undefined): boolean {
  return (
    record.managed &&
    record.subnet === address.subnet &&
    record.v4 === address.v4 &&
    record.v6 === address.v6 &&
    record.mac === address.mac &&
    record.ownerUid === address.uid &&
    record.keepFor === address.keepFor &&
    record.reserved === isReserved(address, pod) &&
    says(record, isReserved(address, pod) ? 'Reserved' : 'InUse') &&
    // The other owners have their pod's name in their own.
    (!borrowers.has(splitOwner(address.owner)[0]) || (record.podName ?? '') === (pod?.name ?? ''))
  );
}

/** Kinds of which pods borrow the address. */
const borrowers: ReadonlySet<string> = new Set(['Vip', virtualMachine]);

/** Whether the address is kept for a pod that is not there now. */
function isReserved(address: Address, pod: Pod | undefined): boolean {
  const [kind] = splitOwner(address.owner);
  return (kind === 'Pod' || kind === virtualMachine) && pod === undefined;
}
