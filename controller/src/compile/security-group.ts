import { contentId } from '../content-id.ts';
import { type Box, boxOf, wholeBox } from '../security-group/box.ts';
import { type GroupDirection, groupDirections, type SecurityGroup } from '../security-group/model.ts';
import { isPassing, Passes, passingAmong } from '../security-group/passes.ts';
import { groupPriority } from '../security-group/places.ts';
import { remoteProblem } from '../security-group/remote.ts';
import { addressesOf } from '../security-group/remote-part.ts';
import { unfitGroup } from '../security-group/unfit.ts';
import type { Reader } from '../store/state.ts';
import { aclColumns } from './acl-columns.ts';
import { aclTier, type GroupBand, groupBand } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { logColumns, logMeter } from './log-meter.ts';
import { aclName, closedGroupName, groupClassName, groupPartName, securityGroupName } from './names.ts';
import { isolationMatch, sides } from './policy-match.ts';
import type { RowBuilder, RowRef } from './rows-builder.ts';
import { boxMatch, groupRuleMatch, type RemoteGroups, sameGroupMatch } from './security-group-match.ts';

const tierOf = (tier: 0 | 1): number => (tier === 0 ? aclTier.groups : aclTier.baseline);

/**
 * What a pod needs to be on the network. ARP is never matched by rules about IP. Neighbour discovery northd lets through by
 * itself, but not in every stage of every version.
 */
const base: Readonly<Record<GroupDirection, string>> = {
  ingress: 'nd || nd_ra || (udp.src == 67 && udp.dst == 68) || (udp.src == 547 && udp.dst == 546) || ip.proto == 112',
  egress: 'nd || nd_rs || (udp.src == 68 && udp.dst == 67) || (udp.src == 546 && udp.dst == 547) || ip.proto == 112',
};

/** An ACL that is to be emitted, as one or, for what is passed before it, as several that match the rest. */
interface Rule extends Omit<Acl, 'match'> {
  /** Name of the rule, behind its direction. */
  readonly name: string;
  readonly boxes: readonly Box[];
  /** When nothing is taken out of the boxes. */
  readonly match: (portGroup: string) => string;
  /** What passes has a lower one. */
  readonly place: number;
}

/** Emits a Port_Group and its ACLs. */
class GroupRows {
  readonly portGroup: string;
  readonly #rows: RowBuilder;
  readonly #row: RowRef;
  readonly #options: GroupRowsOptions;

  constructor(rows: RowBuilder, portGroup: string, options: GroupRowsOptions) {
    this.portGroup = portGroup;
    this.#rows = rows;
    this.#options = options;
    this.#row = rows.row('Port_Group', portGroup, { name: portGroup }, { ...options.ids, ...options.groupIds });
  }

  acl(direction: GroupDirection, name: string, columns: Acl, part = ''): void {
    const { suffix = '', columns: own, ids, nameOf } = this.#options;
    const rule = `${direction}/${name}`;
    const row = this.#rows.row(
      'ACL',
      `${direction}_${name}${part}${suffix}`,
      { name: nameOf(rule), ...aclColumns[direction], ...own, ...columns },
      { ...ids, rule },
    );
    this.#rows.member(this.#row, 'acls', row.uuid);
  }

  /** What every pod needs, and the drop of everything that nothing lets through. */
  close({ base: priority, drop }: GroupBand, dropColumns: Partial<Acl> = {}): void {
    for (const direction of groupDirections) {
      const port = `${sides[direction].port} == @${this.portGroup}`;
      this.acl(direction, 'base', { priority, match: `${port} && (${base[direction]})`, action: 'allow-related' });
      this.rule(direction, {
        ...{ name: 'drop', priority: drop, action: 'drop', ...dropColumns },
        ...{ place: Infinity, boxes: [wholeBox(4), wholeBox(6)] },
        match: (group) => isolationMatch(direction, group),
      });
    }
  }

  rule(direction: GroupDirection, { name, boxes, match, place, ...columns }: Rule): void {
    const { narrowed, remotes = [] } = this.#options;
    const left = narrowed === undefined ? boxes : narrowed.passes.remainder(direction, boxes, place);
    if (narrowed === undefined || left === boxes)
      this.acl(direction, name, { ...columns, match: match(this.portGroup) });
    // Too many parts: a rule that lets through lets nothing through, one that drops drops all.
    else if (left === undefined && columns.action !== 'allow-related')
      this.acl(direction, name, { ...columns, match: match(this.portGroup) });
    else {
      const names = { remotes, partName: (part: Box) => narrowed.parts.nameOf(part) };
      for (const [part, box] of (left ?? []).entries())
        this.acl(direction, name, { ...columns, match: boxMatch(direction, this.portGroup, box, names) }, `_${part}`);
    }
  }
}

