import { expect, test } from 'vitest';
import { projectNetworkPolicy } from '../store/projections.ts';
import { makePod, World } from '../testing/world.ts';
import type { NamedContainerPort } from './model.ts';

type Spec = Parameters<typeof projectNetworkPolicy>[0]['spec'];

const parse = (spec: Spec): ReturnType<typeof projectNetworkPolicy> =>
  projectNetworkPolicy({ metadata: { namespace: 'x', name: 'np' }, spec });

test('policyTypes default to Ingress, and to Egress as well when there are egress rules', () => {
  const directions = (spec: Spec): readonly string[] => {
    const policy = parse(spec);
    return (['ingress', 'egress'] as const).filter((direction) => policy[direction] !== undefined);
  };
  expect(directions({ podSelector: {} })).toEqual(['ingress']);
  expect(directions({ podSelector: {}, policyTypes: [] })).toEqual(['ingress']);
  expect(directions({ podSelector: {}, egress: [] })).toEqual(['ingress']);
  expect(directions({ podSelector: {}, egress: [{}] })).toEqual(['ingress', 'egress']);
  expect(directions({ podSelector: {}, policyTypes: ['Egress'], ingress: [{}] })).toEqual(['egress']);
});

test('what cannot be read matches nothing, and is said', () => {
  const { ingress, problems } = parse({
    podSelector: {},
    ingress: [
      {
        from: [
          { ipBlock: { cidr: '10.0.0.0/33' } },
          { ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } },
          { ipBlock: { cidr: '10.1.2.3/8' } },
        ],
        ports: [
          { protocol: 'ICMP' as 'TCP', port: 1 },
          { port: 90, endPort: 80 },
          { port: 'http', endPort: 80 },
          { port: 80, endPort: 80 },
        ],
      },
    ],
  });
  expect(ingress).toEqual([
    { peers: [{ cidr: '10.0.0.0/8', except: [] }], ports: [{ protocol: 'tcp', port: 80, endPort: 80 }] },
  ]);
  expect(problems).toHaveLength(5);
  for (const problem of problems)
    expect(problem).toMatch(/^spec\.ingress\[0\]: .*(10\.0\.0\.0|11\.0\.0\.0|ICMP|endPort)/);
});

test('a port that a rule names twice is one port', async () => {
  const world = World.standard();
  const port = { protocol: 'TCP', port: 'http' } as const;
  const policy = { metadata: { namespace: 'default', name: 'np' } };
  world.set(
    'NetworkPolicy',
    projectNetworkPolicy({ ...policy, spec: { podSelector: {}, egress: [{ ports: [port, port] }] } }),
  );
  const namedPorts = [{ name: 'http', protocol: 'tcp', number: 80 }] as const;
  world.set('Pod', makePod('default', 'a', 'node-1', { namedPorts }));
  await world.settle();
  const acls = world.sink.rows('ACL').filter(({ owner }) => owner === 'NetworkPolicy/default/np');
  expect(acls.map(({ key }) => key)).toEqual(['ingress_drop', 'egress_drop', 'egress_0_http_tcp_80']);
});

test('a rule of which nothing is left lets nothing through, and an event tells it once', async () => {
  const world = World.standard();
  const policy = projectNetworkPolicy({
    metadata: { namespace: 'default', name: 'np' },
    spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 'everywhere' } }] }] },
  });
  world.set('NetworkPolicy', policy);
  await world.settle();
  const policyAcls = world.sink.rows('ACL').filter(({ owner }) => owner.startsWith('NetworkPolicy/'));
  expect(policyAcls.map(({ columns }) => columns['action'])).toEqual(['drop']);
  expect(world.events).toEqual([
    'np RuleNotHonoured: spec.ingress[0]: "everywhere" is not a CIDR such as 10.0.0.0/8 or fd00::/64',
  ]);
  // The same object again, as after a reconnection.
  world.set('NetworkPolicy', { ...policy });
  await world.settle();
  expect(world.events).toHaveLength(1);
});

