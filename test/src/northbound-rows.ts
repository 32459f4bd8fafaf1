import { run } from '@ovenbird/deploy';
import type { TestLab } from './lab.ts';

/** One table of `ovsdb-client --format=json dump`: cells are OVSDB's JSON values (RFC 7047, 5.1). */
interface DumpedTable {
  readonly caption: string;
  readonly headings: readonly string[];
  readonly data: readonly (readonly unknown[])[];
}

/** Rows of the northbound database as ovsdb-client(1) shows them: a witness that shares no code with us. */
export class NorthboundRows {
  /** Every row as one line of text, by `<table> <uuid>`. */
  readonly lines: ReadonlyMap<string, string>;

  constructor(lines: ReadonlyMap<string, string>) {
    this.lines = lines;
  }

  /** UUIDs of the rows whose lines hold all of these texts. */
  find(table: string, ...texts: readonly string[]): readonly string[] {
    return [...this.lines]
      .filter(([key, line]) => key.startsWith(`${table} `) && texts.every((text) => line.includes(text)))
      .map(([key]) => key.slice(table.length + 1));
  }

  /** Names of the tables that have rows. */
  tables(): readonly string[] {
    return [...new Set([...this.lines.keys()].map((key) => key.slice(0, key.indexOf(' '))))];
  }

  /** What is different in `now`, as lines of text; empty when nothing is. */
  difference(now: NorthboundRows): readonly string[] {
    const gone = [...this.lines].filter(([key]) => !now.lines.has(key)).map(([key, line]) => `- ${key} ${line}`);
    const other = [...now.lines].flatMap(([key, line]) => {
      const before = this.lines.get(key);
      if (before === line) return [];
      return before === undefined ? [`+ ${key} ${line}`] : [`- ${key} ${before}`, `+ ${key} ${line}`];
    });
    return [...gone, ...other];
  }
}

/**
 * Reads the rows that Ovenbird wrote: those marked `vendor=ovenbird`, and in tables without external_ids those named
 * `ovenbird_*`. Columns that northd fills in are in them as well.
 */
export async function ourRows(lab: TestLab): Promise<NorthboundRows> {
  return await readRows(lab, (line) => line.includes('"vendor","ovenbird"') || line.includes('"ovenbird_'));
}

/** {@link ourRows} once northd says of all ports that they are up, which it does a little after a pod is Ready. */
export async function settledRows(lab: TestLab): Promise<NorthboundRows> {
  return await lab.waitFor(
    'all ports are up',
    async () => {
      const rows = await ourRows(lab);
      const down = rows.find('Logical_Switch_Port', '"up":false');
      return down.length === 0 ? rows : `down: ${down.join(' ')}`;
    },
    30_000,
  );
}

/** Reads all rows but NB_Global, Connection and SSL, which hold no network. */
export async function allRows(lab: TestLab): Promise<NorthboundRows> {
  return await readRows(lab, () => true);
}

async function readRows(lab: TestLab, wanted: (line: string) => boolean): Promise<NorthboundRows> {
  const database = `unix:${lab.layout.central.northbound}`;
  const text = await run(['ovsdb-client', '--format=json', '--timeout=30', 'dump', database, 'OVN_Northbound']);
  const lines = new Map<string, string>();
  for (const tableText of text.split('\n').filter((line) => line !== '')) {
    const { caption, headings, data } = JSON.parse(tableText) as DumpedTable;
    const table = caption.replace(/ table$/, '');
    if (['NB_Global', 'Connection', 'SSL'].includes(table)) continue;
    const id = headings.indexOf('_uuid');
    for (const row of data) {
      const line = JSON.stringify(Object.fromEntries(headings.map((heading, at) => [heading, row[at]])));
      if (wanted(line)) lines.set(`${table} ${(row[id] as readonly [string, string])[1]}`, line);
    }
  }
  return new NorthboundRows(lines);
}
