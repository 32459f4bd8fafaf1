/** How tables are configured: eviction and vacancy (OpenFlow 1.5.1 §7.3.3, §7.3.5.17, §7.4.5). */
import { numberFor, type Words, wordFor } from '../layout.ts';
import { erase, type MessageBase, type MessageBody, type MessageSpec, multipart, standard } from '../message-spec.ts';
import { type RawProperty, readProperties, writeProperties } from '../property.ts';
import { Reader } from '../reader.ts';
import { bits, decimal, part, readScalar, type Scalar, type Text, type TextItem, texts, word } from '../text.ts';
import { OF14 } from '../version.ts';
import { Writer } from '../writer.ts';

/** How a table is configured (1.4). */
export interface TableDesc {
  readonly tableId: number;
  readonly config: number;
  readonly properties: readonly RawProperty[];
}

/** How tables are configured (1.4). */
export interface TableDescReply extends MessageBase {
  readonly type: 'table_desc_reply';
  readonly more?: boolean | undefined;
  readonly tables: readonly TableDesc[];
}

/** A table filled up, or has room again (1.4). */
export interface TableStatus extends MessageBase {
  readonly type: 'table_status';
  readonly reason: 'vacancy_down' | 'vacancy_up' | number;
  readonly table: TableDesc;
}

/** Configures a table. */
export interface TableMod extends MessageBase {
  readonly type: 'table_mod';
  readonly tableId: number;
  readonly config: number;
  readonly properties?: readonly RawProperty[] | undefined;
}

/** OFPTC_ bits. */
const EVICTION = 4;
const VACANCY_EVENTS = 8;

const PROPERTY = { eviction: 2, vacancy: 3 } as const;

/** By which a switch chooses what to evict (OFPTMPEF14_). */
const EVICTION_FLAGS: Scalar<number> = bits(
  [
    [1, 'OTHER'],
    [2, 'IMPORTANCE'],
    [4, 'LIFETIME'],
  ],
  '|',
);

/** In percent; `vacancy` is how much is free now. */
interface Vacancy {
  readonly down: number;
  readonly up: number;
  readonly vacancy: number;
}

function evictionOf(properties: readonly RawProperty[] = []): number | undefined {
  const data = properties.find(({ propertyType }) => propertyType === PROPERTY.eviction)?.data;
  return data === undefined || data.length < 4 ? undefined : new Reader(data).u32();
}

function vacancyOf(properties: readonly RawProperty[] = []): Vacancy {
  const data = properties.find(({ propertyType }) => propertyType === PROPERTY.vacancy)?.data;
  const [down = 0, up = 0, vacancy = 0] = data ?? [];
  return { down, up, vacancy };
}

function evictionProperty(flags: number): RawProperty {
  const w = new Writer();
  w.u32(flags);
  return { propertyType: PROPERTY.eviction, data: w.take() };
}

function vacancyProperty({ down, up, vacancy }: Vacancy): RawProperty {
  return { propertyType: PROPERTY.vacancy, data: Uint8Array.of(down, up, vacancy, 0) };
}

const ON_OFF: Scalar<boolean> = {
  pattern: /on|off/y,
  what: 'on or off',
  format: (on) => (on ? 'on' : 'off'),
  parse: (text) => text === 'on',
};

const percents = texts<Vacancy>();
const PERCENTS: Text<Vacancy> = percents.text` vacancy_down=${percents.is('down', decimal)}% vacancy_up=${percents.is('up', decimal)}% vacancy=${percents.is('vacancy', decimal)}%`;
const LIMITS: Text<Vacancy> = percents.text` vacancy:${percents.is('down', decimal)},${percents.is('up', decimal)}${percents.none('vacancy', 0)}`;

const desc = texts<TableDesc>();

/** Configuration bits and properties are printed together. */
const CONFIG: TextItem<TableDesc> = part(
  ({ config, properties }, c) => {
    const flags = evictionOf(properties);
    const eviction = `${(config & EVICTION) === 0 ? 'off' : 'on'} eviction_flags=${flags === undefined ? '(default)' : EVICTION_FLAGS.format(flags, c)}`;
    const vacancy = (config & VACANCY_EVENTS) === 0 ? 'off' : `on${PERCENTS.format(vacancyOf(properties), c)}`;
    return `   eviction=${eviction}\n   vacancy=${vacancy}\n`;
  },
  (r, into, c) => {
    const properties: RawProperty[] = [];
    r.expect('   eviction=');
    let config = readScalar(r, ON_OFF, c) ? EVICTION : 0;
    r.expect(' eviction_flags=');
    if (!r.accept('(default)')) properties.push(evictionProperty(readScalar(r, EVICTION_FLAGS, c)));
    r.expect('\n   vacancy=');
    if (readScalar(r, ON_OFF, c)) {
      config |= VACANCY_EVENTS;
      properties.push(vacancyProperty(PERCENTS.parse(r, c)));
    }
    Object.assign(into, { config, properties });
  },
);

