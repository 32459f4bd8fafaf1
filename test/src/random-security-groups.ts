import { cidrContains } from '@ovenbird/crds';
import fc from 'fast-check';
import { podPortName } from '../../controller/src/compile/names.ts';
import { parseSelector, type Selector, selects } from '../../controller/src/policy/selector.ts';
import type { GroupRule, SecurityGroup } from '../../controller/src/security-group/model.ts';
import type { Pod } from '../../controller/src/store/model.ts';
import { projectNetworkPolicy } from '../../controller/src/store/projections.ts';
import { makeGroup, makeNamespace, makePod, World } from '../../controller/src/testing/world.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import type { Packet } from './ovn-match.ts';

/** Some with a place of their own, and some that are in each other's way (controller/src/security-group/places.ts). */
const priorities = [1, 4, 2001, 2004, 16_382] as const;

const namespaces = ['x', 'y'] as const;
const groupNames = ['g0', 'g1', 'g2'] as const;
const ofApp = (app: string): Selector => parseSelector({ matchLabels: { app } });

const cidr = {
  4: fc.constantFrom('0.0.0.0/0', '10.16.0.0/29', '10.16.0.4/30', '10.16.0.0/16', '192.0.2.0/25'),
  6: fc.constantFrom('::/0', 'fd00:10:16::/125', 'fd00:10:16::/112', '2001:db8::/32'),
};
const range = fc.constantFrom({ from: 80, to: 80 }, { from: 79, to: 81 }, { from: 1, to: 65_535 });
const sourceRange = fc.constantFrom({ from: 40_000, to: 40_000 }, { from: 1, to: 39_999 });

const rule = (family: 4 | 6): fc.Arbitrary<GroupRule> =>
  fc
    .record({
      protocol: fc.constantFrom('all' as const, 'icmp' as const, 'tcp' as const, 'udp' as const, 'sctp' as const),
      // The group's number is added, so that no two groups have rules of one priority: they would have no order.
      priority: fc.constantFrom(...priorities),
      cidr: cidr[family],
      group: fc.option(fc.constantFrom(...groupNames), { nil: undefined, freq: 3 }),
      local: fc.option(cidr[family], { nil: undefined, freq: 5 }),
      ports: fc.option(range, { nil: undefined }),
      sourcePorts: fc.option(sourceRange, { nil: undefined, freq: 4 }),
      policy: fc.constantFrom('allow' as const, 'drop' as const, 'pass' as const, 'pass' as const),
    })
    .map(({ protocol, priority, cidr: own, group, local, ports, sourcePorts, policy }) => {
      const hasPorts = protocol !== 'all' && protocol !== 'icmp';
      return {
        family,
        protocol,
        priority,
        remote: group === undefined ? { cidr: own } : { group },
        policy,
        log: false,
        ...(local === undefined ? {} : { local }),
        ...(hasPorts && ports !== undefined ? { ports } : {}),
        ...(hasPorts && sourcePorts !== undefined ? { sourcePorts } : {}),
      };
    });
const rules = fc.uniqueArray(fc.oneof(rule(4), rule(4), rule(6)), {
  maxLength: 4,
  selector: ({ priority }) => priority,
});

const key = { namespace: fc.constantFrom(...namespaces), name: fc.constantFrom('a', 'b', 'c') };
const group: fc.Arbitrary<GroupWish> = fc.record({
  name: fc.constantFrom(...groupNames),
  tier: fc.constantFrom(0 as const, 0 as const, 0 as const, 1 as const),
  sameGroup: fc.boolean(),
  selects: fc.constantFrom('nobody', 'everybody', 'web', 'db'),
  only: fc.option(fc.constant('x'), { nil: undefined, freq: 4 }),
  ingress: rules,
  egress: rules,
});

interface OfPod {
  readonly namespace: string;
  readonly name: string;
}
interface GroupWish {
  readonly name: (typeof groupNames)[number];
  readonly tier: 0 | 1;
  readonly sameGroup: boolean;
  /** Labels of the pods that it selects. */
  readonly selects: string;
  /** Namespace that it is for, where not for all. */
  readonly only: string | undefined;
  readonly ingress: readonly GroupRule[];
  readonly egress: readonly GroupRule[];
}

