/** Tables: counters and features (OpenFlow 1.5.1 §7.3.5.4, §7.3.5.18). */
import { type Body, layout } from '../layout.ts';
import {
  erase,
  type MessageBase,
  type MessageBody,
  type MessageCode,
  type MessageSpec,
  multipart,
  NO_TEXT,
} from '../message-spec.ts';
import { type RawProperty, readProperties, writeProperties } from '../property.ts';
import type { Reader } from '../reader.ts';
import { decimal, decimal64, incomplete, type Text, type TextContext, texts } from '../text.ts';
import type { TextReader } from '../text-reader.ts';
import { OF14, OF15, type Version } from '../version.ts';
import type { Writer } from '../writer.ts';

/** Asks about tables. */
export interface TableRequest extends MessageBase {
  readonly type: 'table_stats_request' | 'table_desc_request';
}

/** What a table has seen. */
export interface TableStats {
  readonly tableId: number;
  readonly activeCount: number;
  readonly lookupCount: bigint;
  readonly matchedCount: bigint;
}

/** What tables have seen. */
export interface TableStatsReply extends MessageBase {
  readonly type: 'table_stats_reply';
  readonly more?: boolean | undefined;
  readonly tables: readonly TableStats[];
}

/** What a table can do. */
export interface TableFeatures {
  readonly tableId: number;
  /** 1.5, in requests: 0 replace, 1 modify, 2 enable, 3 disable. */
  readonly command: number;
  readonly features: number;
  /** At most 32 bytes. */
  readonly name: string;
  readonly metadataMatch: bigint;
  readonly metadataWrite: bigint;
  readonly capabilities: number;
  readonly maxEntries: number;
  readonly properties: readonly RawProperty[];
}

/** Asks what tables can do (none in the list), or sets it: that is how tables get names. */
export interface TableFeaturesMessage extends MessageBase {
  readonly type: 'table_features_request' | 'table_features_reply';
  readonly more?: boolean | undefined;
  readonly tables: readonly TableFeatures[];
}

function request(type: TableRequest['type'], code: MessageCode): MessageSpec<TableRequest> {
  return { type, codes: [code], read: () => ({}), write: () => undefined, text: NO_TEXT };
}

const stats = layout<TableStats>();
const statsBody: Body<TableStats> = stats.struct([
  stats.u8('tableId'),
  stats.pad(3),
  stats.u32('activeCount'),
  stats.u64('lookupCount'),
  stats.u64('matchedCount'),
]);

const seen = texts<TableStats>();
const SEEN: Text<TableStats> = seen.text`  table ${seen.is('tableId', decimal)}:\n    active=${seen.is('activeCount', decimal)}, lookup=${seen.is('lookupCount', decimal64)}, matched=${seen.is('matchedCount', decimal64)}\n`;

const STATS_REPLY: MessageSpec<TableStatsReply> = {
  type: 'table_stats_reply',
  codes: [multipart('OFPST_TABLE', 'reply', 3)],
  read: (r, c) => {
    const tables: TableStats[] = [];
    while (r.left > 0) tables.push(statsBody.read(r, c.version));
    return { tables };
  },
  write: (w, { tables }, c) => {
    for (const table of tables) statsBody.write(w, table, c.version);
  },
  text: {
    format: ({ tables }, c) => formatTableStats(tables, c),
    parse: (r, c) => ({ tables: parseTableStats(r, c) }),
  },
};

/** Tables that are like the one before are named together. */
function formatTableStats(tables: readonly TableStats[], c: TextContext): string {
  let text = '';
  let dittos: TableStats[] = [];
  const flush = (): void => {
    const [first] = dittos;
    const last = dittos.at(-1);
    if (first !== undefined && last !== undefined) {
      text +=
        first === last
          ? `\n  table ${first.tableId}: ditto\n`
          : `\n  tables ${first.tableId}...${last.tableId}: ditto\n`;
    }
    dittos = [];
  };
  let previous: TableStats | undefined;
  for (const table of tables) {
    const { activeCount, lookupCount, matchedCount } = table;
    const same =
      previous?.activeCount === activeCount &&
      previous.lookupCount === lookupCount &&
      previous.matchedCount === matchedCount;
    if (same) dittos.push(table);
    else {
      flush();
      text += `\n${SEEN.format(table, c)}`;
    }
    previous = table;
  }
  flush();
  return text;
}

