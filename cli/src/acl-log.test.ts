import type { AclLogEntry } from '@ovenbird/agent';
import { expect, test } from 'vitest';
import { AclLogFollower, renderAclLines, renderAclLog, withNames } from './acl-log.ts';

const entry: AclLogEntry = {
  time: '2026-11-21T18:18:53.223Z',
  node: 'node-1',
  verdict: 'drop',
  severity: 'info',
  direction: 'ingress',
  protocol: 'tcp',
  source: { address: '10.16.0.4', port: 40_000, mac: '0a:58:0a:10:00:04' },
  destination: { address: 'fd00::2', port: 80, mac: '0a:58:0a:10:00:02', pod: 'shop/web' },
  object: { kind: 'NetworkPolicy', namespace: 'shop', name: 'web' },
  rule: 'ingress/drop',
};

test('addresses get the names of who holds them, where only one does', () => {
  const records = [
    { v4IpAddress: '10.16.0.4', podName: 'a', namespace: 'x' },
    { v4IpAddress: '10.16.0.5', podName: 'b', namespace: 'x' },
  ];
  expect(withNames([entry], records)[0]?.source.pod).toBe('x/a');
  expect(withNames([entry], [...records, { v4IpAddress: '10.16.0.4', podName: 'c', namespace: 'y' }])).toEqual([entry]);
  expect(withNames([entry], [{ v4IpAddress: '10.16.0.4', podName: '', nodeName: 'node-3' }])[0]?.source.node).toBe(
    'node-3',
  );
});

test('a table for people', () => {
  const { object: _own, ...foreign } = {
    ...entry,
    protocol: 'icmp6',
    icmpType: 128,
    source: { mac: 'm', address: 'fd00::1' },
  };
  const lines = renderAclLog([entry, foreign]).split('\n');
  expect(lines[1]).toMatch(
    /node-1 +drop +ingress +tcp +10\.16\.0\.4:40000 +shop\/web:80 +NetworkPolicy\/shop\/web +ingress\/drop$/,
  );
  expect(lines[2]).toMatch(/icmp6 128 +fd00::1 +shop\/web:80 +\(not Ovenbird\)/);
  expect(renderAclLog([])).toBe('no packet met a logged rule\n');
});

test('who follows gets each entry once, also equal ones and those of a slower node', () => {
  const follower = new AclLogFollower();
  const at = (second: number, node = 'node-1'): AclLogEntry => ({
    ...entry,
    node,
    time: `2026-11-21T18:18:0${second}.000Z`,
  });
  expect(follower.next([])).toEqual([]);
  expect(follower.next([at(1), at(2)])).toEqual([at(1), at(2)]);
  expect(follower.next([at(1), at(2)])).toEqual([]);
  expect(follower.next([at(1), at(2), at(2), at(3)])).toEqual([at(2), at(3)]);
  // Another node's clock is behind; the first entries are out of reach by now.
  expect(follower.next([at(1, 'node-2'), at(3), at(4)])).toEqual([at(1, 'node-2'), at(4)]);
  expect(renderAclLines([entry])).toMatch(/^\S+Z {2}node-1 {2}drop .* ingress\/drop\n$/);
});
