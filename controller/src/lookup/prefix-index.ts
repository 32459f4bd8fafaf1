import type { TableName, TableReplica } from '@ovenbird/ovsdb';

/** The first 32 bits of a UUID, 8 hexadecimal digits: what OVN keeps of it in cookies and in `stage-hint`. */
export const prefixOf = (uuid: string): string => uuid.slice(0, 8);

/** Rows of a table by the first 32 bits of their UUID. Follows the replica. */
export class PrefixIndex<DB, T extends TableName<DB>> {
  readonly #uuids = new Map<string, string | readonly string[]>();

  constructor(table: TableReplica<DB, T>) {
    for (const { _uuid } of table.rows()) this.#add(_uuid);
    table.onChange((changes) => {
      for (const { uuid, old, new: now } of changes) {
        if (old === undefined) this.#add(uuid);
        else if (now === undefined) this.#remove(uuid);
      }
    });
  }

  /** The UUID that begins like this; undefined when there is none, or more than one: then nobody can tell which is meant. */
  find(prefix: string): string | undefined {
    const found = this.#uuids.get(prefix);
    return typeof found === 'string' ? found : undefined;
  }

  #add(uuid: string): void {
    const found = this.#uuids.get(prefixOf(uuid));
    const all = found === undefined ? [] : typeof found === 'string' ? [found] : found;
    this.#uuids.set(prefixOf(uuid), all.length === 0 ? uuid : [...all.filter((other) => other !== uuid), uuid]);
  }

  #remove(uuid: string): void {
    const found = this.#uuids.get(prefixOf(uuid));
    const rest = found === undefined || typeof found === 'string' ? [] : found.filter((other) => other !== uuid);
    const [only] = rest;
    if (only === undefined) this.#uuids.delete(prefixOf(uuid));
    else this.#uuids.set(prefixOf(uuid), rest.length === 1 ? only : rest);
  }
}
