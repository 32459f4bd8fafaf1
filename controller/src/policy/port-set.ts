import type { PolicyProtocol } from './model.ts';

/** Inclusive. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Destination ports by protocol: sorted, disjoint ranges. `others` = all that is none of these protocols, ICMP for one. An
 * absent PortSet stands for everything.
 */
export interface PortSet {
  readonly tcp: readonly PortRange[];
  readonly udp: readonly PortRange[];
  readonly sctp: readonly PortRange[];
  readonly others: boolean;
}

export const transports = ['tcp', 'udp', 'sctp'] as const;

export const allPorts: PortRange = { from: 0, to: 65_535 };

const everything: PortSet = { tcp: [allPorts], udp: [allPorts], sctp: [allPorts], others: true };

/** Ranges of protocols, merged. */
export function portSet(ranges: readonly (PortRange & { readonly protocol: PolicyProtocol })[]): PortSet {
  const of = (protocol: PolicyProtocol): readonly PortRange[] => {
    const merged: PortRange[] = [];
    const own = ranges.filter((range) => range.protocol === protocol).sort((a, b) => a.from - b.from);
    for (const { from, to } of own) {
      const last = merged.at(-1);
      if (last !== undefined && from <= last.to + 1)
        merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) };
      else merged.push({ from, to });
    }
    return merged;
  };
  return { tcp: of('tcp'), udp: of('udp'), sctp: of('sctp'), others: false };
}

const without = (ranges: readonly PortRange[], cut: PortRange): readonly PortRange[] =>
  ranges.flatMap(({ from, to }) => [
    ...(from < cut.from ? [{ from, to: Math.min(to, cut.from - 1) }] : []),
    ...(to > cut.to ? [{ from: Math.max(from, cut.to + 1), to }] : []),
  ]);

/** What is in `a` and not in `b`. */
export function portsWithout(a: PortSet | undefined, b: PortSet | undefined): PortSet {
  const left = a ?? everything;
  const right = b ?? everything;
  const of = (protocol: PolicyProtocol): readonly PortRange[] => right[protocol].reduce(without, left[protocol]);
  return { tcp: of('tcp'), udp: of('udp'), sctp: of('sctp'), others: left.others && !right.others };
}

export const isNoPort = (ports: PortSet): boolean =>
  !ports.others && transports.every((protocol) => ports[protocol].length === 0);

/** Whether some packet is on both. */
export function portsMeet(a: PortSet | undefined, b: PortSet | undefined): boolean {
  const left = a ?? everything;
  const right = b ?? everything;
  const meet = (one: readonly PortRange[], other: readonly PortRange[]): boolean =>
    one.some((x) => other.some((y) => x.from <= y.to && y.from <= x.to));
  return (left.others && right.others) || transports.some((protocol) => meet(left[protocol], right[protocol]));
}