/** What {@link GroupsBoth.apply} does. */
export type GroupChange =
  | (OfPod & { readonly type: 'pod'; readonly app: string; readonly groups: readonly string[] })
  | (OfPod & { readonly type: 'no pod' })
  | { readonly type: 'group'; readonly group: GroupWish }
  | { readonly type: 'no group'; readonly name: string }
  | { readonly type: 'policy' | 'no policy'; readonly namespace: string };

/** A random change of pods, SecurityGroups and NetworkPolicies. */
export const groupChange: fc.Arbitrary<GroupChange> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('pod' as const),
      ...key,
      app: fc.constantFrom('web', 'db', 'none'),
      groups: fc.subarray([...groupNames, 'missing']),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('no pod' as const), ...key }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('group' as const), group }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('no group' as const), name: fc.constantFrom(...groupNames) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom('policy' as const, 'no policy' as const),
      namespace: fc.constantFrom(...namespaces),
    }),
  },
);

interface End {
  readonly address: string;
  readonly pod?: Pod;
}

/** The same changes made to the controller's middle and to what the rules of the documentation say. */
export class GroupsBoth {
  readonly world: World;
  readonly #policies = new Set<string>();

  constructor(tiers: boolean) {
    this.world = World.standard(tiers);
    for (const name of namespaces)
      this.world.set('Namespace', { ...makeNamespace(name), labels: { 'kubernetes.io/metadata.name': name } });
  }

  apply(item: GroupChange): void {
    const { world } = this;
    switch (item.type) {
      case 'pod':
        world.set(
          'Pod',
          makePod(item.namespace, item.name, 'node-1', {
            labels: item.app === 'none' ? {} : { app: item.app },
            annotations: item.groups.length === 0 ? {} : { 'ovn.kubernetes.io/security_groups': item.groups.join() },
          }),
        );
        break;
      case 'no pod':
        world.delete('Pod', `${item.namespace}/${item.name}`);
        break;
      case 'group': {
        const { name, tier, sameGroup, only, selects: whom } = item.group;
        const own = (list: readonly GroupRule[]): readonly GroupRule[] =>
          list.map((one) => ({
            ...one,
            priority: one.priority + groupNames.indexOf(name),
            policy: tier === 1 && one.policy === 'pass' ? 'drop' : one.policy,
          }));
        const pods = whom === 'everybody' ? [] : ofApp(whom);
        world.set(
          'SecurityGroup',
          makeGroup(name, {
            tier,
            sameGroup,
            selectors: whom === 'nobody' ? [] : [{ namespaces: [], pods }],
            namespaces: only === undefined ? [] : [only],
            ingress: own(item.group.ingress),
            egress: own(item.group.egress),
          }),
        );
        break;
      }
      case 'no group':
        world.delete('SecurityGroup', item.name);
        break;
      case 'policy': {
        const { namespace } = item;
        const db = { podSelector: { matchLabels: { app: 'db' } } };
        const spec = {
          podSelector: { matchLabels: { app: 'web' } },
          policyTypes: ['Ingress' as const, 'Egress' as const],
          ingress: [{ from: [db] }],
          egress: [{ to: [db] }],
        };
        this.#policies.add(namespace);
        world.set('NetworkPolicy', projectNetworkPolicy({ metadata: { namespace, name: 'p' }, spec }));
        break;
      }
      case 'no policy':
        this.#policies.delete(item.namespace);
        world.delete('NetworkPolicy', `${item.namespace}/p`);
        break;
    }
  }

