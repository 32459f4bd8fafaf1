import { planPolicy, type RulePlan } from '../policy/plan.ts';
import { aclColumns } from './acl-columns.ts';
import { aclPriority, aclTier } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { logColumns, logMeter } from './log-meter.ts';
import { aclName, policyGroupName } from './names.ts';
import { isolationMatch, ruleMatch } from './policy-match.ts';

/**
 * NetworkPolicy → one Port_Group, an explicit drop per isolated direction, and an allow per rule. Which pods and peers it
 * is about are memberships, emitted by the pods; a change of rules updates rows in place.
 */
export function networkPolicyUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'NetworkPolicy',
    rank: 4,
    lane: 'bulk',
    compile(key, reader) {
      const policy = reader.get('NetworkPolicy', key);
      if (policy === undefined) return [];
      const rows = context.builder('NetworkPolicy', key);
      const { namespace } = policy;
      const group = policyGroupName(namespace, policy.name);
      const ids = { namespace, policy: policy.name };
      const portGroup = rows.row('Port_Group', group, { name: group }, ids);
      const acl = (suffix: string, direction: 'ingress' | 'egress', more: Acl, holder = portGroup): void => {
        const row = rows.row(
          'ACL',
          `${direction}_${suffix}`,
          {
            name: aclName('netpol', key, `${direction}/${suffix}`),
            ...aclColumns[direction],
            ...context.tier(aclTier.network),
            ...more,
            ...(policy.log?.[more.action === 'drop' ? 'drop' : 'allow'] === true ? logColumns('netpol', key) : {}),
          },
          { ...ids, rule: `${direction}/${suffix}` },
        );
        rows.member(holder, 'acls', row.uuid);
      };
      for (const direction of ['ingress', 'egress'] as const) {
        if (policy[direction] === undefined) continue;
        acl('drop', direction, {
          priority: aclPriority.policyDrop,
          match: isolationMatch(direction, group),
          action: 'drop',
        });
      }
      for (const rule of planPolicy(policy, reader, context).rules) {
        const { subjects } = rule;
        const name = subjects === undefined ? group : context.podSetGroupName(subjects);
        const match = ruleMatch(rule, name, (block) => reader.get('NodeBlock', block) !== undefined);
        if (match === undefined) continue;
        // In the group that it names: on a switch without ports of that group the name means nothing to ovn-controller.
        const holder = subjects === undefined ? portGroup : context.podSetGroup(subjects);
        const columns = { priority: aclPriority.policyAllow, match, action: 'allow-related' } as const;
        acl(suffixOf(rule), rule.direction, columns, holder);
      }
      if (policy.log !== undefined) logMeter(rows, 'netpol', key, policy.log.rate);
      return rows.outputs;
    },
  };
}

interface Acl {
  readonly priority: number;
  readonly match: string;
  readonly action: 'drop' | 'allow-related';
}

/** Part of an ACL's natural key, so that a rule's row keeps its UUID over edits. */
function suffixOf({ index, named, vpc }: RulePlan): string {
  const parts = [String(index)];
  if (named !== undefined) parts.push(named.name, named.protocol, String(named.number));
  if (vpc !== undefined) parts.push(vpc);
  return parts.join('_');
}
