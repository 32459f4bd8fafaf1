import { everywhere, isNowhere, common as shared, without as withoutNetworks } from '../policy/networks.ts';
import type { GroupRule, Ports } from './model.ts';

/**
 * What a rule of a SecurityGroup matches, as a box: an interval or set in each of its dimensions. What is left of a box
 * without another is boxes again, so that differences are written positively, as region.ts does for cluster policies.
 */
export interface Box {
  readonly family: 4 | 6;
  /** CIDRs of the other side ... */
  readonly remote: readonly string[];
  /** ... which is a pod of this group as well. */
  readonly group?: string;
  /** ... and of none of these, sorted. */
  readonly without: readonly string[];
  /** CIDRs of the pod. */
  readonly local: readonly string[];
  readonly protocols: readonly BoxProtocol[];
  /** All of them, unless `protocols` holds such with ports only. */
  readonly ports: Ports;
  readonly sourcePorts: Ports;
}

/** `icmp` is that of the box's family, `others` all that is none of those before it. */
export type BoxProtocol = (typeof boxProtocols)[number];
export const boxProtocols = ['tcp', 'udp', 'sctp', 'icmp', 'others'] as const;

export const everyPort: Ports = { from: 0, to: 65_535 };

/** Everything of a family. */
export const wholeBox = (family: 4 | 6): Box => ({
  family,
  remote: everywhere[family],
  without: [],
  local: everywhere[family],
  protocols: boxProtocols,
  ports: everyPort,
  sourcePorts: everyPort,
});

/** What a rule matches. */
export function boxOf({ family, protocol, remote, local, ports, sourcePorts }: GroupRule): Box {
  const hasPorts = protocol !== 'all' && protocol !== 'icmp';
  return {
    ...wholeBox(family),
    ...('group' in remote ? { group: remote.group } : { remote: [remote.cidr] }),
    ...(local === undefined ? {} : { local: [local] }),
    ...(protocol === 'all' ? {} : { protocols: [protocol] }),
    ...(hasPorts && ports !== undefined ? { ports } : {}),
    ...(hasPorts && sourcePorts !== undefined ? { sourcePorts } : {}),
  };
}

/** Operations on what one dimension of a box holds. */
interface Dimension<T> {
  /** Undefined when there is nothing. */
  readonly common: (a: T, b: T) => T | undefined;
  /** Parts of `a` that are not in `b`. */
  readonly without: (a: T, b: T) => readonly T[];
}

const cidrs = (family: 4 | 6): Dimension<readonly string[]> => {
  const of = (own: readonly string[]): { 4: readonly string[]; 6: readonly string[] } =>
    family === 4 ? { 4: own, 6: [] } : { 4: [], 6: own };
  return {
    common(a, b) {
      const both = shared(of(a), of(b));
      return isNowhere(both) ? undefined : both[family];
    },
    without(a, b) {
      const left = withoutNetworks(of(a), of(b));
      return isNowhere(left) ? [] : [left[family]];
    },
  };
};

const protocolSets: Dimension<readonly BoxProtocol[]> = {
  common(a, b) {
    const both = a.filter((protocol) => b.includes(protocol));
    return both.length === 0 ? undefined : both;
  },
  without(a, b) {
    const left = a.filter((protocol) => !b.includes(protocol));
    return left.length === 0 ? [] : [left];
  },
};

const portRanges: Dimension<Ports> = {
  common(a, b) {
    const both = { from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) };
    return both.from > both.to ? undefined : both;
  },
  without(a, b) {
    return [
      ...(a.from < b.from ? [{ from: a.from, to: Math.min(a.to, b.from - 1) }] : []),
      ...(a.to > b.to ? [{ from: Math.max(a.from, b.to + 1), to: a.to }] : []),
    ];
  },
};

/**
 * What of a box is not in another, as boxes that do not overlap; `[a]` itself when they have nothing in common.
 * @param b matches others by address or by group
 */
export function boxWithout(a: Box, b: Box): readonly Box[] {
  if (a.family !== b.family || (b.group !== undefined && a.without.includes(b.group))) return [a];
  const parts: Box[] = [];
  let rest: Box | undefined = a;
  const cut = <K extends 'remote' | 'local' | 'protocols' | 'ports' | 'sourcePorts'>(
    key: K,
    { common, without }: Dimension<Box[K]>,
  ): void => {
    if (rest === undefined) return;
    const both: Box[K] | undefined = common(rest[key], b[key]);
    if (both === undefined) {
      rest = undefined;
      return;
    }
    const whole: Box = rest;
    parts.push(...without(whole[key], b[key]).map((left): Box => ({ ...whole, [key]: left })));
    rest = { ...whole, [key]: both };
  };
  // Protocols before ports, so that a box with some ports has protocols with ports only; addresses first, because they are
  // many of few boxes that way.
  cut('remote', cidrs(a.family));
  cut('local', cidrs(a.family));
  cut('protocols', protocolSets);
  cut('ports', portRanges);
  cut('sourcePorts', portRanges);
  if (rest === undefined) return [a];
  // Last, so that of all parts one alone has other sides that are not in a group.
  if (b.group === undefined || rest.group === b.group) return parts;
  return [...parts, { ...rest, without: [...rest.without, b.group].toSorted() }];
}

/** How many CIDRs a box is written with. */
export const cidrsOfBox = ({ remote, local }: Box): number => remote.length + local.length;