interface GroupRowsOptions {
  /** Of every ACL. */
  readonly columns: Readonly<Record<string, number>>;
  readonly nameOf: (rule: string) => string;
  readonly ids: Readonly<Record<string, string>>;
  /** Of the Port_Group alone. */
  readonly groupIds?: Readonly<Record<string, string>>;
  /** Of keys of ACLs. */
  readonly suffix?: string;
  /** What is taken out of the rules, and where other sides are written that are not in a group. */
  readonly narrowed?: { readonly passes: Passes; readonly parts: RemoteParts };
  /** Port_Groups that stand for each group in `Box.group`. */
  readonly remotes?: readonly RemoteGroups[];
}

/** Address_Sets of a group's unit for other sides that are not in a group. */
class RemoteParts {
  readonly #rows: RowBuilder;
  readonly #reader: Reader;
  readonly #group: string;
  readonly #names = new Set<string>();

  constructor(rows: RowBuilder, reader: Reader, group: string) {
    this.#rows = rows;
    this.#reader = reader;
    this.#group = group;
  }

  /** Name of the set of a part's other sides, which is among the unit's rows then. */
  nameOf({ family, remote, group, without }: Box): string {
    const name = groupPartName(contentId([this.#group, family, remote, group, without]));
    if (this.#names.has(name)) return name;
    this.#names.add(name);
    const ids = { 'ovenbird/in': group ?? remote.join(','), 'ovenbird/without': without.join(',') };
    const row = this.#rows.row('Address_Set', name, { name }, { security_group: this.#group, ...ids });
    const membersOf = (one: string): readonly string[] =>
      this.#reader.index('GroupAddress', 'group', one).flatMap(({ addresses }) => addresses);
    const part = { family, remote, without, ...(group === undefined ? {} : { group }) };
    for (const address of addressesOf(part, membersOf)) this.#rows.member(row, 'addresses', address);
    return name;
  }
}

/** Pods that name a group in vain → a Port_Group that is closed. */
export function closedPodsUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'ClosedPods',
    rank: 4,
    lane: 'bulk',
    compile(key, reader) {
      if (reader.get('ClosedPods', key) === undefined) return [];
      const rows = context.builder('ClosedPods', key);
      // Behind what groups pass on: whoever names one in vain is closed for that too.
      const columns = context.tier(aclTier.network);
      const group = new GroupRows(rows, closedGroupName, { columns, nameOf: (rule) => `closed/${rule}`, ids: {} });
      group.close(groupBand(0, false));
      return rows.outputs;
    },
  };
}

/**
 * SecurityGroup → one Port_Group and an ACL for each rule; which pods are in it are memberships, emitted by the pods. All that
 * a group does is in rows of its own, so that each change of it is one transaction. Pods that are in another group as well,
 * whose passes have to be taken out of these rules, are in a Port_Group of their own instead, with the same rules narrowed.
 */
export function securityGroupUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'SecurityGroup',
    rank: 4,
    lane: 'bulk',
    compile(name, reader) {
      const group = reader.get('SecurityGroup', name);
      if (group === undefined || reader.get('GroupBinding', name) === undefined) return [];
      const rows = context.builder('SecurityGroup', name);
      const remotes = [...remotesOf(group)].map((remote) => ({
        group: remote,
        portGroups: [
          securityGroupName(remote),
          // The index is in the order of its history; a controller that starts has another one.
          ...reader
            .index('GroupClass', 'group', remote)
            .map((one) => groupClassName(one))
            .toSorted(),
        ],
      }));
      const shared = {
        columns: context.tier(tierOf(group.tier)),
        nameOf: (rule: string) => aclName('sg', name, rule),
        ids: { security_group: name },
        remotes,
      };
      const own = isPassing(group, context.tiers, reader) ? [group] : [];
      const parts = new RemoteParts(rows, reader, name);
      const narrowedBy = (passing: readonly SecurityGroup[]): Pick<GroupRowsOptions, 'narrowed'> =>
        passing.length === 0 ? {} : { narrowed: { passes: new Passes(passing, reader), parts } };
      emitRules(
        context,
        reader,
        group,
        new GroupRows(rows, securityGroupName(name), { ...shared, ...narrowedBy(own) }),
        remotes,
      );
      for (const one of reader.index('GroupClass', 'group', name)) {
        const portGroup = groupClassName(one);
        const out = new GroupRows(rows, portGroup, {
          ...shared,
          groupIds: { 'ovenbird/with': one.with.join(',') },
          suffix: `@${portGroup}`,
          ...narrowedBy([...own, ...passingAmong(one.with, reader)]),
        });
        emitRules(context, reader, group, out, remotes);
      }
      if (group.logDropped || [...group.ingress, ...group.egress].some(({ log }) => log))
        logMeter(rows, 'sg', name, group.logRate);
      return rows.outputs;
    },
  };
}

