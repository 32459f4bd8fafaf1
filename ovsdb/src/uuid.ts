import { OvsdbError } from './error.ts';

declare const uuidBrand: unique symbol;
declare const tableBrand: unique symbol;

/** A row's UUID in the lower-case 8-4-4-4-12 form that ovsdb-server prints, or the uuid-name of a row inserted in the same transaction. */
export type Uuid = string & { readonly [uuidBrand]: true };

/** The UUID of a row of one table; a reference to another table's row does not compile. */
export type Ref<Table extends string> = Uuid & { readonly [tableBrand]: Table };

/** The UUID of no row: ovsdb's default value of a uuid column, and the transaction id that asks for a whole snapshot. */
export const ZERO_UUID: Uuid = '00000000-0000-0000-0000-000000000000' as Uuid;

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** RFC 7047 §3.1 `<id>`: the form of an uuid-name. Never a UUID's form, so one string type holds both. */
const NAME_TEXT = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Whether `text` has the form of a UUID as ovsdb-server prints it. */
export function isUuid(text: string): text is Uuid {
  return text.length === 36 && UUID_TEXT.test(text);
}

/** Whether `text` has the form of an uuid-name (RFC 7047 §5.1 `<named-uuid>`). */
export function isUuidName(text: string): boolean {
  return NAME_TEXT.test(text);
}

/**
 * Checks and brands a UUID.
 * @throws OvsdbError `invalid_value` when `text` is not a lower-case UUID.
 */
export function toUuid(text: string): Uuid {
  if (!isUuid(text)) {
    throw new OvsdbError('invalid_value', `"${text}" is not a UUID: write 32 lower-case hex digits as 8-4-4-4-12`);
  }
  return text;
}

/**
 * Checks and brands a UUID as a reference to a row of `table`.
 * @throws OvsdbError `invalid_value` when `text` is neither a lower-case UUID nor an uuid-name.
 */
export function toRef<Table extends string>(table: Table, text: string): Ref<Table> {
  if (!isUuid(text) && !isUuidName(text)) {
    throw new OvsdbError('invalid_value', `"${text}" is neither a UUID nor an uuid-name`, { table });
  }
  return text as Ref<Table>;
}
