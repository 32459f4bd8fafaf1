/** The fields of the built-in kinds, from `gen/kinds.json` (see generate-kinds.ts). */
import { readFileSync } from 'node:fs';

/**
 * Field name → protobuf number, type, flags. Types: string, int32, int64, double, bool, bytes, time, microtime,
 * duration, quantity, intorstring, raw, `@<type>`; before them `[]` for lists and `{}` for maps. Flags: `!` required,
 * `?` may be absent (a pointer in Go: a zero that is sent is meant), `+` its fields stand in the parent.
 */
export type FieldTable = Record<string, readonly [number: number, type: string, flags?: string]>;

/** The file. */
export interface KindsFile {
  /** `apps/v1 Deployment` → type name. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly types: Readonly<Record<string, FieldTable>>;
}

let loaded: KindsFile | undefined;

/** All kinds and types. Read once. */
export function kinds(): KindsFile {
  loaded ??= JSON.parse(readFileSync(new URL('gen/kinds.json', import.meta.url), 'utf8')) as KindsFile;
  return loaded;
}

/** The fields of a type; empty for an unknown name. */
export function fieldTable(type: string): FieldTable {
  return kinds().types[type] ?? {};
}

/** The type of a kind; undefined where it is not built in. */
export function typeOfKind(apiVersion: string, kind: string): string | undefined {
  return kinds().kinds[`${apiVersion} ${kind}`];
}
