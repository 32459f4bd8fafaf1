import { type AddressRange, cidrRange, ipFamily, ipToBigint, type Subnet } from '@ovenbird/crds';
import { clusterRanges } from '@ovenbird/deploy';
import type { TestLab } from './lab.ts';

/** The nodes' nftables rules as text without counters. */
export async function firewalls(lab: TestLab): Promise<string> {
  return textOf(await rulesets(lab));
}

interface NodeRules {
  readonly node: string;
  readonly rules: string;
}

const textOf = (all: readonly NodeRules[]): string => all.map(({ node, rules }) => `${node}\n${rules}`).join('\n');

async function rulesets(lab: TestLab): Promise<readonly NodeRules[]> {
  return await Promise.all(
    lab.nodes.map(async (node) => ({ node, rules: await lab.onNode(node, 'nft', '-s', 'list', 'ruleset') })),
  );
}

/** {@link firewalls} once they are about the subnets and nodes that there are: agents hear of those a moment after all is Ready. */
export async function settledFirewalls(lab: TestLab): Promise<string> {
  const settled = await lab.waitFor(
    "the nodes' firewalls are about the subnets and nodes that there are",
    async () => {
      const wanted = await wantedSets(lab);
      const all = await rulesets(lab);
      for (const { node, rules } of all) {
        for (const [set, members] of wanted) {
          const [now, then] = [covered(elementsOf(rules, set)), covered(members)];
          if (now !== then) return `${node}, set ${set}: ${now}, not ${then}`;
        }
      }
      return { text: textOf(all) };
    },
    30_000,
  );
  return settled.text;
}

/** What the sets of the table should hold (docs/node.md, "The nftables table"). */
async function wantedSets(lab: TestLab): Promise<ReadonlyMap<string, readonly string[]>> {
  const { items } = await lab.get<{ items: Subnet[] }>('subnets');
  const own = items.filter(({ spec, status }) => (spec.vpc ?? status?.vpc ?? 'ovn-cluster') === 'ovn-cluster');
  const cidrsOf = (subnets: readonly Subnet[]): string[] => subnets.flatMap(({ spec }) => spec.cidrBlock.split(','));
  const { dualStack } = lab.state.options;
  const all = {
    nat: cidrsOf(own.filter(({ spec, metadata }) => spec.natOutgoing === true && metadata.name !== 'join')),
    internal: [...cidrsOf(own), ...clusterRanges(dualStack).services],
    nodes: lab.state.nodes.flatMap(({ addresses }) => [
      addresses.ipv4,
      ...(addresses.ipv6 === undefined ? [] : [addresses.ipv6]),
    ]),
  };
  return new Map(
    Object.entries(all).flatMap(([name, members]) =>
      ([4, 6] as const).map((family) => [`${name}${family}`, members.filter((text) => ipFamily(text) === family)]),
    ),
  );
}

function elementsOf(rules: string, set: string): readonly string[] {
  const [, elements = ''] = new RegExp(`set ${set} \\{[^}]*?elements = \\{([^}]*)\\}`).exec(rules) ?? [];
  return elements
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '');
}

/** Addresses, `a-b` and CIDRs as ranges that do not touch each other, in text that can be compared. */
function covered(members: readonly string[]): string {
  const ranges: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of members.map(rangeOf).toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    const previous = ranges.at(-1);
    if (previous === undefined || first > previous.last + 1n) ranges.push({ first, last });
    else if (last > previous.last) previous.last = last;
  }
  return ranges.map(({ first, last }) => `${first.toString(16)}-${last.toString(16)}`).join(' ') || 'nothing';
}

function rangeOf(text: string): AddressRange {
  if (text.includes('/')) return cidrRange(text);
  const [from = '', to = from] = text.split('-');
  return { first: ipToBigint(from), last: ipToBigint(to) };
}
