import type { Allocator } from '../alloc/allocator.ts';
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
  const running = kind === 'Pod' ? reader.get('PodAddress', key) : undefined;
  // Of the family that the object does not name the pod has some address.
  const holds = wanted !== undefined && held !== undefined && isSameAddress(held, { ...held, ...wanted });
  if (running !== undefined && (!holds || running.via !== undefined)) {
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
        message: kind === 'Pod' ? `kept for pod ${key}` : 'kept from everybody',
      }
    : { type: 'Ready', status: 'True', reason: 'InUse', message: `pod ${key} has it` };
}
