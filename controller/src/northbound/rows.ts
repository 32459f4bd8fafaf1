import { hash } from 'node:crypto';

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
  if (clusterUid !== known.clusterUid) {
    if (!UUID_TEXT.test(clusterUid)) {
      throw new RangeError(
        `cluster UID "${clusterUid}" is not a lower-case UUID: pass the UID of namespace kube-system`,
      );
    }
    known = { clusterUid, prefix: Buffer.from(clusterUid.replaceAll('-', ''), 'hex'), uuids: new Map() };
  }
  // NUL separates: it can be in no Kubernetes name, so different triples never give the same text.
  const text = `${table}\0${key}\0${owner}`;
  let uuid = known.uuids.get(text);
  if (uuid === undefined) {
    if (known.uuids.size >= remembered) known.uuids.clear();
    uuid = version5(hash('sha1', Buffer.concat([known.prefix, Buffer.from(text)]), 'hex'));
    known.uuids.set(text, uuid);
  }
  return uuid;
}

/** Every pod refers to the same few rows, and is compiled more than once while it starts: those need no hash again. */
const remembered = 8192;
let known = { clusterUid: '', prefix: Buffer.alloc(0), uuids: new Map<string, string>() };

/** The first 128 bits of a SHA-1 in hexadecimal, with version and variant set. */
function version5(sha1: string): string {
  const variant = ((Number.parseInt(sha1.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${sha1.slice(0, 8)}-${sha1.slice(8, 12)}-5${sha1.slice(13, 16)}-${variant}${sha1.slice(17, 20)}-${sha1.slice(20, 32)}`;
}

/** Whether a UUID is of version 5, as ours are; ovsdb-server itself makes version 4 (random) ones. */
export function isVersion5(uuid: string): boolean {
  return uuid.charAt(14) === '5';
}
