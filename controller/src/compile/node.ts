import { cidrContains, ipFamily } from '@ovenbird/crds';
import { selects } from '../policy/selector.ts';
import { aclPriority, aclTier, policyPriority } from './bands.ts';
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
      const portGroup = rows.row('Port_Group', group, { name: group }, { node: name });

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

      // Only while some policy or SecurityGroup isolates pods: the first ACL makes northd send every packet of a switch through conntrack.
      if (reader.list('Isolation').some(({ direction }) => direction === 'Ingress')) {
        const own = [address.v4, address.v6, ...node.addresses].filter((text) => text !== undefined);
        const terms = ([4, 6] as const).flatMap((family) => {
          const texts = [...new Set(own.filter((text) => ipFamily(text) === family))];
          return texts.length === 0 ? [] : [`ip${family}.src == {${texts.join(', ')}}`];
        });
        const acl = rows.row(
          'ACL',
          'node_to_pods',
          {
            name: `node/${name}`.slice(0, 63),
            direction: 'to-lport',
            ...context.tier(aclTier.node),
            priority: aclPriority.nodeToPod,
            match: `outport == @${group} && (${terms.join(' || ')})`,
            action: 'allow-related',
          },
          { node: name },
        );
        rows.member(portGroup, 'acls', acl.uuid);
      }
      for (const block of reader.list('NodeBlock')) {
        const mine = node.addresses.some((text) => block.cidrs.some((cidr) => cidrContains(cidr, text)));
        const nodeAddress = block.family === 4 ? address.v4 : address.v6;
        if (mine && nodeAddress !== undefined) rows.member(context.nodeBlock(block), 'addresses', nodeAddress);
      }

      for (const set of reader.list('NodeSet')) {
        if (!selects(set.nodes, node.labels) || set.not.some((not) => selects(not, node.labels))) continue;
        for (const text of new Set([address.v4, address.v6, ...node.addresses, ...node.externalAddresses]))
          if (text !== undefined) rows.member(context.nodeSet(set, ipFamily(text)), 'addresses', text);
      }

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
