import type { Allocator } from '../alloc/allocator.ts';
import { virtualMachine } from '../alloc/kept.ts';
import { addressOfRecord, ownerOfRecord } from '../alloc/load.ts';
import { splitOwner } from '../compile/names.ts';
import type { Address, IpRecord } from '../store/model.ts';
import type { Reader } from '../store/state.ts';

/** Why an object that somebody made reserves nothing. */
export interface ReservationProblem {
  readonly reason: string;
  readonly message: string;
}

/** Whether an object asks for what its owner holds. */
export const isSameAddress = (a: Address, b: Address): boolean =>
  a.subnet === b.subnet && a.v4 === b.v4 && a.v6 === b.v6 && (b.mac === '' || a.mac === b.mac);

/** The condition `Ready` of an IP object that somebody made. */
export function reservationCondition(
  record: IpRecord,
  problem: ReservationProblem | undefined,
  allocator: Allocator,
  reader: Reader,
): { type: 'Ready'; status: 'True' | 'False'; reason: string; message: string } {
  if (problem !== undefined) return { type: 'Ready', status: 'False', ...problem };
  const owner = ownerOfRecord(record);
  const [kind, key] = splitOwner(owner);
  const wanted = addressOfRecord(record);
  const held = allocator.held(owner);
  const [machinesPod] = kind === virtualMachine ? reader.index('PodAddress', 'via', owner) : [];
  const running = kind === 'Pod' ? reader.get('PodAddress', key) : machinesPod;
  // Of the family that the object does not name the pod has some address.
  const holds = wanted !== undefined && held !== undefined && isSameAddress(held, { ...held, ...wanted });
  if (running !== undefined && (!holds || (kind === 'Pod' && running.via !== undefined))) {
    const has = [running.v4, running.v6].filter((text) => text !== undefined).join(',');
    const message = `pod ${key} runs with ${has}; it gets this address when it is created anew`;
    return { type: 'Ready', status: 'False', reason: 'PodHasAnother', message };
  }
  if (!holds) return { type: 'Ready', status: 'False', reason: 'Pending', message: 'not looked at yet' };
  return running === undefined
    ? {
        type: 'Ready',
        status: 'True',
        reason: 'Reserved',
        message: kind === 'IP' ? 'kept from everybody' : `kept for ${kind === 'Pod' ? 'pod' : kind} ${key}`,
      }
    : { type: 'Ready', status: 'True', reason: 'InUse', message: `pod ${splitOwner(running.owner)[1]} has it` };
}
