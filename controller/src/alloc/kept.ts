import { splitOwner } from '../compile/names.ts';
import type { Address } from '../store/model.ts';
import type { Reader } from '../store/state.ts';

/** Whether an address outlives its pod: what the pod belongs to still exists. */
export function isKept(address: Pick<Address, 'keepFor'>, reader: Reader): boolean {
  if (address.keepFor === undefined) return false;
  const [kind, key] = splitOwner(address.keepFor);
  return kind === 'StatefulSet' && reader.get('StatefulSet', key) !== undefined;
}