function emitRules(
  context: CompileContext,
  reader: Reader,
  group: SecurityGroup,
  out: GroupRows,
  remotes: readonly RemoteGroups[],
): void {
  const band = groupBand(group.tier, context.tiers);
  const logged = (log: boolean): Partial<Acl> => (log ? logColumns('sg', group.name) : {});
  out.close(band, logged(group.logDropped));
  const at = { tiers: context.tiers, reader };
  // Nothing of it rather than some.
  const fits = unfitGroup(group, context.tiers, reader) === undefined;
  for (const direction of fits ? groupDirections : []) {
    for (const [index, rule] of group[direction].entries()) {
      const { remote, priority, policy, log } = rule;
      if ('group' in remote && remoteProblem(group, remote.group, reader) !== undefined) continue;
      // Where OVN cannot pass, it is the rules behind that are narrowed.
      if (policy === 'pass' && !context.tiers) continue;
      out.rule(direction, {
        ...{
          name: String(index),
          priority: groupPriority(group, direction, priority, at),
          action: actions[policy],
          ...logged(log),
        },
        ...{ place: priority, boxes: [boxOf(rule)] },
        match: (portGroup) => groupRuleMatch(direction, portGroup, rule, remotes),
      });
    }
    if (group.sameGroup)
      out.rule(direction, {
        ...{ name: 'same-group', priority: band.sameGroup, action: 'allow-related' },
        ...{ place: Infinity, boxes: ([4, 6] as const).map((family) => ({ ...wholeBox(family), group: group.name })) },
        match: (portGroup) => sameGroupMatch(direction, portGroup, group.name, remotes),
      });
  }
}

/** Groups whose addresses a group's rules name. */
const remotesOf = ({ name, sameGroup, ingress, egress }: SecurityGroup): ReadonlySet<string> =>
  new Set([
    ...(sameGroup ? [name] : []),
    ...[...ingress, ...egress].flatMap(({ remote }) => ('group' in remote ? [remote.group] : [])),
  ]);

interface Acl extends Partial<ReturnType<typeof logColumns>> {
  readonly priority: number;
  readonly match: string;
  readonly action: (typeof actions)[keyof typeof actions];
}

const actions = { allow: 'allow-related', drop: 'drop', pass: 'pass' } as const;
