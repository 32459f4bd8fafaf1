import type { OvnNorthbound, OvnSouthbound, Replica } from '@ovenbird/ovsdb';
import { describe, expect, it } from 'vitest';
import { FlowLookup } from './flow-lookup.ts';

type FakeRow = { readonly _uuid: string; readonly [column: string]: unknown };
type Change = { readonly uuid: string; readonly old?: FakeRow; readonly new?: FakeRow };

/** A replica of rows that a test changes. */
class FakeReplica {
  generation = 1;
  readonly #tables = new Map<string, Map<string, FakeRow>>();
  readonly #listeners = new Map<string, ((changes: readonly Change[]) => void)[]>();

  put(name: string, row: FakeRow): void {
    const rows = this.#tables.get(name) ?? new Map<string, FakeRow>();
    this.#tables.set(name, rows);
    const old = rows.get(row._uuid);
    rows.set(row._uuid, row);
    this.#tell(name, old === undefined ? { uuid: row._uuid, new: row } : { uuid: row._uuid, old, new: row });
  }

  remove(name: string, uuid: string): void {
    const old = this.#tables.get(name)?.get(uuid);
    this.#tables.get(name)?.delete(uuid);
    if (old !== undefined) this.#tell(name, { uuid, old });
  }

  table(name: string): unknown {
    const rows = (): readonly FakeRow[] => [...(this.#tables.get(name)?.values() ?? [])];
    return {
      rows,
      get: (uuid: string) => this.#tables.get(name)?.get(uuid),
      find: (column: string, value: unknown) => rows().filter((row) => row[column] === value),
      onChange: (listener: (changes: readonly Change[]) => void) =>
        this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]),
    };
  }

  #tell(name: string, change: Change): void {
    for (const listener of this.#listeners.get(name) ?? []) listener([change]);
  }
}

const uuid = (prefix: string): string => `${prefix}-0000-4000-8000-000000000000`;
const acl = (prefix: string, owner: string, more: Readonly<Record<string, unknown>> = {}): FakeRow => ({
  _uuid: uuid(prefix),
  name: 'a name',
  direction: 'to-lport',
  priority: 2000,
  match: 'outport == @np && ip',
  action: 'drop',
  external_ids: new Map([
    ['ovenbird/owner', owner],
    ['rule', 'ingress/drop'],
  ]),
  ...more,
});
const flow = (prefix: string, ids: Readonly<Record<string, string>>, pipeline = 'egress'): FakeRow => ({
  _uuid: uuid(prefix),
  pipeline,
  external_ids: new Map(Object.entries({ 'stage-name': 'ls_out_acl', ...ids })),
});

function world(): { northbound: FakeReplica; southbound: FakeReplica; lookup: FlowLookup } {
  const northbound = new FakeReplica();
  const southbound = new FakeReplica();
  const lookup = new FlowLookup(
    northbound as unknown as Replica<OvnNorthbound>,
    southbound as unknown as Replica<OvnSouthbound>,
  );
  return { northbound, southbound, lookup };
}

function switches(northbound: FakeReplica, southbound: FakeReplica, acls: Readonly<Record<string, string>>): void {
  for (const [index, [name, prefix]] of Object.entries(acls).entries()) {
    const ls = uuid(`5000000${index}`);
    northbound.put('Logical_Switch', { _uuid: ls, acls: [uuid(prefix)] });
    const ids = new Map([
      ['logical-switch', ls],
      ['name', name],
    ]);
    southbound.put('Datapath_Binding', { _uuid: uuid(`6000000${index}`), tunnel_key: index + 1, external_ids: ids });
  }
}

