import { cidrContains } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { securityGroupStatus } from '../api/security-group-status.ts';
import { parseSelector } from '../policy/selector.ts';
import { makeGroup, makeNamespace, makePod, makeSubnet, makeVpc, World } from '../testing/world.ts';
import type { GroupRule, SecurityGroup } from './model.ts';

const asks = (groups: string): { annotations: Record<string, string> } => ({
  annotations: { 'ovn.kubernetes.io/security_groups': groups },
});
const rule = (more: Partial<GroupRule> = {}): GroupRule => ({
  family: 4,
  protocol: 'tcp',
  priority: 1,
  remote: { cidr: '10.16.0.0/16' },
  ports: { from: 80, to: 80 },
  policy: 'allow',
  log: false,
  ...more,
});

/** A column's value that is a text or a number. */
const textOf = (value: unknown): string =>
  typeof value === 'number' ? `${value}` : typeof value === 'string' ? value : '';

/** The pods of each Port_Group of groups, by name. */
function portGroups(world: World): Record<string, string[]> {
  const names = new Map(world.sink.rows('Logical_Switch_Port').map((row) => [row.uuid, textOf(row.columns['name'])]));
  const groups = new Map(world.sink.rows('Port_Group').map((row) => [row.uuid, textOf(row.columns['name'])]));
  const found: Record<string, string[]> = {};
  for (const member of world.sink.members()) {
    const [table = '', uuid = '', column = '', value = ''] = member.split(' ');
    const name = groups.get(uuid);
    if (table !== 'Port_Group' || column !== 'ports' || name === undefined || !/^(sg|sgpass|closed)_/.test(name))
      continue;
    found[name] = [...(found[name] ?? []), names.get(value) ?? value].sort();
  }
  return found;
}
/** ACLs of an owner as `priority direction match action`, by their rule. */
const allOf = (world: World, owner: string): ReadonlyMap<string, string> =>
  new Map(
    world.sink
      .rows('ACL')
      .filter((row) => row.owner === owner)
      .map(({ key, columns }) => [
        key,
        ['priority', 'direction', 'match', 'action'].map((column) => textOf(columns[column])).join(' '),
      ]),
  );
/** The same without what every group has. */
const acls = (world: World, owner: string): readonly string[] =>
  [...allOf(world, owner)].flatMap(([key, text]) => (/_(base|drop)$/.test(key) ? [] : [text]));
const has = (world: World, name: string): SecurityGroup => {
  const group = world.state.get('SecurityGroup', name);
  if (group === undefined) throw new Error(`no group ${name}`);
  return group;
};

