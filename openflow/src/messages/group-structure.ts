/** Groups as structures: types, buckets, how a bucket is selected (OpenFlow 1.5.1 §7.3.4.3). */
import type { Action } from '../action.ts';
import { readActions, writeActions } from '../action-codec.ts';
import type { Field, FieldValue } from '../field.ts';
import { readFieldHeader, readValue, writeFieldHeader, writeValue } from '../fields.ts';
import type { Words } from '../layout.ts';
import { PORTS } from '../port.ts';
import { type RawProperty, readProperties, writeProperties, writeProperty } from '../property.ts';
import type { Reader } from '../reader.ts';
import { NTR, OF15, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** All buckets, a selected one, the only one, the first live one. */
export type GroupType = 'all' | 'select' | 'indirect' | 'ff' | number;

/** The words of OFPGT_. */
export const GROUP_TYPES: Words = { all: 0, select: 1, indirect: 2, ff: 3 };

/** Reserved group numbers. */
export const GROUPS: { readonly MAX: number; readonly ALL: number; readonly ANY: number } = {
  MAX: 0xffff_ff00,
  ALL: 0xffff_fffc,
  ANY: 0xffff_ffff,
};

/** Reserved bucket numbers. */
export const BUCKETS: { readonly MAX: number; readonly FIRST: number; readonly LAST: number; readonly ALL: number } = {
  MAX: 0xffff_ff00,
  FIRST: 0xffff_fffd,
  LAST: 0xffff_fffe,
  ALL: 0xffff_ffff,
};

/** One way through a group. */
export interface Bucket {
  /** 1.5: its number. */
  readonly bucketId?: number | undefined;
  /** Of `select` groups; default 1. */
  readonly weight?: number | undefined;
  /** It counts as live while this port is. */
  readonly watchPort?: number | undefined;
  /** It counts as live while this group is. */
  readonly watchGroup?: number | undefined;
  readonly actions: readonly Action[];
  readonly properties?: readonly RawProperty[] | undefined;
}

/** How a `select` group selects (Netronome's extension, 1.5). */
export interface Selection {
  /** `hash`, `dp_hash`. */
  readonly method: string;
  readonly param: bigint;
  /** What is hashed: fields with the bits of them. */
  readonly fields: readonly { readonly field: Field; readonly mask: FieldValue }[];
}

const ANY = 0xffff_ffff;
const PROPERTY = { weight: 0, watchPort: 1, watchGroup: 2 } as const;
const SELECT = 1;

function readOldBucket(r: Reader, version: Version, type: number): Bucket {
  const length = r.u16();
  if (length < 16) throw r.malformed(`a bucket of ${length} bytes`);
  const end = r.narrow(length - 2);
  const weight = r.u16();
  const watchPort = r.u32();
  const watchGroup = r.u32();
  r.skip(4);
  const actions = readActions(r, version);
  r.widen(end);
  return {
    ...(type === SELECT || weight !== 0 ? { weight } : {}),
    ...(watchPort === PORTS.ANY ? {} : { watchPort }),
    ...(watchGroup === ANY ? {} : { watchGroup }),
    actions,
  };
}

function readNewBucket(r: Reader, version: Version): Bucket {
  const length = r.u16();
  if (length < 8) throw r.malformed(`a bucket of ${length} bytes`);
  const end = r.narrow(length - 2);
  const actionsLength = r.u16();
  const bucketId = r.u32();
  const actionsEnd = r.narrow(actionsLength);
  const actions = readActions(r, version);
  r.widen(actionsEnd);
  const into: { weight?: number; watchPort?: number; watchGroup?: number } = {};
  const properties = readProperties(r, (type) => {
    if (type === PROPERTY.weight) into.weight = r.u16();
    else if (type === PROPERTY.watchPort) into.watchPort = r.u32();
    else if (type === PROPERTY.watchGroup) into.watchGroup = r.u32();
    else return false;
    return true;
  });
  r.widen(end);
  return { bucketId, ...into, actions, ...(properties.length === 0 ? {} : { properties }) };
}

/** Reads buckets up to the reader's end. */
export function readBuckets(r: Reader, version: Version, type: number): readonly Bucket[] {
  const buckets: Bucket[] = [];
  while (r.left > 0) buckets.push(version < OF15 ? readOldBucket(r, version, type) : readNewBucket(r, version));
  return buckets;
}

/** Writes one bucket. @param type the group's, as a number: only `select` groups have weights */
export function writeBucket(w: Writer, version: Version, bucket: Bucket, type: number): void {
  const start = w.length;
  w.u16(0);
  const weight = bucket.weight ?? (type === SELECT ? 1 : 0);
  if (version < OF15) {
    w.u16(weight);
    w.u32(bucket.watchPort ?? PORTS.ANY);
    w.u32(bucket.watchGroup ?? ANY);
    w.zeros(4);
    writeActions(w, version, bucket.actions);
  } else {
    w.u16(0);
    w.u32(bucket.bucketId ?? 0);
    const actions = w.length;
    writeActions(w, version, bucket.actions);
    w.patch16(start + 2, w.length - actions);
    const { watchPort, watchGroup } = bucket;
    writeProperties(w, bucket.properties, () => {
      if (type === SELECT || weight !== 0) {
        writeProperty(w, PROPERTY.weight, () => {
          w.u16(weight);
          w.zeros(2);
        });
      }
      if (watchPort !== undefined) writeProperty(w, PROPERTY.watchPort, () => w.u32(watchPort));
      if (watchGroup !== undefined) writeProperty(w, PROPERTY.watchGroup, () => w.u32(watchGroup));
    });
  }
  w.patch16(start, w.length - start);
}

const EXPERIMENTER = 0xffff;
const SELECTION_METHOD = 1;
const METHOD_LENGTH = 16;

/** What properties of a group say. */
export interface GroupProperties {
  readonly selection?: Selection;
  readonly properties?: readonly RawProperty[];
}

/** Reads the properties of a group up to the reader's end. */
export function readGroupProperties(r: Reader): GroupProperties {
  let selection: Selection | undefined;
  const properties = readProperties(r, (type, length) => {
    if (type !== EXPERIMENTER || length < 40 || r.u32() !== NTR || r.u32() !== SELECTION_METHOD) return false;
    r.skip(4);
    const method = r.text(METHOD_LENGTH);
    const param = r.u64();
    const fields: { field: Field; mask: FieldValue }[] = [];
    while (r.left > 0) {
      const { field, hasMask, length: size } = readFieldHeader(r);
      if (hasMask || size !== field.bytes) throw r.malformed(`${field.name} among the fields of a selection method`);
      fields.push({ field, mask: readValue(r, field) });
    }
    selection = { method, param, fields };
    return true;
  });
  return {
    ...(selection === undefined ? {} : { selection }),
    ...(properties.length === 0 ? {} : { properties }),
  };
}

/** Writes the properties of a group. */
export function writeGroupProperties(w: Writer, version: Version, { selection, properties }: GroupProperties): void {
  writeProperties(w, properties, () => {
    if (selection === undefined) return;
    writeProperty(w, EXPERIMENTER, () => {
      w.u32(NTR);
      w.u32(SELECTION_METHOD);
      w.zeros(4);
      w.text(selection.method, METHOD_LENGTH);
      w.u64(selection.param);
      for (const { field, mask } of selection.fields) {
        writeFieldHeader(w, field, version, false, field.bytes);
        writeValue(w, mask, field.bytes);
      }
    });
  });
}
