/**
 * Names of the errors a switch sends: OpenFlow 1.0-1.5 §OFPT_ERROR, and the extensions of Nicira and ONF, as Open
 * vSwitch 3.1 prints them.
 */

import type { Version } from './version.ts';
import { NX, ONF } from './version.ts';

/** An error as the switch sent it. */
export interface SwitchError {
  /** `OFPBAC_BAD_OUT_GROUP`; `type 5, code 77` for what has no name. */
  readonly name: string;
  /** The error's type; 0xffff for an experimenter's. */
  readonly errorType: number;
  readonly code: number;
  /** The experimenter's id, when errorType is 0xffff. */
  readonly experimenter: number | undefined;
}

/** [type or experimenter, first code, first version, last version, prefix, names of consecutive codes]. */
const ROWS: readonly (readonly [
  type: number,
  code: number,
  from: number,
  to: number,
  prefix: string,
  names: string,
])[] = [
  [0, 0, 1, 6, 'OFPHFC', 'INCOMPATIBLE EPERM'],
  [
    1,
    0,
    1,
    6,
    'OFPBRC',
    'BAD_VERSION BAD_TYPE BAD_STAT BAD_VENDOR BAD_SUBTYPE EPERM BAD_LEN BUFFER_EMPTY BUFFER_UNKNOWN',
  ],
  [1, 9, 4, 6, 'OFPBRC', 'BAD_TABLE_ID IS_SECONDARY BAD_PORT BAD_PACKET MULTIPART_BUFFER_OVERFLOW'],
  [1, 14, 5, 6, 'OFPBRC', 'MULTIPART_REQUEST_TIMEOUT MULTIPART_REPLY_TIMEOUT'],
  [1, 16, 6, 6, 'OFPBRC', 'MULTIPART_BAD_SCHED PIPELINE_FIELDS_ONLY UNKNOWN'],
  [
    2,
    0,
    1,
    6,
    'OFPBAC',
    'BAD_TYPE BAD_LEN BAD_VENDOR BAD_VENDOR_TYPE BAD_OUT_PORT BAD_ARGUMENT EPERM TOO_MANY BAD_QUEUE',
  ],
  [
    2,
    9,
    4,
    6,
    'OFPBAC',
    'BAD_OUT_GROUP MATCH_INCONSISTENT UNSUPPORTED_ORDER BAD_TAG BAD_SET_TYPE BAD_SET_LEN BAD_SET_ARGUMENT',
  ],
  [2, 16, 6, 6, 'OFPBAC', 'BAD_SET_MASK BAD_METER'],
  [3, 0, 1, 1, 'OFPFMFC', 'TABLE_FULL OVERLAP EPERM BAD_EMERG_TIMEOUT BAD_COMMAND UNSUPPORTED'],
  [
    3,
    0,
    4,
    6,
    'OFPBIC',
    'UNKNOWN_INST UNSUP_INST BAD_TABLE_ID UNSUP_METADATA UNSUP_METADATA_MASK BAD_EXPERIMENTER BAD_EXP_TYPE BAD_LEN EPERM',
  ],
  [3, 9, 5, 6, 'OFPBIC', 'DUP_INST'],
  [4, 0, 1, 1, 'OFPPMFC', 'BAD_PORT BAD_HW_ADDR'],
  [
    4,
    0,
    4,
    6,
    'OFPBMC',
    'BAD_TYPE BAD_LEN BAD_TAG BAD_DL_ADDR_MASK BAD_NW_ADDR_MASK BAD_WILDCARDS BAD_FIELD BAD_VALUE BAD_MASK BAD_PREREQ DUP_FIELD EPERM',
  ],
  [5, 0, 1, 1, 'OFPQOFC', 'BAD_PORT BAD_QUEUE EPERM'],
  [5, 0, 4, 6, 'OFPFMFC', 'UNKNOWN TABLE_FULL BAD_TABLE_ID OVERLAP EPERM BAD_TIMEOUT BAD_COMMAND BAD_FLAGS'],
  [5, 8, 5, 6, 'OFPFMFC', 'CANT_SYNC BAD_PRIORITY IS_SYNC'],
  [
    6,
    0,
    4,
    6,
    'OFPGMFC',
    'GROUP_EXISTS INVALID_GROUP WEIGHT_UNSUPPORTED OUT_OF_GROUPS OUT_OF_BUCKETS CHAINING_UNSUPPORTED WATCH_UNSUPPORTED LOOP UNKNOWN_GROUP CHAINED_GROUP BAD_TYPE BAD_COMMAND BAD_BUCKET BAD_WATCH EPERM',
  ],
  [6, 15, 6, 6, 'OFPGMFC', 'UNKNOWN_BUCKET BUCKET_EXISTS'],
  [7, 0, 4, 6, 'OFPPMFC', 'BAD_PORT BAD_HW_ADDR BAD_CONFIG BAD_ADVERTISE EPERM'],
  [8, 0, 4, 6, 'OFPTMFC', 'BAD_TABLE BAD_CONFIG EPERM'],
  [9, 0, 4, 6, 'OFPQOFC', 'BAD_PORT BAD_QUEUE EPERM'],
  [10, 0, 4, 6, 'OFPSCFC', 'BAD_FLAGS BAD_LEN EPERM'],
  [11, 0, 4, 6, 'OFPRRFC', 'STALE UNSUP BAD_ROLE'],
  [11, 3, 6, 6, 'OFPRRFC', 'ID_UNSUP ID_IN_USE'],
  [
    12,
    0,
    4,
    6,
    'OFPMMFC',
    'UNKNOWN METER_EXISTS INVALID_METER UNKNOWN_METER BAD_COMMAND BAD_FLAGS BAD_RATE BAD_BURST BAD_BAND BAD_BAND_VALUE OUT_OF_METERS OUT_OF_BANDS',
  ],
  [13, 0, 4, 6, 'OFPTFFC', 'BAD_TABLE BAD_METADATA'],
  [13, 2, 4, 4, 'OFPBPC', 'BAD_TYPE BAD_LEN BAD_VALUE'],
  [13, 5, 4, 6, 'OFPTFFC', 'EPERM'],
  [13, 6, 6, 6, 'OFPTFFC', 'BAD_CAPA BAD_MAX_ENT BAD_FEATURES BAD_COMMAND TOO_MANY'],
  [
    14,
    0,
    5,
    6,
    'OFPBPC',
    'BAD_TYPE BAD_LEN BAD_VALUE TOO_MANY DUP_TYPE BAD_EXPERIMENTER BAD_EXP_TYPE BAD_EXP_VALUE EPERM',
  ],
  [15, 0, 5, 6, 'OFPACFC', 'INVALID UNSUPPORTED EPERM'],
  [
    16,
    0,
    5,
    6,
    'OFPMOFC',
    'UNKNOWN MONITOR_EXISTS INVALID_MONITOR UNKNOWN_MONITOR BAD_COMMAND BAD_FLAGS BAD_TABLE_ID BAD_OUT',
  ],
  [
    17,
    0,
    5,
    6,
    'OFPBFC',
    'UNKNOWN EPERM BAD_ID BUNDLE_EXIST BUNDLE_CLOSED OUT_OF_BUNDLES BAD_TYPE BAD_FLAGS MSG_BAD_LEN MSG_BAD_XID MSG_UNSUP MSG_CONFLICT MSG_TOO_MANY MSG_FAILED TIMEOUT BUNDLE_IN_PROGRESS',
  ],
  [17, 16, 6, 6, 'OFPBFC', 'SCHED_NOT_SUPPORTED SCHED_FUTURE SCHED_PAST'],
  [NX, 2, 4, 6, 'NXBRC', 'NXM_INVALID NXM_BAD_TYPE MUST_BE_ZERO BAD_REASON'],
  [NX, 6, 4, 4, 'OFPMOFC', 'MONITOR_EXISTS BAD_FLAGS UNKNOWN_MONITOR'],
  [NX, 9, 4, 6, 'NXBRC', 'FM_BAD_EVENT UNENCODABLE_ERROR'],
  [NX, 11, 4, 6, 'NXBAC', 'MUST_BE_ZERO'],
  [NX, 12, 4, 6, 'NXFMFC', 'HARDWARE BAD_TABLE_ID'],
  [NX, 15, 4, 6, 'NXBAC', 'BAD_CONJUNCTION'],
  [NX, 16, 4, 6, 'NXTTMFC', 'BAD_COMMAND BAD_OPT_LEN BAD_FIELD_IDX TABLE_FULL ALREADY_MAPPED DUP_ENTRY'],
  [NX, 22, 5, 6, 'OFPBFC', 'BAD_VERSION'],
  [NX, 23, 5, 6, 'NXQOFC', 'QUEUE_ERROR'],
  [NX, 34, 4, 6, 'NXR', 'NOT_SUPPORTED STALE'],
  [NX, 36, 4, 6, 'NXST', 'NOT_CONFIGURED'],
  [NX, 37, 4, 6, 'NXFMFC', 'INVALID_TLV_FIELD'],
  [NX, 38, 4, 6, 'NXTTMFC', 'INVALID_TLV_DEL'],
  [NX, 39, 4, 6, 'NXBAC', 'BAD_HEADER_TYPE UNKNOWN_ED_PROP BAD_ED_PROP CT_DATAPATH_SUPPORT'],
  [NX, 43, 4, 6, 'NXBMC', 'CT_DATAPATH_SUPPORT'],
  [NX, 44, 4, 6, 'NXTFFC', 'DUP_TABLE'],
  [
    ONF,
    2300,
    4,
    4,
    'OFPBFC',
    'UNKNOWN EPERM BAD_ID BUNDLE_EXIST BUNDLE_CLOSED OUT_OF_BUNDLES BAD_TYPE BAD_FLAGS MSG_BAD_LEN MSG_BAD_XID MSG_UNSUP MSG_CONFLICT MSG_TOO_MANY MSG_FAILED TIMEOUT BUNDLE_IN_PROGRESS',
  ],
  [ONF, 2600, 4, 4, 'OFPBIC', 'DUP_INST'],
];

