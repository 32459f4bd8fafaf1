import { ipFamily } from '@ovenbird/crds';
import { policyPriority } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { nodePortGroupName, nodePortName } from './names.ts';

/** Node → its port on the join subnet, the port group of its pods, and one egress policy per family. */
export function nodeUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Node',
    rank: 2,
    lane: 'bulk',
    compile(name, reader) {
      const node = reader.get('Node', name);
      if (node === undefined) return [];
      const rows = context.builder('Node', name);
      const group = nodePortGroupName(name);
      rows.row('Port_Group', group, { name: group }, { node: name });

      const address = reader.get('NodeAddress', name);
      const join = reader.get('UsableSubnet', context.joinSubnet);
      if (address === undefined || join === undefined) return rows.outputs;
      const port = rows.row(
        'Logical_Switch_Port',
        nodePortName(name),
        {
          name: nodePortName(name),
          addresses: [[address.mac, address.v4, address.v6].filter((part) => part !== undefined).join(' ')],
          options: new Map([['requested-chassis', name]]),
        },
        { node: name, 'ovenbird/uid': address.uid, 'ovenbird/subnet': join.name },
      );
      rows.member(context.switch(join.name), 'ports', port.uuid);

      const router = context.router(context.defaultVpc);
      for (const [family, nexthop] of [
        [4, address.v4],
        [6, address.v6],
      ] as const) {
        if (nexthop === undefined) continue;
        const ip = `ip${family}`;
        const egress = rows.row('Logical_Router_Policy', `egress_${ip}`, {
          priority: policyPriority.egress,
          match: `${ip}.src == $${group}_${ip}`,
          action: 'reroute',
          nexthops: [nexthop],
        });
        rows.member(router, 'policies', egress.uuid);
        const own = node.addresses.filter((text) => ipFamily(text) === family);
        if (own.length === 0) continue;
        const policy = rows.row('Logical_Router_Policy', `node_${ip}`, {
          priority: policyPriority.node,
          match: `${ip}.dst == {${own.join(', ')}}`,
          action: 'reroute',
          nexthops: [nexthop],
        });
        rows.member(router, 'policies', policy.uuid);
      }
      return rows.outputs;
    },
  };
}