const DESC: Text<TableDesc> = desc.text`  table ${desc.is('tableId', decimal)}:\n${CONFIG}`;
const descText = texts<MessageBody<TableDescReply>>();

function readDesc(r: Reader): TableDesc {
  const length = r.u16();
  if (length < 8) throw r.malformed(`a table of ${length} bytes`);
  const end = r.narrow(length - 2);
  const tableId = r.u8();
  r.skip(1);
  const table = { tableId, config: r.u32(), properties: readProperties(r, () => false) };
  r.widen(end);
  return table;
}

function writeDesc(w: Writer, { tableId, config, properties }: TableDesc): void {
  const start = w.length;
  w.u16(0);
  w.u8(tableId);
  w.zeros(1);
  w.u32(config);
  writeProperties(w, properties, () => undefined);
  w.patch16(start, w.length - start);
}

const DESC_REPLY: MessageSpec<TableDescReply> = {
  type: 'table_desc_reply',
  codes: [multipart('OFPST_TABLE_DESC', 'reply', 14, { from: OF14 })],
  read: (r) => {
    const tables: TableDesc[] = [];
    while (r.left > 0) tables.push(readDesc(r));
    return { tables };
  },
  write: (w, { tables }) => {
    for (const table of tables) writeDesc(w, table);
  },
  text: descText.text`${descText.each('tables', '\n', DESC)}`,
};

const statusText = texts<MessageBody<TableStatus>>();
const REASON: Scalar<TableStatus['reason']> = word<TableStatus['reason']>([
  ['vacancy_down', 'VACANCY_DOWN'],
  ['vacancy_up', 'VACANCY_UP'],
]);
const REASONS: Words = { vacancy_down: 3, vacancy_up: 4 };

const TABLE_STATUS: MessageSpec<TableStatus> = {
  type: 'table_status',
  codes: [standard('OFPT_TABLE_STATUS', 31, { from: OF14 })],
  read: (r) => {
    const reason = wordFor(REASONS, r.u8()) as TableStatus['reason'];
    r.skip(7);
    return { reason, table: readDesc(r) };
  },
  write: (w, { reason, table }) => {
    w.u8(numberFor(REASONS, reason, 'reason'));
    w.zeros(7);
    writeDesc(w, table);
  },
  text: statusText.text` reason=${statusText.is('reason', REASON)}\ntable_desc:-\n${statusText.nested('table', DESC)}`,
};

const ALL_TABLES = 0xff;
const modText = texts<MessageBody<TableMod>>();

/** All tables, or the number of one. */
const ALL_OR_ONE: Scalar<number> = {
  pattern: /\s*table_id(?:: ALL_TABLES|=\d+)/y,
  what: 'a table',
  format: (table) => (table === ALL_TABLES ? ' table_id: ALL_TABLES' : ` table_id=${table}`),
  parse: (text, c) => (text.includes('ALL') ? ALL_TABLES : decimal.parse(text.replace(/.*=/, ''), c)),
};

/** Open vSwitch prints the flags of eviction, where there are some, as if they were the choice between on and off. */
const FLAGS_AS_CHOICE = ['', ', eviction=on', ', eviction=off'];

const MODIFIED: TextItem<MessageBody<TableMod>> = part(
  ({ config, properties }, c) => {
    if (c.version < OF14) return '';
    const flags = evictionOf(properties);
    const choice = flags ?? ((config & EVICTION) === 0 ? 2 : 1);
    const vacancy = (config & VACANCY_EVENTS) === 0 ? 'off' : `on${LIMITS.format(vacancyOf(properties), c)}`;
    return `${FLAGS_AS_CHOICE[choice] ?? ', eviction=***error***'}, vacancy=${vacancy}`;
  },
  (r, into, c) => {
    into['config'] = 0;
    if (c.version < OF14) return;
    r.expect(', eviction=');
    let config = readScalar(r, ON_OFF, c) ? EVICTION : 0;
    r.expect(', vacancy=');
    if (readScalar(r, ON_OFF, c)) {
      config |= VACANCY_EVENTS;
      into['properties'] = [vacancyProperty(LIMITS.parse(r, c))];
    }
    into['config'] = config;
  },
);

const TABLE_MOD: MessageSpec<TableMod> = {
  type: 'table_mod',
  codes: [standard('OFPT_TABLE_MOD', 17)],
  read: (r) => {
    const tableId = r.u8();
    r.skip(3);
    return { tableId, config: r.u32(), properties: readProperties(r, () => false) };
  },
  write: (w, { tableId, config, properties }) => {
    w.u8(tableId);
    w.zeros(3);
    w.u32(config);
    writeProperties(w, properties, () => undefined);
  },
  text: modText.text`${modText.is('tableId', ALL_OR_ONE)}${MODIFIED}`,
};

export const TABLE_CONFIG_MESSAGES: readonly MessageSpec<MessageBase>[] = [
  erase(DESC_REPLY),
  erase(TABLE_STATUS),
  erase(TABLE_MOD),
];
