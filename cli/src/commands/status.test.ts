import { expect, test } from 'vitest';
import { type Overview, problemsOf, render } from './status.ts';

const fine: Overview = {
  nodes: [{ name: 'node-1', ready: true }],
  leader: { identity: 'one', secondsSinceRenewal: 2 },
  subnets: [{ name: 'blue', vpc: 'ovn-cluster', cidr: '10.1.0.0/16', using: '3', ready: true, message: '' }],
  vpcs: 1,
  pods: { total: 3, addressed: 3 },
  northbound: { switches: 2, routers: 1, ports: 7, stray: 0 },
  southbound: { chassis: ['node-1'] },
};

test('a sound network has no problem, and the overview says so', () => {
  expect(problemsOf(fine)).toEqual([]);
  const text = render(fine);
  expect(text).toContain('nodes       1 of 1 Ready\n');
  expect(text).toMatch(/^blue {4}ovn-cluster {2}10\.1\.0\.0\/16 {2}3 +True$/m);
  expect(text.endsWith('no problem found\n')).toBe(true);
});

test('every part that is not as it should be is a problem of its own', () => {
  const { northbound: _northbound, southbound: _southbound, ...rest } = fine;
  const sick: Overview = {
    ...rest,
    nodes: [{ name: 'node-1', ready: false }],
    leader: { identity: 'one', secondsSinceRenewal: 60 },
    subnets: fine.subnets.map((subnet) => ({ ...subnet, ready: false, message: 'overlaps red' })),
    pods: { total: 3, addressed: 1 },
  };
  expect(problemsOf(sick)).toEqual([
    'node node-1 is not Ready',
    'no controller leads: one renewed last 60 s ago',
    'subnet blue is not Ready: overlaps red',
    '2 of 3 pods wait for an address',
    'the northbound database does not answer',
    'the southbound database does not answer',
  ]);
  expect(problemsOf({ ...fine, northbound: { switches: 2, routers: 1, ports: 7, stray: 30 } })).toEqual([
    expect.stringContaining('30 ports belong to pods that are gone'),
  ]);
  expect(problemsOf({ ...fine, southbound: { chassis: [] } })).toEqual(['node node-1 is no chassis of OVN']);
});
