import fc from 'fast-check';
import { type Output, rowUuid, type Value } from '../rows.ts';
import type { NbOp, NbRow } from '../store.ts';

/** UID of the cluster of all tests. */
export const CLUSTER = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

/** `SEED=` of the environment repeats a run; fast-check prints the seed of one that failed. */
export function seed(): { seed?: number } {
  const text = process.env['SEED'];
  return text === undefined ? {} : { seed: Number(text) };
}

type Columns = Readonly<Record<string, Value>>;

export function row(table: string, key: string, owner: string, columns: Columns): Output & { kind: 'row' } {
  return { kind: 'row', table, key, owner, uuid: rowUuid(CLUSTER, table, key, owner), columns };
}

export function member(parent: { table: string; uuid: string }, column: string, value: string, owner: string): Output {
  return { kind: 'member', table: parent.table, uuid: parent.uuid, column, value, owner };
}

/** The switch of a subnet. */
export function switchRow(subnet: string): Output & { kind: 'row' } {
  return row('Logical_Switch', subnet, `Subnet/${subnet}`, { name: subnet });
}

/** The port group of a node. */
export function groupRow(node: string): Output & { kind: 'row' } {
  return row('Port_Group', node, `Node/${node}`, { name: `node_${node}` });
}

/** What a pod's unit emits: its port, in the subnet's switch and the node's group. */
export function podUnit(name: string, subnet: string, node: string, more: Columns = {}): readonly Output[] {
  const owner = `Pod/default/${name}`;
  const port = row('Logical_Switch_Port', name, owner, {
    name: `${name}.default`,
    addresses: [`0a:00:00:00:00:01 ${name}`],
    options: new Map([['requested-chassis', node]]),
    ...more,
  });
  return [
    port,
    member(switchRow(subnet), 'ports', port.uuid, owner),
    member(groupRow(node), 'ports', port.uuid, owner),
  ];
}

/** Operations that insert a row of somebody else. */
export function foreignInsert(table: string, uuid: string, columns: NbRow): NbOp {
  return { op: 'insert', table, uuid, row: columns };
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const some = (values: readonly string[]): fc.Arbitrary<string[]> => fc.subarray([...values]);

const SUBNETS = names('s', 3);
const NODES = names('n', 2);
const PODS = names('p', 8);
const CIDRS = names('10.0.', 5);

/** Random units by name: switches with ACLs, port groups, an address set shared by its members, and pods. */
export const randomUnits: fc.Arbitrary<ReadonlyMap<string, readonly Output[]>> = fc
  .record({
    subnets: some(SUBNETS),
    nodes: some(NODES),
    cidrs: fc.array(some(CIDRS), { minLength: 2, maxLength: 2 }),
    acls: fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), priority: fc.nat(3), label: fc.nat(2) }), {
      maxLength: 3,
    }),
    aclOwner: fc.constantFrom(...SUBNETS),
    options: fc.dictionary(fc.constantFrom('mcast_snoop', 'mcast_querier', 'ovenbird/x'), fc.constantFrom('1', '2')),
    pods: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom(...PODS),
        subnet: fc.constantFrom(...SUBNETS),
        node: fc.constantFrom(...NODES),
        security: some(['x', 'y', 'z']),
        type: fc.constantFrom('', 'localnet'),
        tag: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      }),
      { selector: ({ name }) => name },
    ),
  })
  .map(({ subnets, nodes, cidrs, acls, aclOwner, options, pods }) => {
    const units = new Map<string, readonly Output[]>();
    for (const subnet of subnets) {
      const owner = `Subnet/${subnet}`;
      const parent = row('Logical_Switch', subnet, owner, {
        name: subnet,
        other_config: new Map(Object.entries(options)),
      });
      const outputs: Output[] = [parent];
      if (subnet === aclOwner) {
        for (const { key, priority, label } of new Map(acls.map((acl) => [acl.key, acl])).values()) {
          const acl = row('ACL', key, owner, { priority, label, direction: 'to-lport', match: '1', action: 'drop' });
          outputs.push(acl, member(parent, 'acls', acl.uuid, owner));
        }
      }
      units.set(owner, outputs);
    }
    for (const node of nodes) units.set(`Node/${node}`, [groupRow(node)]);
    const set = row('Address_Set', 'internal', 'Vpc/v', { name: 'internal' });
    units.set('Vpc/v', [set]);
    cidrs.forEach((values, index) => {
      units.set(
        `Cidrs/${index}`,
        values.map((value) => member(set, 'addresses', value, `Cidrs/${index}`)),
      );
    });
    for (const { name, subnet, node, security, type, tag } of pods) {
      if (!subnets.includes(subnet) || !nodes.includes(node)) continue;
      units.set(
        `Pod/default/${name}`,
        podUnit(name, subnet, node, { port_security: security, type, ...(tag !== undefined && { tag_request: tag }) }),
      );
    }
    return units;
  });
