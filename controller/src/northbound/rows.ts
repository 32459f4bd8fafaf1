import { createHash } from 'node:crypto';

/** One OVSDB atom as the ovsdb library decodes it; a uuid is a string. */
export type Scalar = string | number | boolean;

/** A decoded column value: scalar, set, map, or the empty optional. References are UUIDs as strings. */
export type Value = Scalar | readonly Scalar[] | ReadonlyMap<string, Scalar> | undefined;

/** A row that a unit wants in the northbound database. */
export interface DesiredRow {
  readonly kind: 'row';
  readonly table: string;
  /** From {@link rowUuid}, so that a rebuilt database holds the same UUIDs. */
  readonly uuid: string;
  /** Natural key within the table and owner, for messages. */
  readonly key: string;
  /** `<Kind>/<namespace>/<name>` (or `<Kind>/<name>`), written to `external_ids:ovenbird/owner`. */
  readonly owner: string;
  /**
   * Owned columns (ownership.ts). An absent column means its default, not "untouched". Elements given here for a column
   * that is merged by member count as members emitted by this row's unit.
   */
  readonly columns: Readonly<Record<string, Value>>;
}

/**
 * One element of a set column of another (or the same) unit's row: a switch's port, a port group's port, an address.
 * Several units may emit the same member; it goes when the last one stops.
 */
export interface Member {
  readonly kind: 'member';
  readonly table: string;
  /** UUID of the parent row, which holds the set. */
  readonly uuid: string;
  readonly column: string;
  /** A referenced row's UUID, or a string element. */
  readonly value: string;
  readonly owner: string;
}

/** What a unit emits. */
export type Output = DesiredRow | Member;

/** `external_ids:vendor` of every row of ours, in tables that have external_ids. */
export const VENDOR = 'ovenbird';
/** `external_ids` key that names the object a row was compiled from. */
export const OWNER_KEY = 'ovenbird/owner';

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * UUIDv5 (RFC 9562 §5.5) in the namespace of the cluster's UID. Explicit UUIDs make a repeated insert fail instead of
 * making a twin: most northbound tables have no unique index.
 * @param clusterUid UID of the kube-system namespace.
 * @param key natural key of the row within table and owner.
 * @param owner `<Kind>/<namespace>/<name>` of the object the row is compiled from.
 * @throws RangeError when `clusterUid` is not a UUID.
 */
export function rowUuid(clusterUid: string, table: string, key: string, owner: string): string {
  if (!UUID_TEXT.test(clusterUid)) {
    throw new RangeError(`cluster UID "${clusterUid}" is not a lower-case UUID: pass the UID of namespace kube-system`);
  }
  // NUL separates: it can be in no Kubernetes name, so different triples never give the same text.
  const hash = createHash('sha1')
    .update(Buffer.from(clusterUid.replaceAll('-', ''), 'hex'))
    .update(`${table}\0${key}\0${owner}`)
    .digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Whether a UUID is of version 5, as ours are; ovsdb-server itself makes version 4 (random) ones. */
export function isVersion5(uuid: string): boolean {
  return uuid.charAt(14) === '5';
}
