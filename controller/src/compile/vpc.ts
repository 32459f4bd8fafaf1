import { lastUsable } from '../alloc/net.ts';
import type { FamilyNet } from '../store/model.ts';
import { policyPriority } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { balancerGroupName, internalSetName, routerName, routerPortName } from './names.ts';

/** Vpc → Logical_Router. The default VPC's router also carries what distributed egress needs. */
export function vpcUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Vpc',
    rank: 0,
    lane: 'bulk',
    compile(name, reader) {
      const vpc = reader.get('Vpc', name);
      if (vpc === undefined) return [];
      // A deleted Vpc keeps its router until its last subnet is gone, or deleting in any order would cut running pods.
      if (vpc.deleting && reader.index('UsableSubnet', 'vpc', name).length === 0) return [];
      const rows = context.builder('Vpc', name);
      const router = rows.row('Logical_Router', routerName(name), {
        name: routerName(name),
        // ovn-nb(5): age out learnt neighbours, learn them on demand only, so that MAC_Binding does not grow without end.
        options: new Map([
          ['always_learn_from_arp_request', 'false'],
          ['dynamic_neigh_routers', 'true'],
          ['mac_binding_age_threshold', '300'],
        ]),
      });
      if (name !== context.defaultVpc) return rows.outputs;
      // Members come from what is balanced; while there is none, no packet takes the way through conntrack for it.
      rows.bareRow('Load_Balancer_Group', balancerGroupName(name), { name: balancerGroupName(name) });

      const join = reader.get('UsableSubnet', context.joinSubnet);
      const families: readonly (readonly [4 | 6, FamilyNet | undefined])[] = [
        [4, join?.v4],
        [6, join?.v6],
      ];
      for (const [family, net] of families) {
        const ip = `ip${family}`;
        const set = internalSetName(name, family);
        // Members come from the subnets' own units.
        rows.row('Address_Set', set, { name: set });
        const policy = rows.row('Logical_Router_Policy', `internal_${ip}`, {
          priority: policyPriority.internal,
          match: `${ip}.dst == $${set}`,
          action: 'allow',
        });
        rows.member(router, 'policies', policy.uuid);
        if (net === undefined) continue;
        // lr_in_ip_routing drops what has no route before lr_in_policy can re-route it, so a default route must exist; its
        // next hop is an address of the join subnet that is never handed out.
        const route = rows.row('Logical_Router_Static_Route', `default_${ip}`, {
          ip_prefix: family === 4 ? '0.0.0.0/0' : '::/0',
          nexthop: lastUsable(net.cidr),
          output_port: routerPortName(name, context.joinSubnet),
        });
        rows.member(router, 'static_routes', route.uuid);
      }
      return rows.outputs;
    },
  };
}
