import { splitOwner } from '../compile/names.ts';
import type { Address } from '../store/model.ts';
import type { Reader } from '../store/state.ts';

/** Kind of what virtual machines hold in alloc; their pods borrow it. */
export const virtualMachine = 'VirtualMachine';

/** Whether an address outlives its pod: what the pod belongs to still exists. */
export function isKept(address: Pick<Address, 'keepFor'>, reader: Reader): boolean {
  return address.keepFor !== undefined && keeperExists(address.keepFor, reader);
}

/** @param keepFor `StatefulSet/namespace/name` or `VirtualMachine/namespace/name` */
export function keeperExists(keepFor: string, reader: Reader): boolean {
  const [kind, key] = splitOwner(keepFor);
  if (kind === 'StatefulSet') return reader.get('StatefulSet', key) !== undefined;
  // An instance that no VirtualMachine stands behind has the name of nothing else.
  return (
    kind === virtualMachine &&
    (reader.get('VirtualMachine', key) ?? reader.get('VirtualMachineInstance', key)) !== undefined
  );
}
