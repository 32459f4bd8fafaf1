import { OWNERSHIP } from './ownership.ts';
import { isVersion5, type Scalar, type Value, VENDOR } from './rows.ts';

/** `name` prefix of our rows in tables without external_ids. */
export const NAME_PREFIX = 'ovenbird_';
/** Map keys with this prefix are ours in every map of every row of ours. */
export const KEY_PREFIX = 'ovenbird/';

/** Whether a row of the replica was written by Ovenbird. */
export function isOurs(table: string, uuid: string, row: Readonly<Record<string, Value>>): boolean {
  switch (OWNERSHIP[table]?.mark) {
    case 'external_ids':
      return vendorOf(row) === VENDOR;
    case 'name prefix':
      return typeof row['name'] === 'string' && row['name'].startsWith(NAME_PREFIX);
    case 'uuid version':
      return isVersion5(uuid);
    case undefined:
      return false;
  }
}

/** `external_ids:vendor` of a row, by which Ovenbird and Kube-OVN mark what they wrote. */
export function vendorOf(row: Readonly<Record<string, Value>>): Scalar | undefined {
  const ids = row['external_ids'];
  return ids instanceof Map ? (ids as ReadonlyMap<string, Scalar>).get('vendor') : undefined;
}

/** Whether a key of a shared map is ours in a row of ours. */
export function isOurKey(rule: { readonly keys: ReadonlySet<string> }, key: string): boolean {
  return key.startsWith(KEY_PREFIX) || rule.keys.has(key);
}