test('annotations have packets logged: what is dropped, and what else they name', () => {
  const logged = (annotations: Record<string, string>): ReturnType<typeof parse> =>
    projectNetworkPolicy({ metadata: { namespace: 'x', name: 'np', annotations }, spec: { podSelector: {} } });
  const enable = { 'ovn.kubernetes.io/enable_log': 'true' };
  expect(logged({}).log).toBeUndefined();
  expect(logged({ 'ovn.kubernetes.io/acl_log_meter_rate': '5' }).log).toBeUndefined();
  expect(logged(enable).log).toEqual({ allow: false, drop: true, rate: 10 });
  const both = { 'ovn.kubernetes.io/log_acl_actions': 'ALLOW,DROP', 'ovn.kubernetes.io/acl_log_meter_rate': '100' };
  expect(logged({ ...enable, ...both }).log).toEqual({ allow: true, drop: true, rate: 100 });
  const wrong = { 'ovn.kubernetes.io/log_acl_actions': 'allow,pass', 'ovn.kubernetes.io/acl_log_meter_rate': '1000' };
  const { log, problems } = logged({ ...enable, ...wrong });
  expect(log).toEqual({ allow: true, drop: false, rate: 10 });
  expect(problems).toEqual([
    'ovn.kubernetes.io/log_acl_actions: "PASS" is no action; write ALLOW, DROP, or both',
    'ovn.kubernetes.io/acl_log_meter_rate: write entries a second, 1 to 100; 10 is used',
  ]);
});

test('rows of a logged policy carry its limit', async () => {
  const world = World.standard();
  const annotations = { 'ovn.kubernetes.io/enable_log': 'true', 'ovn.kubernetes.io/acl_log_meter_rate': '5' };
  const object = { metadata: { namespace: 'x', name: 'np', annotations }, spec: { podSelector: {}, ingress: [{}] } };
  world.set('NetworkPolicy', projectNetworkPolicy(object));
  await world.settle();
  const acls = world.sink.rows('ACL').filter(({ owner }) => owner.startsWith('NetworkPolicy/'));
  expect(acls.map(({ columns }) => [columns['name'], columns['meter']])).toEqual([
    ['netpol/x/np/ingress/drop', 'log_netpol_x.np'],
    ['netpol/x/np/ingress/0', undefined],
  ]);
  expect(world.sink.rows('Meter_Band').map(({ columns }) => columns['rate'])).toEqual([5]);
});

test('a named port is one row for each number that pods give the name', async () => {
  const world = World.standard();
  const port = (protocol: 'tcp' | 'udp', number: number): NamedContainerPort => ({ name: 'http', protocol, number });
  for (const [name, namedPorts] of [
    ['a', [port('tcp', 80), port('udp', 53)]],
    ['b', [port('tcp', 8080)]],
    ['c', []],
  ] as const)
    world.set('Pod', makePod('default', name, 'node-1', { namedPorts }));
  const http = { port: 'http' };
  const ports = [http, { ...http, protocol: 'TCP' as const }, http, { port: 443 }, { port: 443 }];
  world.set(
    'NetworkPolicy',
    projectNetworkPolicy({
      metadata: { namespace: 'default', name: 'np' },
      spec: { podSelector: {}, ingress: [{ ports }] },
    }),
  );
  await world.settle();
  const rules = world.sink
    .rows('ACL')
    .flatMap(({ owner, key, columns }) => (owner.startsWith('NetworkPolicy/') ? [[key, columns['match']]] : []));
  expect(rules).toEqual([
    ['ingress_drop', 'outport == @np_default.np && ip'],
    ['ingress_0', 'outport == @np_default.np && tcp.dst == 443'],
    ['ingress_0_http_tcp_80', 'outport == @npport_tcp_80_http..default.np && tcp.dst == 80'],
    ['ingress_0_http_tcp_8080', 'outport == @npport_tcp_8080_http..default.np && tcp.dst == 8080'],
  ]);
});