describe('FlowLookup', () => {
  it('names the rule behind a cookie, with its object and its direction as seen from the pod', () => {
    const { northbound, southbound, lookup } = world();
    southbound.put('Logical_Flow', flow('c473b407', { 'stage-hint': 'ad1002b8' }));
    northbound.put('ACL', acl('ad1002b8', 'NetworkPolicy/team/guard'));
    switches(northbound, southbound, { 'ovn-default': '99999999' });
    expect(lookup.find('c473b407', 1)).toEqual({
      stage: 'ls_out_acl',
      datapath: 'ovn-default',
      rule: {
        kind: 'NetworkPolicy',
        namespace: 'team',
        name: 'guard',
        rule: 'ingress/drop',
        direction: 'ingress',
        action: 'drop',
      },
    });
    expect(lookup.find('00000000', 1)).toBeUndefined();
  });

  it('names cluster-wide objects without a namespace, and ACLs of others by their name', () => {
    const { northbound, southbound, lookup } = world();
    southbound.put('Logical_Flow', flow('aaaaaaaa', { 'stage-hint': '11111111' }));
    southbound.put('Logical_Flow', flow('bbbbbbbb', { 'stage-hint': '22222222' }));
    northbound.put('ACL', acl('11111111', 'Subnet/coast', { action: 'allow-related', direction: 'from-lport' }));
    northbound.put('ACL', acl('22222222', '', { external_ids: new Map(), name: 'theirs' }));
    expect(lookup.find('aaaaaaaa', 1)?.rule).toMatchObject({
      kind: 'Subnet',
      namespace: '',
      name: 'coast',
      direction: 'egress',
      action: 'allow',
    });
    expect(lookup.find('bbbbbbbb', 1)?.rule).toMatchObject({ kind: '', namespace: '', name: '', rule: 'theirs' });
  });

  it('gives each switch its own of equal ACLs that northd made one flow of', () => {
    const { northbound, southbound, lookup } = world();
    southbound.put('Logical_Flow', flow('c473b407', { 'stage-hint': '11111111' }));
    northbound.put('ACL', acl('11111111', 'Subnet/one'));
    northbound.put('ACL', acl('22222222', 'Subnet/two'));
    switches(northbound, southbound, { one: '11111111', two: '22222222' });
    expect(lookup.find('c473b407', 1)?.rule?.name).toBe('one');
    expect(lookup.find('c473b407', 2)?.rule?.name).toBe('two');
  });

  it('follows the databases, and guesses nothing where two rows have one prefix or the ACL is gone', () => {
    const { northbound, southbound, lookup } = world();
    const twin = 'c473b407-0000-4000-8000-000000000001';
    southbound.put('Logical_Flow', flow('c473b407', { 'stage-hint': '11111111' }));
    expect(lookup.find('c473b407', 1)).toBeUndefined();
    northbound.put('ACL', acl('11111111', 'Subnet/one'));
    expect(lookup.find('c473b407', 1)?.rule?.name).toBe('one');
    southbound.put('Logical_Flow', { ...flow('c473b407', {}), _uuid: twin });
    expect(lookup.find('c473b407', 1)).toBeUndefined();
    southbound.remove('Logical_Flow', twin);
    expect(lookup.find('c473b407', 1)?.rule?.name).toBe('one');
    southbound.remove('Logical_Flow', uuid('c473b407'));
    expect(lookup.find('c473b407', 1)).toBeUndefined();
  });

  it('lists the stages that exist, by flows that every node has', () => {
    const { southbound, lookup } = world();
    southbound.put('Logical_Flow', flow('aaaaaaaa', { 'stage-hint': '11111111' }));
    southbound.put('Logical_Flow', flow('bbbbbbbb', {}));
    southbound.put('Logical_Flow', flow('cccccccc', { 'stage-name': 'ls_in_l2_unknown' }, 'ingress'));
    expect(lookup.stages()).toEqual([
      { name: 'ls_out_acl', acl: true, direction: 'ingress', reason: 'conntrack', examples: ['bbbbbbbb'] },
      {
        name: 'ls_in_l2_unknown',
        acl: false,
        direction: 'egress',
        reason: 'unknown-destination',
        examples: ['cccccccc'],
      },
    ]);
  });
});
