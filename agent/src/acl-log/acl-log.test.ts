import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pod } from '@ovenbird/kube';
import { afterAll, expect, test } from 'vitest';
import { parseAclLog } from './entry.ts';
import { readAclLog } from './read.ts';

const directory = mkdtempSync(join(tmpdir(), 'ovenbird-acl-log-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** As ovn-controller 23.03 writes it. */
const line = (name: string, flow: string, direction = 'to', second = 53): string =>
  `2026-11-21T18:18:${second}.223Z|00004|acl_log(ovn_pinctrl0)|INFO|name="${name}", verdict=drop, severity=info, direction=${direction}-lport: ${flow}`;
const macs = 'vlan_tci=0x0000,dl_src=0a:58:0a:10:00:04,dl_dst=0a:58:0a:10:00:02';
const rest = 'nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no';
const ping = `icmp,${macs},nw_src=10.16.0.4,nw_dst=10.16.0.2,${rest},icmp_type=8,icmp_code=0`;
const tcp6 = `tcp6,${macs},ipv6_src=fd00::4,ipv6_dst=fd00::2,ipv6_label=0x2ff6e,${rest},tp_src=40000,tp_dst=8080,tcp_flags=syn`;

test('an entry is read with its rule, ends, ports and ICMP type', () => {
  expect(parseAclLog(line('sg/web/ingress/0', ping), 'node-1')).toEqual({
    time: '2026-11-21T18:18:53.223Z',
    node: 'node-1',
    verdict: 'drop',
    severity: 'info',
    direction: 'ingress',
    protocol: 'icmp',
    source: { address: '10.16.0.4', mac: '0a:58:0a:10:00:04' },
    destination: { address: '10.16.0.2', mac: '0a:58:0a:10:00:02' },
    icmpType: 8,
    icmpCode: 0,
    object: { kind: 'SecurityGroup', name: 'web' },
    rule: 'ingress/0',
  });
  expect(parseAclLog(line('subnet/red/acl_3', tcp6, 'from'), 'node-1')).toMatchObject({
    direction: 'egress',
    protocol: 'tcp',
    source: { address: 'fd00::4', port: 40_000 },
    destination: { address: 'fd00::2', port: 8080 },
    object: { kind: 'Subnet', name: 'red' },
    rule: 'acl_3',
  });
  expect(parseAclLog(line('netpol/shop/web/ingress/drop', ping), 'n')).toMatchObject({
    object: { kind: 'NetworkPolicy', namespace: 'shop', name: 'web' },
    rule: 'ingress/drop',
  });
});

test("other lines are none, and others' ACLs have no object", () => {
  for (const other of [
    '',
    '2026-11-21T18:18:53.223Z|00004|binding|INFO|Claiming lport',
    line('x', 'not a flow with blanks'),
  ])
    expect(parseAclLog(other, 'n')).toBeUndefined();
  const foreign = parseAclLog(line('<unnamed>', ping), 'n');
  expect(foreign?.rule).toBe('<unnamed>');
  expect(foreign).not.toHaveProperty('object');
});

test('the log is read from its end, with the names of the pods of the node', async () => {
  const path = join(directory, 'ovn-controller.log');
  const pod = (name: string, mac: string, address: string): Pod => ({
    metadata: {
      namespace: 'shop',
      name,
      annotations: { 'ovn.kubernetes.io/mac_address': mac, 'ovn.kubernetes.io/ip_address': address },
    },
    spec: {},
  });
  const pods = [
    pod('web', '0a:58:0a:10:00:02', '10.16.0.2,fd00::2'),
    // The same address in another Vpc.
    pod('twin', '0a:58:0a:10:00:09', '10.16.0.2'),
  ];
  expect(await readAclLog(path, { node: 'n', pods, limit: 5 })).toEqual([]);
  writeFileSync(
    path,
    [
      line('a', ping, 'to', 10),
      'something else',
      line('b', tcp6, 'to', 11),
      line('c', ping, 'to', 12),
      'half a li',
    ].join('\n'),
  );
  const last = await readAclLog(path, { node: 'n', pods, limit: 2 });
  expect(last.map(({ rule, destination }) => [rule, destination.pod])).toEqual([
    ['b', 'shop/web'],
    ['c', 'shop/web'],
  ]);
  expect(await readAclLog(path, { node: 'n', pods, limit: 9, pod: 'shop/web' })).toHaveLength(3);
  expect(await readAclLog(path, { node: 'n', pods, limit: 9, pod: 'shop/twin' })).toEqual([]);
});
