import { expect, test } from 'vitest';
import { projectNetworkPolicy } from '../store/projections.ts';
import { World } from '../testing/world.ts';

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
