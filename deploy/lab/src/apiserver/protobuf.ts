/**
 * Bodies in `application/vnd.kubernetes.protobuf`: the typed clients of client-go 0.33 and newer (so `kubectl create`)
 * send built-in kinds in it. Answers stay JSON, which those clients accept. Layout: k8s.io/apimachinery/pkg/runtime/
 * serializer/protobuf: the bytes `k8s\0`, then a runtime.Unknown.
 */
import { badRequest } from './api-error.ts';
import { isObject, type JsonObject } from './json.ts';
import { type FieldTable, fieldTable, typeOfKind } from './kinds.ts';
import { fieldsOf, type WireField } from './wire.ts';

/** Media type of the encoding. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');
const DEPTH_LIMIT = 64;

const EMPTY = Buffer.alloc(0);

function find(fields: readonly WireField[], number: number): WireField | undefined {
  return fields.findLast((field) => field.number === number);
}

function textOf(field: WireField | undefined): string {
  return (field?.bytes ?? EMPTY).toString('utf8');
}

/** meta.v1.Time and MicroTime: seconds 1, nanos 2. Nothing at all is Go's zero time, null in JSON. */
function time(bytes: Buffer, micro: boolean): string | undefined {
  const fields = fieldsOf(bytes);
  if (fields.length === 0) return undefined;
  const seconds = Number(find(fields, 1)?.value ?? 0n);
  const nanos = Number(find(fields, 2)?.value ?? 0n);
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  return micro ? `${text}.${String(Math.trunc(nanos / 1000)).padStart(6, '0')}Z` : `${text}Z`;
}

function special(type: string, bytes: Buffer): unknown {
  switch (type) {
    case 'time':
      return time(bytes, false);
    case 'microtime':
      return time(bytes, true);
    case 'quantity':
      return textOf(find(fieldsOf(bytes), 1));
    case 'intorstring': {
      const fields = fieldsOf(bytes);
      return find(fields, 1)?.value === 1n ? textOf(find(fields, 3)) : Number(find(fields, 2)?.value ?? 0n);
    }
    case 'duration':
      return `${Number(find(fieldsOf(bytes), 1)?.value ?? 0n) / 1e9}s`;
    case 'raw': {
      const raw = textOf(find(fieldsOf(bytes), 1));
      return raw === '' ? undefined : (JSON.parse(raw) as unknown);
    }
    default:
      return undefined;
  }
}

function float(bits: bigint): number {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(bits);
  return buffer.readDoubleLE();
}

/** One value of a type without list or map around it. */
function value(type: string, field: WireField, depth: number): unknown {
  switch (type) {
    case 'string':
      return textOf(field);
    case 'bytes':
      return (field.bytes ?? EMPTY).toString('base64');
    case 'bool':
      return field.value !== 0n;
    case 'int32':
    case 'int64':
      return Number(field.value ?? 0n);
    case 'double':
      return float(BigInt.asUintN(64, field.value ?? 0n));
    case '[]string':
      return fieldsOf(field.bytes ?? EMPTY).map(textOf);
    default:
      if (type.startsWith('@')) return message(fieldTable(type.slice(1)), field.bytes ?? EMPTY, depth + 1);
      return special(type, field.bytes ?? EMPTY);
  }
}

function isZero(decoded: unknown): boolean {
  return decoded === '' || decoded === 0 || decoded === false || decoded === undefined;
}

function message(table: FieldTable, bytes: Buffer, depth: number): JsonObject {
  if (depth > DEPTH_LIMIT) throw badRequest(`the protobuf body is nested deeper than ${DEPTH_LIMIT} messages`);
  const byNumber = new Map(
    Object.entries(table).map(([name, [number, type, flags]]) => [number, { name, type, flags }]),
  );
  const result: JsonObject = {};
  for (const field of fieldsOf(bytes)) {
    const known = byNumber.get(field.number);
    if (known === undefined) continue;
    const { name, type, flags = '' } = known;
    if (type.startsWith('[]')) {
      const list = (result[name] ??= []) as unknown[];
      list.push(value(type.slice(2), field, depth));
    } else if (type.startsWith('{}')) {
      const entry = fieldsOf(field.bytes ?? EMPTY);
      const map = (result[name] ??= {}) as JsonObject;
      map[textOf(find(entry, 1))] = value(type.slice(2), find(entry, 2) ?? { number: 2 }, depth);
    } else {
      const decoded = value(type, field, depth);
      if (flags.includes('+') && isObject(decoded)) Object.assign(result, decoded);
      // Go sends the zero of a field that is no pointer; JSON leaves it out (omitempty).
      else if (decoded !== undefined && (flags.includes('?') || !isZero(decoded))) result[name] = decoded;
    }
  }
  return result;
}

/** Decodes a body to the JSON object it stands for. Throws 400 for other bytes and for kinds that are not built in. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC)) throw badRequest('the body does not start with the bytes "k8s\\0"');
  try {
    const envelope = fieldsOf(body.subarray(4));
    const meta = fieldsOf(find(envelope, 1)?.bytes ?? EMPTY);
    const apiVersion = textOf(find(meta, 1));
    const kind = textOf(find(meta, 2));
    const type = typeOfKind(apiVersion, kind) ?? (kind === 'DeleteOptions' ? typeOfKind('v1', kind) : undefined);
    if (type === undefined) {
      throw badRequest(`no protobuf encoding is known for ${apiVersion} ${kind}; send it as application/json`);
    }
    return { apiVersion, kind, ...message(fieldTable(type), find(envelope, 2)?.bytes ?? EMPTY, 0) };
  } catch (error) {
    if (
      error instanceof RangeError ||
      error instanceof SyntaxError ||
      (error instanceof Error && error.name === 'Error')
    ) {
      throw badRequest(`the protobuf body is damaged: ${error.message}`);
    }
    throw error;
  }
}
