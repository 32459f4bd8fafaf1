import { type ClusterPolicyKind, clusterPolicyKey, type PlannedAcl } from '../policy/cluster-model.ts';
import { aclColumns } from './acl-columns.ts';
import { aclTier } from './bands.ts';
import { clusterMatch } from './cluster-match.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';

/** Cluster policy of one kind → one Port_Group and an ACL per rule, or several where rules before it pass. */
export function clusterPolicyUnit(context: CompileContext, kind: ClusterPolicyKind): UnitDefinition {
  return {
    kind,
    rank: 4,
    lane: 'bulk',
    compile(name, reader) {
      const policy = reader.get(kind, name);
      const plan = reader.get('ClusterPlan', clusterPolicyKey({ kind, name }));
      if (policy === undefined || plan === undefined || plan.unfit !== undefined) return [];
      const rows = context.builder(kind, name);
      const group = context.podSetGroupName(plan.subjects);
      const ids = { kind, policy: name };
      const portGroup = rows.row('Port_Group', group, { name: group }, ids);
      for (const acl of plan.acls) {
        const { direction, index, action, priority, rule } = acl;
        const match = clusterMatch(acl, acl.subjects === undefined ? group : context.podSetGroupName(acl.subjects));
        if (match === undefined) continue;
        const key = keyOf(acl);
        const row = rows.row(
          'ACL',
          key,
          {
            name: `${kind}/${name}/${key}`.slice(0, 63),
            ...aclColumns[direction],
            ...context.tier(plan.tier === 'Admin' ? aclTier.admin : aclTier.baseline),
            priority,
            match,
            action,
          },
          { ...ids, rule: `${direction}/${index}`, ...(rule === undefined ? {} : { 'ovenbird/rule-name': rule }) },
        );
        // In the group that it names: on a switch without ports of that group the name means nothing to ovn-controller.
        rows.member(acl.subjects === undefined ? portGroup : context.podSetGroup(acl.subjects), 'acls', row.uuid);
      }
      return rows.outputs;
    },
  };
}

const keyOf = ({ direction, index, part, vpc }: PlannedAcl): string =>
  [direction, index, part, ...(vpc === undefined ? [] : [vpc])].join('_');
