import type { GroupRule } from '../security-group/model.ts';
import { remoteProblem } from '../security-group/remote.ts';
import { unfitGroup } from '../security-group/unfit.ts';
import { aclColumns } from './acl-columns.ts';
import { aclTier, groupBand } from './bands.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { logColumns, logMeter } from './log-meter.ts';
import { aclName, guardGroupName, securityGroupName } from './names.ts';
import { sides } from './policy-match.ts';

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

/** The end of a tier → one Port_Group with all pods of its groups, what every pod needs, and the drop of everything else. */
export function guardUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Guard',
    rank: 4,
    lane: 'bulk',
    compile(key, reader) {
      const guard = reader.get('Guard', key);
      if (guard === undefined) return [];
      const { tier } = guard;
      const rows = context.builder('Guard', key);
      const name = guardGroupName(tier);
      const group = rows.row('Port_Group', name, { name });
      const band = groupBand(tier, context.tiers);
      for (const direction of directions) {
        const { port } = sides[direction];
        const acls = {
          base: { priority: band.base, match: `${port} == @${name} && (${base[direction]})`, action: 'allow-related' },
          drop: { priority: band.drop, match: `${port} == @${name} && ip`, action: 'drop' },
        };
        for (const [part, columns] of Object.entries(acls)) {
          const rule = `${direction}/${part}`;
          const row = rows.row(
            'ACL',
            `${direction}_${part}`,
            { name: `sgbase/${tier}/${rule}`, ...aclColumns[direction], ...context.tier(tierOf(tier)), ...columns },
            { rule },
          );
          rows.member(group, 'acls', row.uuid);
        }
      }
      return rows.outputs;
    },
  };
}

/** SecurityGroup → one Port_Group and an ACL for each rule; which pods are in it are memberships, emitted by the pods. */
export function securityGroupUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'SecurityGroup',
    rank: 4,
    lane: 'bulk',
    compile(name, reader) {
      const group = reader.get('SecurityGroup', name);
      if (group === undefined || reader.get('GroupBinding', name) === undefined) return [];
      const rows = context.builder('SecurityGroup', name);
      const portGroup = securityGroupName(name);
      const ids = { security_group: name };
      const portGroupRow = rows.row('Port_Group', portGroup, { name: portGroup }, ids);
      // Nothing of it rather than some: its pods are closed by the end of the tier.
      if (unfitGroup(group, context.tiers) !== undefined) return rows.outputs;
      const band = groupBand(group.tier, context.tiers);
      const acl = (direction: Direction, suffix: string, columns: Acl, logged: boolean): void => {
        const rule = `${direction}/${suffix}`;
        const row = rows.row(
          'ACL',
          `${direction}_${suffix}`,
          {
            name: aclName('sg', name, rule),
            ...aclColumns[direction],
            ...context.tier(tierOf(group.tier)),
            ...columns,
            ...(logged ? logColumns('sg', name) : {}),
          },
          { ...ids, rule },
        );
        rows.member(portGroupRow, 'acls', row.uuid);
      };
      for (const direction of directions) {
        const { port, peer } = sides[direction];
        for (const [index, rule] of group[direction].entries()) {
          if ('group' in rule.remote && remoteProblem(group, rule.remote.group, reader) !== undefined) continue;
          acl(
            direction,
            String(index),
            {
              priority: band.first - (rule.priority - 1),
              match: groupRuleMatch(direction, portGroup, rule),
              action: actions[rule.policy],
            },
            rule.log,
          );
        }
        if (group.sameGroup) {
          const terms = ([4, 6] as const).map((family) => `ip${family}.${peer} == $${portGroup}_ip${family}`);
          const match = `${port} == @${portGroup} && (${terms.join(' || ')})`;
          acl(direction, 'same-group', { priority: band.sameGroup, match, action: 'allow-related' }, false);
        }
        if (group.logDropped)
          acl(
            direction,
            'drop',
            { priority: band.ownDrop, match: `${port} == @${portGroup} && ip`, action: 'drop' },
            true,
          );
      }
      if (group.logDropped || [...group.ingress, ...group.egress].some(({ log }) => log))
        logMeter(rows, 'sg', name, group.logRate);
      return rows.outputs;
    },
  };
}

interface Acl {
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
