import { NorthboundError } from './error.ts';
import { isOurKey, KEY_PREFIX, NAME_PREFIX } from './ours.ts';
import { type ColumnRule, OWNERSHIP, type Reference } from './ownership.ts';
import { type DesiredRow, isVersion5, type Member, type Output, OWNER_KEY, type Value, VENDOR } from './rows.ts';

/** One element of a set column, without its owner. */
export interface MemberAtom {
  readonly table: string;
  readonly uuid: string;
  readonly column: string;
  readonly value: string;
}

/** What one unit emits, checked and split into the atoms that the differ works on. */
export interface Atoms {
  readonly rows: ReadonlyMap<string, DesiredRow>;
  /** By {@link memberKey}. */
  readonly members: ReadonlyMap<string, MemberAtom>;
}

export const NO_ATOMS: Atoms = { rows: new Map(), members: new Map() };

/** Identity of a member: UUIDs are unique over tables, so the parent's table is not part of it. */
export function memberKey(member: MemberAtom): string {
  return `${member.uuid} ${member.column} ${member.value}`;
}

/** The reference that a column's elements are, when they are references. */
export function referenceOf(rule: ColumnRule): Reference | undefined {
  return rule.rule === 'keys' ? undefined : rule.references;
}

/**
 * Checks a unit's outputs against ownership.ts and completes rows with `vendor` and `ovenbird/owner`.
 * @throws NorthboundError `invalid_output` naming table, row and column.
 */
export function toAtoms(outputs: readonly Output[]): Atoms {
  const rows = new Map<string, DesiredRow>();
  const members = new Map<string, MemberAtom>();
  for (const output of outputs) {
    if (output.kind === 'row') {
      if (rows.has(output.uuid)) {
        throw invalid(output, undefined, 'is emitted twice by its unit: give the two rows different keys');
      }
      rows.set(output.uuid, checkedRow(output, members));
    } else {
      checkMember(output);
      addMember(members, output.table, output.uuid, output.column, output.value);
    }
  }
  return { rows, members };
}

/** Whether two units' atoms are the same, so that nothing needs to be looked at again. */
export function sameAtoms(a: Atoms, b: Atoms): boolean {
  if (a.rows.size !== b.rows.size || a.members.size !== b.members.size) return false;
  for (const key of a.members.keys()) if (!b.members.has(key)) return false;
  for (const [uuid, row] of a.rows) {
    const other = b.rows.get(uuid);
    if (other?.table !== row.table) return false;
    const columns = Object.keys(row.columns);
    if (columns.length !== Object.keys(other.columns).length) return false;
    for (const column of columns) {
      if (!(column in other.columns) || !sameValue(row.columns[column], other.columns[column])) return false;
    }
  }
  return true;
}

/** Whether two decoded values are equal; sets have no order (RFC 7047 §5.1). */
export function sameValue(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a as ReadonlyMap<string, unknown>) if (b.get(key) !== value) return false;
    return true;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false;
    if (a.length === 1) return a[0] === b[0];
    const elements = new Set<unknown>(b);
    return elements.size === b.length && a.every((element) => elements.delete(element));
  }
  return false;
}

function checkedRow(row: DesiredRow, members: Map<string, MemberAtom>): DesiredRow {
  const ownership = OWNERSHIP[row.table];
  if (ownership === undefined) throw invalid(row, undefined, 'is in a table that ownership.ts does not list');
  for (const [column, value] of Object.entries(row.columns)) {
    const rule = ownership.columns[column];
    if (rule === undefined) {
      throw invalid(row, column, 'is not ours to write: list it in ownership.ts, or leave it to northd');
    }
    checkValue(row, column, rule, value);
    if (rule.rule === 'members') {
      for (const element of value as readonly string[]) addMember(members, row.table, row.uuid, column, element);
    }
  }
  for (const [column, rule] of Object.entries(ownership.columns)) {
    if (rule.rule === 'whole' && rule.required && row.columns[column] === undefined) {
      throw invalid(row, column, 'has no default: the row must give it');
    }
  }
  const name = row.columns['name'];
  if (ownership.mark === 'name prefix' && !(typeof name === 'string' && name.startsWith(NAME_PREFIX))) {
    throw invalid(row, 'name', `must begin with "${NAME_PREFIX}": the table has no external_ids to mark it as ours`);
  }
  if (ownership.mark === 'uuid version' && !isVersion5(row.uuid)) {
    throw invalid(row, undefined, 'needs a UUID of version 5, by which rows of this table are known as ours');
  }
  return ownership.mark === 'external_ids' ? marked(row) : row;
}

/** The row with `vendor` and `ovenbird/owner` in its external_ids; the same object when it has them. */
function marked(row: DesiredRow): DesiredRow {
  const ids = row.columns['external_ids'];
  const given = ids instanceof Map ? (ids as ReadonlyMap<string, string>) : new Map<string, string>();
  if (given.get('vendor') === VENDOR && given.get(OWNER_KEY) === row.owner) return row;
  const external_ids = new Map<string, string>([...given, ['vendor', VENDOR], [OWNER_KEY, row.owner]]);
  return { ...row, columns: { ...row.columns, external_ids } };
}

function checkValue(row: DesiredRow, column: string, rule: ColumnRule, value: Value): void {
  if (rule.rule === 'members' || (rule.rule === 'whole' && rule.shape === 'set')) {
    if (!Array.isArray(value)) throw invalid(row, column, 'is a set: give an array');
    return;
  }
  if (rule.rule === 'keys' || rule.shape === 'map') {
    if (!(value instanceof Map)) throw invalid(row, column, 'is a map: give a Map');
    if (rule.rule === 'whole') return;
    for (const key of (value as ReadonlyMap<string, unknown>).keys()) {
      if (!isOurKey(rule, key)) {
        const advice = `list it in ownership.ts or begin it with "${KEY_PREFIX}", or a restart would forget that it is ours`;
        throw invalid(row, `${column}:${key}`, `is not a key of ours: ${advice}`);
      }
    }
    return;
  }
  if (typeof value === 'object') throw invalid(row, column, 'holds one value: give a string, number or boolean');
  if (rule.shape === 'scalar' && value === undefined) throw invalid(row, column, 'is not optional: give a value');
}

function checkMember(member: Member): void {
  const rule = OWNERSHIP[member.table]?.columns[member.column];
  if (rule?.rule !== 'members') {
    throw new NorthboundError(
      'invalid_output',
      `${member.owner}: ${member.table}.${member.column} is not merged by member: emit it in its row, or list it in ownership.ts`,
    );
  }
}

function addMember(into: Map<string, MemberAtom>, table: string, uuid: string, column: string, value: string): void {
  const atom: MemberAtom = { table, uuid, column, value };
  into.set(memberKey(atom), atom);
}

function invalid(row: DesiredRow, column: string | undefined, problem: string): NorthboundError {
  const place = column === undefined ? row.table : `${row.table}.${column}`;
  return new NorthboundError('invalid_output', `${row.owner}: ${place} of row "${row.key}" (${row.uuid}) ${problem}`);
}
