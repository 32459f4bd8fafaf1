import type { SecurityGroupStatus } from '@ovenbird/crds';
import { securityGroupName } from '../compile/names.ts';
import type { SecurityGroupLife } from '../security-group/life.ts';
import { groupDirections, type SecurityGroup } from '../security-group/model.ts';
import { remoteProblem } from '../security-group/remote.ts';
import type { State } from '../store/state.ts';
import type { HeldReason, WantedCondition } from './subnet-status.ts';

/** The status of a SecurityGroup: `Ready`, and `RulesHonoured` for rules that name groups that are not there. */
export function securityGroupStatus(
  group: SecurityGroup,
  groups: SecurityGroupLife,
  state: State,
  held: HeldReason,
): { fields: object; conditions: readonly WantedCondition[] } {
  const fields: SecurityGroupStatus = { portGroup: securityGroupName(group.name), vpc: group.vpc };
  const problems = groupDirections.flatMap((direction) =>
    group[direction].flatMap((rule, index) => {
      const problem = 'group' in rule.remote ? remoteProblem(group, rule.remote.group, state) : undefined;
      return problem === undefined ? [] : [`${direction}Rules[${index}]: ${problem}; the rule matches nothing`];
    }),
  );
  const crowded = groups.tooManyParts(group);
  const all = [...problems, ...crowded].slice(0, 5).join('. ');
  const honoured: WantedCondition =
    all === ''
      ? { type: 'RulesHonoured', status: 'True', reason: 'Complete', message: 'every rule is in force' }
      : {
          type: 'RulesHonoured',
          status: 'False',
          reason: problems.length > 0 ? 'RemoteMissing' : 'TooManyParts',
          message: all,
        };
  return { fields, conditions: [ready(group, groups, held), honoured] };
}

function ready(group: SecurityGroup, groups: SecurityGroupLife, held: HeldReason): WantedCondition {
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (group.deleting) {
    const users = groups.holders(group);
    const more = users.length > 5 ? ` and ${users.length - 5} more` : '';
    return condition(
      'False',
      'Deleting',
      users.length === 0 ? 'being removed' : `waits for ${users.slice(0, 5).join(', ')}${more}`,
    );
  }
  const unfit = groups.unfit(group);
  if (unfit !== undefined) return condition('False', unfit.reason, unfit.message);
  const refused = held(`SecurityGroup/${group.name}`);
  if (refused !== undefined) return condition('False', 'RefusedByOVN', refused);
  return condition('True', 'Ready', 'in the northbound database');
}
