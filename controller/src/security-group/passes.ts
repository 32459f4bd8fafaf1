import type { Reader } from '../store/state.ts';
import { type Box, boxOf, boxWithout, cidrsOfBox, wholeBox } from './box.ts';
import { type GroupDirection, type GroupRule, groupDirections, type SecurityGroup } from './model.ts';
import { remoteProblem } from './remote.ts';
import { unfitGroup } from './unfit.ts';

/** ACLs and CIDRs into which one rule may fall apart for what is passed before it; more does not fit. */
const maxParts = 64;
const maxCidrs = 1024;

/** Rules that pass, of the groups that a pod is in. */
export class Passes {
  readonly #rules: Readonly<Record<GroupDirection, readonly GroupRule[]>>;

  /** @param groups all that have rules which pass, of the pods in question */
  constructor(groups: readonly SecurityGroup[], reader: Reader) {
    const of = (direction: GroupDirection): readonly GroupRule[] =>
      groups.flatMap((group) => group[direction].filter((rule) => passes(group, rule, reader)));
    this.#rules = { ingress: of('ingress'), egress: of('egress') };
  }

  /**
   * What is left of boxes at a place in the order of rules; the boxes themselves when nothing before them is passed.
   * @param priority of the rule; what passes has a lower one. Infinity: behind all rules
   * @returns undefined when that is too many parts
   */
  remainder(direction: GroupDirection, boxes: readonly Box[], priority: number): readonly Box[] | undefined {
    let left = boxes;
    for (const rule of this.#rules[direction]) {
      if (rule.priority >= priority) continue;
      const passed = boxOf(rule);
      const next = left.flatMap((box) => boxWithout(box, passed));
      if (next.length > maxParts || next.some((box) => cidrsOfBox(box) > maxCidrs)) return undefined;
      if (next.length !== left.length || next.some((box, index) => box !== left[index])) left = next;
    }
    return left;
  }
}

/** A rule that names a group which is not there matches nothing. */
const passes = (group: SecurityGroup, { policy, remote }: GroupRule, reader: Reader): boolean =>
  policy === 'pass' && !('group' in remote && remoteProblem(group, remote.group, reader) !== undefined);

/** Whether rules of a group pass what they tell by the group of the other side. */
export const passesByGroup = (group: SecurityGroup): boolean =>
  [...group.ingress, ...group.egress].some(({ policy, remote }) => policy === 'pass' && 'group' in remote);

/** Whether what a group passes has to be taken out of the rules behind it: where OVN has no tiers (docs/decisions/0014). */
export const isPassing = (group: SecurityGroup, tiers: boolean, reader: Reader): boolean =>
  !tiers &&
  group.tier === 0 &&
  [...group.ingress, ...group.egress].some(({ policy }) => policy === 'pass') &&
  unfitGroup(group, tiers, reader) === undefined;

/** The passing groups among those named, of which there may be none by now. */
export const passingAmong = (names: readonly string[], reader: Reader): readonly SecurityGroup[] =>
  names.flatMap((name) => {
    const group = reader.get('SecurityGroup', name);
    return group !== undefined && reader.get('GroupBinding', name) !== undefined && isPassing(group, false, reader)
      ? [group]
      : [];
  });

/** Rules of a group that fall into more parts than there may be, in words. Where OVN cannot pass. */
export function tooManyParts(group: SecurityGroup, reader: Reader): readonly string[] {
  const own = isPassing(group, false, reader) ? [group] : [];
  const found = new Set<string>();
  for (const others of [[], ...reader.index('GroupClass', 'group', group.name).map((one) => one.with)]) {
    const passing = [...own, ...passingAmong(others, reader)];
    const passes = new Passes(passing, reader);
    for (const direction of passing.length === 0 ? [] : groupDirections) {
      const places = [
        ...group[direction].map(
          (rule, index) => [`${direction}Rules[${index}]`, [boxOf(rule)], rule.priority] as const,
        ),
        [`the end of ${direction}Rules`, [wholeBox(4), wholeBox(6)], Infinity] as const,
      ];
      for (const [where, boxes, priority] of places)
        if (passes.remainder(direction, boxes, priority) === undefined)
          found.add(
            `${where} falls into more than ${maxParts} parts for what is passed before it${others.length === 0 ? '' : ` in ${others.join(', ')}`}; for these pods nothing is passed there. Pass fewer or larger networks and port ranges`,
          );
    }
  }
  return [...found].toSorted();
}