  #groupsOf(pod: Pod): { readonly groups: readonly SecurityGroup[]; readonly closed: boolean } {
    const isFor = ({ namespaces: own }: SecurityGroup): boolean => own.length === 0 || own.includes(pod.namespace);
    const asked = (pod.annotations['ovn.kubernetes.io/security_groups'] ?? '').split(',').filter((name) => name !== '');
    const groups = this.world.state
      .list('SecurityGroup')
      .filter(
        (one) =>
          isFor(one) && (asked.includes(one.name) || one.selectors.some(({ pods }) => selects(pods, pod.labels))),
      );
    return { groups, closed: asked.some((name) => !groups.some((one) => one.name === name)) };
  }

  /** Whether the rules for one pod let a packet pass in one direction. */
  #passes(direction: 'ingress' | 'egress', pod: Pod, remote: End, packet: Packet): boolean {
    const { groups, closed } = this.#groupsOf(pod);
    const inGroup = (name: string): boolean =>
      remote.pod !== undefined && this.#groupsOf(remote.pod).groups.some((one) => one.name === name);
    const local = direction === 'ingress' ? packet.destination : packet.source;
    const meets = (one: GroupRule): boolean => {
      const within = (ports: GroupRule['ports'], port: number): boolean =>
        ports === undefined || (ports.from <= port && port <= ports.to);
      return (
        (one.family === 6) === remote.address.includes(':') &&
        ('group' in one.remote ? inGroup(one.remote.group) : cidrContains(one.remote.cidr, remote.address)) &&
        (one.local === undefined || cidrContains(one.local, local)) &&
        (one.protocol === 'all' || one.protocol === (packet.protocol ?? 'icmp')) &&
        within(one.ports, packet.port ?? 0) &&
        within(one.sourcePorts, packet.sourcePort ?? 40_000)
      );
    };
    const judge = (tier: 0 | 1): 'allow' | 'drop' | 'pass' => {
      const own = groups.filter((one) => one.tier === tier);
      if (own.length === 0) return 'pass';
      const [first] = own
        .flatMap((one) => one[direction])
        .filter(meets)
        .sort((a, b) => a.priority - b.priority);
      if (first !== undefined) return first.policy;
      return own.some((one) => one.sameGroup && inGroup(one.name)) ? 'allow' : 'drop';
    };
    const verdict = judge(0);
    if (verdict !== 'pass') return verdict === 'allow';
    if (closed) return false;
    if (this.#policies.has(pod.namespace) && pod.labels['app'] === 'web')
      return remote.pod?.namespace === pod.namespace && remote.pod.labels['app'] === 'db';
    return judge(1) !== 'drop';
  }

  /** Everything that compiled ACLs and the rules of the documentation disagree about. */
  disagreements(): readonly string[] {
    const compiled = new CompiledPolicies(this.world.sink);
    const { state } = this.world;
    const wrong: string[] = [];
    for (const family of [4, 6] as const) {
      const pods = state.list('PodAddress').flatMap((address) => {
        const pod = state.get('Pod', address.owner.slice('Pod/'.length));
        const text = family === 4 ? address.v4 : address.v6;
        return pod === undefined || text === undefined ? [] : [{ pod, address: text }];
      });
      const outside = (family === 4 ? ['192.0.2.1', '192.0.2.200'] : ['2001:db8::1']).map((address) => ({ address }));
      const ends: readonly End[] = [...pods, ...outside];
      const portOf = ({ pod }: End): string | undefined => pod && podPortName(pod.namespace, pod.name);
      for (const from of ends)
        for (const to of ends) {
          if (from === to || (from.pod === undefined && to.pod === undefined)) continue;
          for (const what of packets) {
            const packet: Packet = { ...what, source: from.address, destination: to.address };
            const expected =
              (from.pod === undefined || this.#passes('egress', from.pod, to, packet)) &&
              (to.pod === undefined || this.#passes('ingress', to.pod, from, packet));
            if (compiled.allows(portOf(from), portOf(to), packet) !== expected)
              wrong.push(
                `${portOf(from) ?? from.address} -> ${portOf(to) ?? to.address} ${JSON.stringify(what)} IPv${family}: ${expected ? 'allowed' : 'blocked'} by the rules, not by the ACLs`,
              );
          }
        }
    }
    return wrong;
  }
}

const packets: readonly Pick<Packet, 'protocol' | 'port' | 'sourcePort'>[] = [
  {},
  { protocol: 'gre' },
  { protocol: 'tcp', port: 80 },
  { protocol: 'tcp', port: 81, sourcePort: 9 },
  { protocol: 'udp', port: 80 },
  { protocol: 'udp', port: 90, sourcePort: 9 },
  { protocol: 'sctp', port: 79 },
];