const DITTO = /tables? (\d+)(?:\.\.\.(\d+))?: ditto/y;

/** Reads what `formatTableStats` printed. */
function parseTableStats(r: TextReader, c: TextContext): readonly TableStats[] {
  const tables: TableStats[] = [];
  while (!r.atEnd) {
    const ditto = r.take(DITTO);
    const previous = tables.at(-1);
    if (ditto === undefined || previous === undefined) tables.push(SEEN.parse(r, c));
    else {
      const [first = 0, last = first] = (ditto.match(/\d+/g) ?? []).map(Number);
      if (last > MAX_TABLE) throw r.expected('tables up to 255');
      for (let tableId = first; tableId <= last; tableId += 1) tables.push({ ...previous, tableId });
    }
  }
  return tables;
}

const MAX_TABLE = 0xff;

const NAME_LENGTH = 32;

function readFeatures(r: Reader, version: Version): TableFeatures {
  const length = r.u16();
  if (length < 64) throw r.malformed(`features of a table in ${length} bytes`);
  const end = r.narrow(length - 2);
  const tableId = r.u8();
  const command = version >= OF15 ? r.u8() : 0;
  if (version < OF15) r.skip(1);
  const features = version >= OF15 ? r.u32() : 0;
  if (version < OF15) r.skip(4);
  const name = r.text(NAME_LENGTH);
  const metadataMatch = r.u64();
  const metadataWrite = r.u64();
  const capabilities = r.u32();
  const maxEntries = r.u32();
  const properties = readProperties(r, () => false);
  r.widen(end);
  return { tableId, command, features, name, metadataMatch, metadataWrite, capabilities, maxEntries, properties };
}

function writeFeatures(w: Writer, version: Version, table: TableFeatures): void {
  const start = w.length;
  w.u16(0);
  w.u8(table.tableId);
  w.u8(version >= OF15 ? table.command : 0);
  w.u32(version >= OF15 ? table.features : 0);
  w.text(table.name, NAME_LENGTH);
  w.u64(table.metadataMatch);
  w.u64(table.metadataWrite);
  w.u32(table.capabilities);
  w.u32(table.maxEntries);
  writeProperties(w, table.properties, () => undefined);
  w.patch16(start, w.length - start);
}

function features(type: TableFeaturesMessage['type'], kind: 'request' | 'reply'): MessageSpec<TableFeaturesMessage> {
  return {
    type,
    codes: [multipart('OFPST_TABLE_FEATURES', kind, 12)],
    read: (r, c) => {
      const tables: TableFeatures[] = [];
      while (r.left > 0) tables.push(readFeatures(r, c.version));
      return { tables };
    },
    write: (w, { tables }, c) => {
      for (const table of tables) writeFeatures(w, c.version, table);
    },
    // The properties are lists of everything: names and sizes are what people look for.
    text: incomplete<MessageBody<TableFeaturesMessage>>(
      'what tables can do',
      ({ tables }) =>
        tables
          .map(
            ({ tableId, name, maxEntries }) =>
              `\n  table ${tableId}${name === '' ? '' : ` ("${name}")`}:\n    max_entries=${maxEntries}\n`,
          )
          .join(''),
      { tables: [] },
    ),
  };
}

export const TABLE_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(request('table_stats_request', multipart('OFPST_TABLE', 'request', 3))),
  erase(request('table_desc_request', multipart('OFPST_TABLE_DESC', 'request', 14, { from: OF14 }))),
  erase(STATS_REPLY),
  erase(features('table_features_request', 'request')),
  erase(features('table_features_reply', 'reply')),
];