const NAMES: ReadonlyMap<string, string> = new Map(
  ROWS.flatMap(([type, first, from, to, prefix, names]) =>
    names
      .split(' ')
      .flatMap((name, place) =>
        [1, 4, 5, 6]
          .filter((version) => version >= from && version <= to)
          .map((version): [string, string] => [`${version} ${type} ${first + place}`, `${prefix}_${name}`]),
      ),
  ),
);

/** Looks an error up. Types below 0x10000 are standard ones, so they and experimenters' ids share one table. */
export function describeError(
  version: Version,
  errorType: number,
  code: number,
  experimenter: number | undefined,
): SwitchError {
  const known = NAMES.get(`${version} ${experimenter ?? errorType} ${code}`);
  const name =
    known ??
    (experimenter === undefined
      ? `type ${errorType}, code ${code}`
      : `experimenter 0x${experimenter.toString(16)}, code ${code}`);
  return { name, errorType, code, experimenter };
}

const UNNAMED = /^type (\d+), code (\d+)$/;
const UNNAMED_EXPERIMENTER = /^experimenter (0x[0-9a-f]+), code (\d+)$/;
const EXPERIMENTER = 0xffff;

/** The error of a name that `describeError` gave; undefined for names that the version has not. */
export function findError(version: Version, name: string): Omit<SwitchError, 'name'> | undefined {
  const [, type, code] = UNNAMED.exec(name) ?? [];
  if (type !== undefined) return { errorType: Number(type), code: Number(code), experimenter: undefined };
  const [, id, itsCode] = UNNAMED_EXPERIMENTER.exec(name) ?? [];
  if (id !== undefined) return { errorType: EXPERIMENTER, code: Number(itsCode), experimenter: Number(id) };
  for (const [key, known] of NAMES) {
    if (known !== name) continue;
    const [of, owner = 0, number = 0] = key.split(' ').map(Number);
    if (of !== version) continue;
    if (owner <= EXPERIMENTER) return { errorType: owner, code: number, experimenter: undefined };
    return { errorType: EXPERIMENTER, code: number, experimenter: owner };
  }
  return undefined;
}
