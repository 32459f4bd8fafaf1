import { type Output, rowUuid } from '../northbound/rows.ts';
import { externalIds } from './names.ts';

type Columns = Extract<Output, { kind: 'row' }>['columns'];

/** Identity of a row elsewhere: what `RowBuilder.row` used, so that a unit can refer to another unit's row. */
export interface RowRef {
  readonly table: string;
  readonly uuid: string;
}

/** References to rows by their natural key; uuids are derived, so no look-up is needed (design §3.5). */
export function rowRef(clusterUid: string, table: string, key: string, owner: string): RowRef {
  return { table, uuid: rowUuid(clusterUid, table, key, owner) };
}

/** Collects the rows and memberships of one unit; every row gets the owner's external_ids. */
export class RowBuilder {
  readonly #clusterUid: string;
  readonly #owner: string;
  readonly #outputs: Output[] = [];

  constructor(clusterUid: string, owner: string) {
    this.#clusterUid = clusterUid;
    this.#owner = owner;
  }

  get outputs(): readonly Output[] {
    return this.#outputs;
  }

  /**
   * Emits a row.
   * @param key natural key: unique among this owner's rows of the table, stable over edits (rows are updated in place).
   * @param ids external_ids beside `vendor` and `ovenbird/owner`.
   */
  row(table: string, key: string, columns: Columns, ids?: Readonly<Record<string, string>>): RowRef {
    return this.bareRow(table, key, { ...columns, external_ids: externalIds(this.#owner, ids) });
  }

  /** Emits a row of a table without external_ids, whose name says that it is ours (northbound/ownership.ts). */
  bareRow(table: string, key: string, columns: Columns): RowRef {
    const ref = rowRef(this.#clusterUid, table, key, this.#owner);
    this.#outputs.push({ kind: 'row', table, uuid: ref.uuid, key, owner: this.#owner, columns });
    return ref;
  }

  /** Emits one member of a set column of a parent row: an uuid (reference) or a string (Address_Set.addresses). */
  member(parent: RowRef, column: string, value: string): void {
    this.#outputs.push({
      kind: 'member',
      table: parent.table,
      uuid: parent.uuid,
      column,
      value,
      owner: this.#owner,
    });
  }
}
