import type { NorthboundRows } from '../../src/northbound-rows.ts';

/** Mark of the rows that the reference writes (external_ids:vendor), so that Ovenbird leaves them alone. */
const referenceVendor = 'bench';

/** The columns of a port that the controller writes for a pod. */
const columns = ['addresses', 'port_security', 'options', 'external_ids'] as const;
/** Where a pod's port is a member; the columns' names. */
const parents = { Logical_Switch: 'ports', Port_Group: 'ports' } as const;

/** A cell as ovsdb-client(1) prints it (RFC 7047, 5.1). */
type Cell = string | number | boolean | readonly [string, unknown];

/** What the northbound database holds for one pod. */
export interface PodRows {
  readonly name: string;
  /** `column=value` as `ovn-nbctl create` takes them, with the reference's mark in external_ids, whoever wrote them. */
  readonly columns: readonly string[];
  /** Names of the sets that the port is in, by table. */
  readonly switches: readonly string[];
  readonly groups: readonly string[];
}

/** A value as `ovn-nbctl` takes it (ovn-nbctl(8), "Database Values"). */
function written(value: unknown): string {
  if (!Array.isArray(value)) return JSON.stringify(value);
  const [kind, content] = value as [string, unknown[]];
  if (kind === 'set') return `[${content.map(written).join(',')}]`;
  if (kind !== 'map') return String(content);
  const pairs = (content as [string, string][]).map(([key, text]) => [key, key === 'vendor' ? referenceVendor : text]);
  return `{${pairs.map((pair) => pair.map(written).join('=')).join(',')}}`;
}

/** Elements of a cell that is a set of references, a lone one included. */
function references(cell: Cell | undefined): readonly string[] {
  if (!Array.isArray(cell)) return [];
  const [kind, content] = cell as [string, unknown];
  return kind === 'uuid' ? [String(content)] : (content as [string, string][]).map(([, uuid]) => uuid);
}

/**
 * What is in the database for the pods of a namespace.
 * @param before the database without them
 * @throws Error when it differs from `before` by anything that is not returned: the reference would not write the same
 */
export function podRows(before: NorthboundRows, now: NorthboundRows, namespace: string): readonly PodRows[] {
  const ports = new Map<string, PodRows & { readonly switches: string[]; readonly groups: string[] }>();
  for (const [key, line] of now.lines) {
    if (!key.startsWith('Logical_Switch_Port ')) continue;
    const row = JSON.parse(line) as Readonly<Record<string, Cell>>;
    const name = String(row['name']);
    if (!name.endsWith(`.${namespace}`)) continue;
    ports.set(key.slice('Logical_Switch_Port '.length), {
      name,
      columns: columns.map((column) => `${column}=${written(row[column])}`),
      switches: [],
      groups: [],
    });
  }
  for (const [key, line] of now.lines) {
    const [table = '', uuid = ''] = key.split(' ');
    if (table === 'Logical_Switch_Port' && ports.has(uuid)) continue;
    if (before.lines.get(key) === line) continue;
    const column = table in parents ? parents[table as keyof typeof parents] : undefined;
    const old = JSON.parse(before.lines.get(key) ?? '{}') as Readonly<Record<string, Cell>>;
    const row = JSON.parse(line) as Readonly<Record<string, Cell>>;
    const others = Object.keys(row).filter(
      (name) => name !== column && JSON.stringify(row[name]) !== JSON.stringify(old[name]),
    );
    const members = references(column === undefined ? undefined : row[column]);
    const known = references(column === undefined ? undefined : old[column]);
    const rest = members.filter((member) => !ports.has(member));
    if (others.length > 0 || rest.length !== known.length || rest.some((member) => !known.includes(member))) {
      throw new Error(`the pods of ${namespace} have more than ports and memberships: ${table} ${line}`);
    }
    for (const member of members) {
      ports.get(member)?.[table === 'Logical_Switch' ? 'switches' : 'groups'].push(String(row['name']));
    }
  }
  for (const { switches, groups } of ports.values()) {
    switches.sort();
    groups.sort();
  }
  return [...ports.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The arguments of one `ovn-nbctl` that writes such rows in one transaction. `create` and `add` are its cheapest commands for
 * that: unlike `lsp-add` they do not look for a port of the same name.
 */
export function referenceCommands(ports: readonly PodRows[]): readonly string[] {
  return ports.flatMap(({ name, columns, switches, groups }, at) => {
    return [
      ...(at === 0 ? [] : ['--']),
      ...[`--id=@p${at}`, 'create', 'Logical_Switch_Port', `name=${JSON.stringify(name)}`, ...columns],
      ...switches.flatMap((on) => ['--', 'add', 'Logical_Switch', on, 'ports', `@p${at}`]),
      ...groups.flatMap((group) => ['--', 'add', 'Port_Group', group, 'ports', `@p${at}`]),
    ];
  });
}
