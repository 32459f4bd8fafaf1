import type { Pod } from '@ovenbird/kube';
import { expect } from 'vitest';
import { firewalls } from '../firewalls.ts';
import type { TestLab } from '../lab.ts';
import type { Churn } from './churn.ts';
import { foundHoldings, wantedHoldings } from './wishes.ts';

const addressesOf = ({ status }: Pod): readonly string[] => (status?.podIPs ?? []).map(({ ip }) => ip ?? '');

/** Lines of a command's output that are not empty. */
const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '');

/** Rows as lines of bare values. */
const table = ['--format=csv', '--data=bare', '--no-headings'];

/** What is wrong with two lists that should hold the same names. */
function compared(what: string, found: readonly string[], wanted: readonly string[]): readonly string[] {
  const [has, needs] = [new Set(found), new Set(wanted)];
  const missing = wanted.filter((name) => !has.has(name)).map((name) => `${what}: ${name} is missing`);
  const more = found.filter((name) => !needs.has(name)).map((name) => `${what}: ${name} is left over`);
  const twice = found.length === has.size ? [] : [`${what}: something is there twice in ${found.join(' ')}`];
  return [...missing, ...more, ...twice];
}

/** What a lab without pods of the churn had; everything else belongs to them. */
export interface Baseline {
  readonly known: ReadonlySet<string>;
  /** Rules of the nodes. */
  readonly firewalls: string;
}

/** Notes what is there before. @param rules of the nodes, settled */
export async function baseline(lab: TestLab, rules: string): Promise<Baseline> {
  return { known: new Set(Object.values(await lab.leftovers()).flat()), firewalls: rules };
}

/**
 * Every trace of pods is that of the wanted ones: switch ports with their addresses, load balancers, limits, memberships,
 * bindings, IP objects, interfaces, veths, network namespaces; and the nodes' rules are as before.
 */
async function discrepancies(lab: TestLab, churn: Churn, before: Baseline, pods: readonly Pod[]): Promise<string[]> {
  const full = (pod: Pod): string => `${pod.metadata.name}.${churn.namespace}`;
  const names = pods.map(full);
  const placed = pods.map((pod) => ({
    name: pod.metadata.name,
    node: pod.spec.nodeName ?? '',
    addresses: addressesOf(pod),
  }));
  const columns = '--columns=name,addresses';
  const [left, ports, bindings, bound, ips, found, rules] = await Promise.all([
    lab.leftovers(),
    lab.nbctl(...table, columns, 'find', 'Logical_Switch_Port', 'external_ids:vendor=ovenbird'),
    lab.sbctl('--bare', '--columns=logical_port', 'find', 'Port_Binding', 'type=""'),
    lab.sbctl('--bare', '--columns=logical_port', 'find', 'Port_Binding', 'type=""', 'up=true'),
    lab.kubectl(['get', 'ips', '-o', 'custom-columns=:metadata.name', '--no-headers']),
    foundHoldings(lab, churn.namespace),
    firewalls(lab),
  ]);
  const ours = (list: readonly string[]): readonly string[] => list.filter((name) => !before.known.has(name));
  const perPod = (what: string, list: readonly string[]): readonly string[] =>
    ours(list).length === pods.length
      ? []
      : [`${what}: ${ours(list).length} for ${pods.length} pods: ${ours(list).join(' ')}`];
  const inNamespace = (list: readonly string[]): readonly string[] =>
    list.filter((name) => name.endsWith(`.${churn.namespace}`));
  const addressed = new Map(
    lines(ports).map((line) => [line.split(',')[0] ?? '', line.slice(line.indexOf(',') + 1).split(' ')]),
  );
  return [
    ...[...wantedHoldings(lab, churn.namespace, placed)].flatMap(([what, wanted]) =>
      compared(what, found.get(what) ?? [], wanted),
    ),
    ...(rules === before.firewalls ? [] : [`rules of the nodes: ${rules}`]),
    ...compared('Logical_Switch_Port', inNamespace(left.logicalPorts), names),
    ...compared('Port_Binding', inNamespace(lines(bindings)), names),
    ...compared('Port_Binding that is up', inNamespace(lines(bound)), names),
    ...compared('IP object', inNamespace(lines(ips)), names),
    ...perPod('interfaces', left.ovsInterfaces),
    ...perPod('veths', left.veths),
    ...perPod('network namespaces', left.namespaces),
    ...pods.flatMap((pod) =>
      compared(`addresses of ${full(pod)}`, (addressed.get(full(pod)) ?? []).slice(1), addressesOf(pod)),
    ),
  ];
}

/**
 * After a round of faults: the wanted pods are Ready, with addresses of their own, which pods of before the round still have;
 * nothing of other pods is left; and every pod reaches every other, over both families.
 * @param held addresses by name, of the round before
 * @returns addresses by name
 */
export async function verify(
  lab: TestLab,
  churn: Churn,
  before: Baseline,
  held: ReadonlyMap<string, string>,
  story: string,
  deadline: number,
): Promise<ReadonlyMap<string, string>> {
  const pods = await churn.settled(story, deadline);
  await lab.waitFor(
    `nothing is missing and nothing is left over after: ${story}`,
    async () => (await discrepancies(lab, churn, before, pods)).join('\n') || true,
    deadline,
  );
  const all = pods.flatMap(addressesOf);
  expect(new Set(all).size, `addresses of ${pods.length} pods after: ${story}`).toBe(2 * pods.length);
  const now = new Map(pods.map((pod) => [pod.metadata.name, addressesOf(pod).join(',')]));
  for (const [name, addresses] of held)
    if (now.has(name)) expect(now.get(name), `addresses of ${name} after: ${story}`).toBe(addresses);
  let left = pods.flatMap(({ metadata: { name } }) =>
    all.map((destination) => ({
      from: `${churn.namespace}/${name}`,
      destination,
      protocol: 'icmp' as const,
      timeoutMs: 3000,
    })),
  );
  await lab.waitFor(
    `every pod reaches every pod after: ${story}`,
    async () => {
      const results = await lab.probe(left);
      left = left.filter((_, at) => results[at]?.verdict !== 'open');
      return (
        left.length === 0 ||
        `${left.length} pings are not answered, the first ${left[0]?.from} -> ${left[0]?.destination}`
      );
    },
    deadline,
  );
  return now;
}
