import type { GroupRule } from '../security-group/model.ts';
import { remoteProblem } from '../security-group/remote.ts';
import { unfitGroup } from '../security-group/unfit.ts';
import { aclColumns } from './acl-columns.ts';
import { aclTier, type GroupBand, groupBand } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { logColumns, logMeter } from './log-meter.ts';
import { aclName, closedGroupName, securityGroupName } from './names.ts';
import { sides } from './policy-match.ts';
import type { RowBuilder, RowRef } from './rows-builder.ts';

const directions = ['ingress', 'egress'] as const;
type Direction = (typeof directions)[number];

const tierOf = (tier: 0 | 1): number => (tier === 0 ? aclTier.network : aclTier.baseline);

/**
 * What a pod needs to be on the network. ARP is never matched by rules about IP. Neighbour discovery northd lets through by
 * itself, but not in every stage of every version.
 */
const base: Readonly<Record<Direction, string>> = {
  ingress: 'nd || nd_ra || (udp.src == 67 && udp.dst == 68) || (udp.src == 547 && udp.dst == 546) || ip.proto == 112',
  egress: 'nd || nd_rs || (udp.src == 68 && udp.dst == 67) || (udp.src == 546 && udp.dst == 547) || ip.proto == 112',
};

/** Emits a Port_Group and its ACLs. */
class GroupRows {
  readonly portGroup: string;
  readonly #rows: RowBuilder;
  readonly #row: RowRef;
  readonly #columns: Readonly<Record<string, number>>;
  readonly #nameOf: (rule: string) => string;
  readonly #ids: Readonly<Record<string, string>>;

  constructor(
    rows: RowBuilder,
    portGroup: string,
    options: {
      /** Of every ACL. */
      readonly columns: Readonly<Record<string, number>>;
      readonly nameOf: (rule: string) => string;
      readonly ids: Readonly<Record<string, string>>;
    },
  ) {
    this.portGroup = portGroup;
    this.#rows = rows;
    this.#columns = options.columns;
    this.#nameOf = options.nameOf;
    this.#ids = options.ids;
    this.#row = rows.row('Port_Group', portGroup, { name: portGroup }, this.#ids);
  }

  acl(direction: Direction, suffix: string, columns: Acl): void {
    const rule = `${direction}/${suffix}`;
    const row = this.#rows.row(
      'ACL',
      `${direction}_${suffix}`,
      { name: this.#nameOf(rule), ...aclColumns[direction], ...this.#columns, ...columns },
      { ...this.#ids, rule },
    );
    this.#rows.member(this.#row, 'acls', row.uuid);
  }

  /** What every pod needs, and the drop of everything that nothing lets through. */
  close({ base: priority, drop }: GroupBand, dropColumns: Partial<Acl> = {}): void {
    for (const direction of directions) {
      const port = `${sides[direction].port} == @${this.portGroup}`;
      this.acl(direction, 'base', { priority, match: `${port} && (${base[direction]})`, action: 'allow-related' });
      this.acl(direction, 'drop', { priority: drop, match: `${port} && ip`, action: 'drop', ...dropColumns });
    }
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
      const columns = context.tier(tierOf(0));
      const group = new GroupRows(rows, closedGroupName, { columns, nameOf: (rule) => `closed/${rule}`, ids: {} });
      group.close(groupBand(0, context.tiers));
      return rows.outputs;
    },
  };
}

/**
 * SecurityGroup → one Port_Group and an ACL for each rule; which pods are in it are memberships, emitted by the pods. All that
 * a group does is in rows of its own, so that each change of it is one transaction.
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
      const out = new GroupRows(rows, securityGroupName(name), {
        columns: context.tier(tierOf(group.tier)),
        nameOf: (rule) => aclName('sg', name, rule),
        ids: { security_group: name },
      });
      const band = groupBand(group.tier, context.tiers);
      const logged = (log: boolean): Partial<Acl> => (log ? logColumns('sg', name) : {});
      out.close(band, logged(group.logDropped));
      // Nothing of it rather than some.
      const fits = unfitGroup(group, context.tiers) === undefined;
      for (const direction of fits ? directions : []) {
        for (const [index, rule] of group[direction].entries()) {
          const { remote, priority, policy, log } = rule;
          if ('group' in remote && remoteProblem(group, remote.group, reader) !== undefined) continue;
          out.acl(direction, String(index), {
            priority: band.first - (priority - 1),
            match: groupRuleMatch(direction, out.portGroup, rule),
            action: actions[policy],
            ...logged(log),
          });
        }
        if (group.sameGroup) {
          const { port, peer } = sides[direction];
          const terms = ([4, 6] as const).map((family) => `ip${family}.${peer} == $${out.portGroup}_ip${family}`);
          const match = `${port} == @${out.portGroup} && (${terms.join(' || ')})`;
          out.acl(direction, 'same-group', { priority: band.sameGroup, match, action: 'allow-related' });
        }
      }
      if (group.logDropped || [...group.ingress, ...group.egress].some(({ log }) => log))
        logMeter(rows, 'sg', name, group.logRate);
      return rows.outputs;
    },
  };
}

interface Acl extends Partial<ReturnType<typeof logColumns>> {
  readonly priority: number;
  readonly match: string;
  readonly action: (typeof actions)[keyof typeof actions];
}

const actions = { allow: 'allow-related', drop: 'drop', pass: 'pass' } as const;

/**
 * The match of a rule, in the language of ovn-sb(5).
 * @param group name of the Port_Group of the rule's pods
 */
export function groupRuleMatch(direction: Direction, group: string, rule: GroupRule): string {
  const { port, peer } = sides[direction];
  const { family, protocol, remote, local, ports, sourcePorts } = rule;
  const ip = `ip${family}`;
  const parts = [`${port} == @${group}`];
  if ('group' in remote) parts.push(`${ip}.${peer} == $${securityGroupName(remote.group)}_${ip}`);
  // A prefix of no bits is no comparison to OVN.
  else parts.push(remote.cidr.endsWith('/0') ? ip : `${ip}.${peer} == ${remote.cidr}`);
  if (local !== undefined && !local.endsWith('/0')) parts.push(`${ip}.${peer === 'src' ? 'dst' : 'src'} == ${local}`);
  if (protocol === 'icmp') parts.push(`icmp${family}`);
  else if (protocol !== 'all') {
    const compare = (side: 'dst' | 'src', { from, to }: { from: number; to: number }): string =>
      from === to ? `${protocol}.${side} == ${from}` : `${from} <= ${protocol}.${side} <= ${to}`;
    if (ports !== undefined) parts.push(compare('dst', ports));
    if (sourcePorts !== undefined) parts.push(compare('src', sourcePorts));
    if (ports === undefined && sourcePorts === undefined) parts.push(protocol);
  }
  return parts.join(' && ');
}