describe('SecurityGroups', () => {
  it('hold the pods that name them and those that they select, once', async () => {
    const world = World.standard();
    const web = parseSelector({ matchLabels: { app: 'web' } });
    world.set(
      'SecurityGroup',
      makeGroup('web', {
        selectors: [
          { namespaces: [], pods: web },
          { namespaces: [], pods: [] },
        ],
      }),
    );
    world.set('SecurityGroup', makeGroup('late', { tier: 1 }));
    world.set('Pod', makePod('default', 'a', 'node-1', { labels: { app: 'web' }, ...asks('web, late') }));
    world.set('Pod', makePod('default', 'b', 'node-1', asks('late')));
    await world.settle();
    expect(portGroups(world)).toEqual({
      sg_web: ['a.default', 'b.default'],
      sg_late: ['a.default', 'b.default'],
    });
    const port = world.sink.rows('Logical_Switch_Port').find(({ columns }) => columns['name'] === 'a.default')?.uuid;
    const mine = [...(world.sink.units.get('Pod/default/a') ?? [])].filter(
      (output) => output.kind === 'member' && output.value === port && output.table === 'Port_Group',
    );
    expect(mine).toHaveLength(3);
  });

  it('take no pod whose namespace was not given the group, and close the pod instead', async () => {
    const world = World.standard();
    const namespaces = parseSelector({ matchLabels: { trusted: 'yes' } });
    world.set('Namespace', { ...makeNamespace('shop'), labels: { 'kubernetes.io/metadata.name': 'shop' } });
    world.set(
      'SecurityGroup',
      makeGroup('db', {
        namespaces: ['shop'],
        namespaceSelectors: [namespaces],
        selectors: [{ namespaces: [], pods: [] }],
      }),
    );
    world.set('Pod', makePod('default', 'thief', 'node-1', asks('db,nothing')));
    world.set('Pod', makePod('default', 'other', 'node-1'));
    world.set('Pod', makePod('shop', 'own', 'node-1'));
    await world.settle();
    expect(portGroups(world)).toEqual({ sg_db: ['own.shop'], closed_group: ['thief.default'] });
    expect(world.events.join('\n')).toContain(
      'thief SecurityGroupRefused: SecurityGroup "db", named by ovn.kubernetes.io/security_groups, is not for namespace "default": add it',
    );
    expect(world.events.join('\n')).toContain(
      'SecurityGroup "nothing", named by ovn.kubernetes.io/security_groups, does not exist',
    );
    world.set('Namespace', { ...makeNamespace('default'), labels: { trusted: 'yes' } });
    await world.settle();
    expect(portGroups(world)['sg_db']).toEqual(['other.default', 'own.shop', 'thief.default']);
  });

  it('are of one VPC, because VPCs may share addresses', async () => {
    const world = World.standard();
    world.set('Vpc', makeVpc('blue'));
    world.set('Subnet', makeSubnet('blue-a', '10.16.0.0/24', { vpc: 'blue', namespaces: ['island'] }));
    world.set('Namespace', makeNamespace('island'));
    const selectors = [{ namespaces: [], pods: [] }];
    world.set('SecurityGroup', makeGroup('here', { selectors, ingress: [rule({ remote: { group: 'there' } })] }));
    world.set('SecurityGroup', makeGroup('there', { vpc: 'blue', selectors }));
    world.set('Pod', makePod('island', 'a', 'node-1', asks('here')));
    world.set('Pod', makePod('default', 'b', 'node-1', asks('there')));
    await world.settle();
    expect(portGroups(world)).toEqual({
      sg_here: ['b.default'],
      sg_there: ['a.island'],
      closed_group: ['a.island', 'b.default'],
    });
    expect(acls(world, 'SecurityGroup/here')).toEqual([]);
  });

  it('become rows: rules in order, same group, and the end of the tier', async () => {
    const world = World.standard();
    world.set('SecurityGroup', makeGroup('web'));
    world.set(
      'SecurityGroup',
      makeGroup('db', {
        sameGroup: true,
        logDropped: true,
        logRate: 7,
        ingress: [
          rule({ remote: { group: 'web' }, ports: { from: 5432, to: 5440 }, log: true }),
          rule({ priority: 960, policy: 'drop', remote: { cidr: '0.0.0.0/0' }, protocol: 'all', family: 4 }),
          rule({ remote: { group: 'missing' } }),
        ],
        egress: [
          rule({
            family: 6,
            protocol: 'icmp',
            remote: { cidr: '::/0' },
            local: 'fd00::/64',
            ports: { from: 1, to: 1 },
          }),
          rule({ protocol: 'udp', remote: { cidr: '10.0.0.1/32' }, sourcePorts: { from: 53, to: 53 } }),
        ],
      }),
    );
    await world.settle();
    expect(acls(world, 'SecurityGroup/db')).toEqual([
      '5973 to-lport outport == @sg_db && ip4.src == $sg_web_ip4 && 5432 <= tcp.dst <= 5440 allow-related',
      '5014 to-lport outport == @sg_db && ip4 drop',
      '3004 to-lport outport == @sg_db && (ip4.src == $sg_db_ip4 || ip6.src == $sg_db_ip6) allow-related',
      '5973 from-lport inport == @sg_db && ip6 && ip6.src == fd00::/64 && icmp6 allow-related',
      '5973 from-lport inport == @sg_db && ip4.dst == 10.0.0.1/32 && udp.dst == 80 && udp.src == 53 allow-related',
      '3004 from-lport inport == @sg_db && (ip4.dst == $sg_db_ip4 || ip6.dst == $sg_db_ip6) allow-related',
    ]);
    const all = allOf(world, 'SecurityGroup/db');
    expect(all.get('ingress_base')).toMatch(/^5974 to-lport outport == @sg_db && \(nd \|\| nd_ra/);
    expect(all.get('ingress_drop')).toBe('3002 to-lport outport == @sg_db && ip drop');
    expect(all.get('egress_drop')).toBe('3002 from-lport inport == @sg_db && ip drop');
    const logged = world.sink.rows('ACL').filter(({ columns }) => columns['log'] === true);
    expect(logged.map(({ columns }) => [columns['name'], columns['meter']])).toEqual([
      ['sg/db/ingress/drop', 'log_sg_db'],
      ['sg/db/egress/drop', 'log_sg_db'],
      ['sg/db/ingress/0', 'log_sg_db'],
    ]);
    expect(world.sink.rows('Meter_Band').map(({ columns }) => columns['rate'])).toEqual([7]);
    // Kubelet's probes come from the pod's node.
    expect(acls(world, 'Node/node-1')).toHaveLength(1);
  });

  it('have their place with tiers as well, and pass there', async () => {
    const world = World.standard(true);
    world.set('SecurityGroup', makeGroup('a', { ingress: [rule(), rule({ priority: 16_384 })] }));
    world.set('SecurityGroup', makeGroup('b', { egress: [rule({ policy: 'pass', remote: { group: 'a' } })] }));
    await world.settle();
    expect(acls(world, 'SecurityGroup/a').map((text) => text.slice(0, 5))).toEqual(['18483', '2100 ']);
    expect(acls(world, 'SecurityGroup/b')[0]).toMatch(/ pass$/);
    expect([...world.state.keys('GroupAddress')]).toEqual([]);
  });

  it('pass by group without OVN: other sides behind are those that are not in it, as its pods come and go', async () => {
    const world = World.standard();
    const all = { protocol: 'all', remote: { cidr: '0.0.0.0/0' } } as const;
    const fromGuests = rule({ policy: 'pass', protocol: 'all', remote: { group: 'guests' } });
    const fromFriends = rule({ priority: 3, remote: { group: 'friends' } });
    const ingress = [fromGuests, rule({ priority: 2, ...all, policy: 'drop' }), fromFriends];
    world.set('SecurityGroup', makeGroup('db', { ingress }));
    world.set('SecurityGroup', makeGroup('friends'));
    world.set('Pod', makePod('default', 'a', 'node-1', asks('guests')));
    await world.settle();
    // A group that is not there takes nothing out.
    expect(acls(world, 'SecurityGroup/db')[0]).toBe('5972 to-lport outport == @sg_db && ip4 drop');
    world.set('SecurityGroup', makeGroup('guests'));
    world.set('Pod', makePod('default', 'b', 'node-1', asks('guests,friends')));
    world.set('Pod', makePod('default', 'c', 'node-1', asks('friends')));
    await world.settle();
    const sets = (): Record<string, readonly string[]> => {
      const names = new Map(world.sink.rows('Address_Set').map((row) => [row.uuid, textOf(row.columns['name'])]));
      const found: Record<string, readonly string[]> = {};
      for (const member of world.sink.members()) {
        const [table, uuid = '', , value = ''] = member.split(' ');
        const name = names.get(uuid) ?? '';
        if (table === 'Address_Set' && name.startsWith('sgpart_')) found[name] = [...(found[name] ?? []), value].sort();
      }
      return found;
    };
    const rules = (): readonly string[] => acls(world, 'SecurityGroup/db').filter((text) => text.startsWith('597'));
    const [drop = '', friends = '', ...more] = rules();
    expect([drop, friends].map((text) => text.replace(/sgpart_\w+/, 'PART'))).toEqual([
      '5972 to-lport outport == @sg_db && ip4.src == $PART drop',
      '5971 to-lport outport == @sg_db && ip4.src == $PART && tcp.dst == 80 allow-related',
    ]);
    expect(more).toEqual([]);
    const setOf = (text: string): readonly string[] => sets()[/sgpart_\w+/.exec(text)?.[0] ?? ''] ?? [];
    const address = (name: string): string => world.state.get('PodAddress', `default/${name}`)?.v4 ?? '';
    const covers = (cidrs: readonly string[], name: string): boolean =>
      cidrs.some((one) => (one.includes('/') ? cidrContains(one, address(name)) : one === address(name)));
    expect(['a', 'b', 'c'].map((name) => covers(setOf(drop), name))).toEqual([false, false, true]);
    expect(setOf(friends)).toEqual([address('c')]);
    const before = rules();
    world.set('Pod', makePod('default', 'b', 'node-1', asks('friends')));
    await world.settle();
    expect(rules()).toEqual(before);
    expect(['a', 'b', 'c'].map((name) => covers(setOf(drop), name))).toEqual([false, true, true]);
    expect(setOf(friends)).toEqual([address('b'), address('c')].sort());
    world.set('SecurityGroup', { ...has(world, 'db'), ingress: [] });
    await world.settle();
    expect(sets()).toEqual({});
    expect([...world.state.keys('GroupAddress')]).toEqual([]);
  });

  it('pass without OVN by what the rules behind leave out, also those of other groups of the pod', async () => {
    const world = World.standard();
    const pass = rule({ policy: 'pass', remote: { cidr: '10.16.0.8/29' }, priority: 5 });
    world.set('SecurityGroup', makeGroup('p', { ingress: [rule({ remote: { cidr: '10.16.0.9/32' } }), pass] }));
    world.set('SecurityGroup', makeGroup('q', { ingress: [rule({ priority: 9, ports: { from: 80, to: 81 } })] }));
    world.set('SecurityGroup', makeGroup('r', { ingress: [rule({ remote: { group: 'q' } })] }));
    world.set('Pod', makePod('default', 'a', 'node-1', asks('p')));
    world.set('Pod', makePod('default', 'b', 'node-1', asks('q')));
    world.set('Pod', makePod('default', 'c', 'node-1', asks('p,q')));
    await world.settle();
    const name = Object.keys(portGroups(world)).find((key) => key.startsWith('sgpass_')) ?? '';
    // Nothing of q is passed to p.
    expect(portGroups(world)).toEqual({ sg_p: ['a.default', 'c.default'], sg_q: ['b.default'], [name]: ['c.default'] });
    expect(acls(world, 'SecurityGroup/q').filter((text) => text.startsWith('5965'))).toEqual([
      '5965 to-lport outport == @sg_q && ip4.src == 10.16.0.0/16 && 80 <= tcp.dst <= 81 allow-related',
      `5965 to-lport outport == @${name} && ip4.src == {10.16.0.0/29, 10.16.0.16/28, 10.16.0.32/27, 10.16.0.64/26, 10.16.0.128/25, 10.16.1.0/24, 10.16.2.0/23, 10.16.4.0/22, 10.16.8.0/21, 10.16.16.0/20, 10.16.32.0/19, 10.16.64.0/18, 10.16.128.0/17} && 80 <= tcp.dst <= 81 allow-related`,
      `5965 to-lport outport == @${name} && ip4.src == 10.16.0.8/29 && tcp.dst == 81 allow-related`,
    ]);
    expect(acls(world, 'SecurityGroup/p').some((text) => text.endsWith('pass'))).toBe(false);
    expect(acls(world, 'SecurityGroup/r')).toEqual([
      `5973 to-lport outport == @sg_r && (ip4.src == $sg_q_ip4 || ip4.src == $${name}_ip4) && tcp.dst == 80 allow-related`,
    ]);
    const row = world.sink.rows('Port_Group').find(({ columns }) => columns['name'] === name);
    expect(row?.columns['external_ids']).toContainEqual(['ovenbird/with', 'p']);
    world.set('SecurityGroup', { ...has(world, 'p'), ingress: [] });
    await world.settle();
    expect(portGroups(world)).toEqual({ sg_p: ['a.default', 'c.default'], sg_q: ['b.default', 'c.default'] });
    expect([...world.state.keys('PodClasses')]).toEqual([]);
  });

  it('say when passes split a rule too much, which then passes nothing', async () => {
    const world = World.standard();
    const ingress = Array.from({ length: 70 }, (_, index) =>
      rule({ policy: 'pass', remote: { cidr: '0.0.0.0/0' }, ports: { from: 2 * index + 1, to: 2 * index + 1 } }),
    );
    world.set('SecurityGroup', makeGroup('many', { ingress }));
    await world.settle();
    const { conditions } = securityGroupStatus(has(world, 'many'), world.brain.groups, world.state, () => undefined);
    expect(conditions.map(({ reason, message }) => `${reason} ${message}`).join('\n')).toContain(
      'TooManyParts the end of ingressRules falls into more than 64 parts',
    );
    expect(allOf(world, 'SecurityGroup/many').get('ingress_drop')).toBe('3002 to-lport outport == @sg_many && ip drop');
  });

  it('stay while pods or rules of others name them, and go with the last', async () => {
    const world = World.standard();
    world.set('SecurityGroup', makeGroup('db', { selectors: [{ namespaces: [], pods: [] }], ingress: [rule()] }));
    world.set('SecurityGroup', makeGroup('web', { ingress: [rule({ remote: { group: 'db' } })] }));
    world.set('Pod', makePod('default', 'a', 'node-1', asks('db')));
    world.set('Pod', makePod('default', 'selected', 'node-1'));
    await world.settle();
    expect(portGroups(world)['sg_db']).toEqual(['a.default', 'selected.default']);
    world.set('SecurityGroup', { ...has(world, 'db'), deleting: true });
    await world.settle();
    expect(world.finalized).not.toContain('SecurityGroup/db');
    expect(world.brain.groups.holders(has(world, 'db'))).toEqual(['pod default/a', 'the rules of SecurityGroup web']);
    expect(portGroups(world)['sg_db']).toEqual(['a.default']);
    expect(acls(world, 'SecurityGroup/db')).toHaveLength(1);
    world.delete('Pod', 'default/a');
    await world.settle();
    expect(world.finalized).not.toContain('SecurityGroup/db');
    // Two that name each other are no reason to stay.
    world.set('SecurityGroup', { ...has(world, 'web'), deleting: true });
    await world.settle();
    expect([...world.finalized].sort()).toEqual(['SecurityGroup/db', 'SecurityGroup/web']);
    world.delete('SecurityGroup', 'db');
    world.delete('SecurityGroup', 'web');
    await world.settle();
    expect(world.sink.rows('Port_Group').filter(({ columns }) => textOf(columns['name']).startsWith('sg_'))).toEqual(
      [],
    );
    expect(world.sink.rows('ACL')).toEqual([]);
  });

  it('a change of rules touches no pod', async () => {
    const world = World.standard();
    world.set('SecurityGroup', makeGroup('db', { selectors: [{ namespaces: [], pods: [] }] }));
    world.set('Pod', makePod('default', 'a', 'node-1', asks('db')));
    await world.settle();
    const compiled: string[] = [];
    world.sink.onUnit = (unit) => compiled.push(unit);
    world.set('SecurityGroup', { ...has(world, 'db'), ingress: [rule()], generation: 2 });
    await world.settle();
    expect(compiled).toEqual(['SecurityGroup/db']);
  });
});
