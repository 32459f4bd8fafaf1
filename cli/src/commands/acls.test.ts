import { expect, test } from 'vitest';
import { type Acl, inOrder } from './acl-order.ts';
import { render } from './acls.ts';

const acl = (more: Partial<Acl> & Pick<Acl, 'priority' | 'match'>, owner?: string, rule?: string): Acl => ({
  name: undefined,
  direction: 'to-lport',
  action: 'drop',
  options: new Map(),
  tier: 0,
  external_ids: new Map([
    ...(owner === undefined ? [] : [['ovenbird/owner', owner] as const]),
    ...(rule === undefined ? [] : [['rule', rule] as const]),
  ]),
  ...more,
});

const afterLb = new Map([['apply-after-lb', 'true']]);
const rows: readonly Acl[] = [
  acl({ priority: 2000, match: 'outport == @np_a.deny && ip' }, 'NetworkPolicy/a/deny', 'ingress/drop'),
  acl({ priority: 1000, match: 'ip4.dst == 10.0.0.0/24', name: 'red/private_drop_ip4' }, 'Subnet/red'),
  acl(
    { priority: 2000, match: 'inport == @np_a.deny && ip', direction: 'from-lport', options: afterLb },
    'NetworkPolicy/a/deny',
    'egress/drop',
  ),
  acl({ priority: 9, match: 'tcp.dst == 25', direction: 'from-lport', action: 'reject', name: 'by hand' }),
  acl({ priority: 2001, match: 'outport == @npport_tcp_80_http..a.web && tcp.dst == 80' }, 'NetworkPolicy/a/web', '0'),
  acl({ priority: 3000, match: 'outport == @node_node_1 && (ip4.src == 100.64.0.2)' }, 'Node/node-1'),
  acl({ priority: 0, match: '0', action: 'allow-related' }, 'Subnet/red', 'tracking'),
];

test('rules come in order of evaluation, with their objects, without those for other ports', () => {
  const found = inOrder(rows, new Set(['np_a.deny', 'np_a.web', 'node_node_1']));
  expect(found.map(({ direction, priority, object }) => [direction, priority, object])).toEqual([
    ['egress', 9, undefined],
    ['egress', 2000, 'NetworkPolicy/a/deny'],
    ['ingress', 3000, 'Node/node-1'],
    ['ingress', 2000, 'NetworkPolicy/a/deny'],
    ['ingress', 1000, 'Subnet/red'],
  ]);
  const lines = render(found).split('\n');
  expect(lines[1]).toMatch(/^egress +before-lb +9 +reject +\(not Ovenbird\) +by hand +tcp\.dst == 25$/);
  expect(lines[5]).toMatch(/^ingress +- +1000 +drop +Subnet\/red +red\/private_drop_ip4 +ip4\.dst/);
});

test('stages are shown where what a pod sends is judged twice, and only there', () => {
  const drop = { priority: 2000, match: 'inport == @np_a.deny && ip', direction: 'from-lport' } as const;
  const np = acl({ ...drop, options: afterLb }, 'NetworkPolicy/a/deny', 'egress/drop');
  const pass = { priority: 1900, match: 'ip4', direction: 'from-lport', action: 'allow-related' } as const;
  const early = acl(pass, 'Subnet/red', 'east_west_egress_ip4');
  const into = acl({ priority: 1000, match: 'ip4.dst == 10.0.0.0/24', name: 'red/private_drop_ip4' }, 'Subnet/red');
  const printed = (...acls: readonly Acl[]): string => render(inOrder(acls, new Set(['np_a.deny'])));
  // What the first stage allows, the second one drops, although the number is higher.
  expect(printed(np, early, into)).toBe(
    [
      'DIRECTION  STAGE      PRIORITY  ACTION         OBJECT                RULE                  MATCH',
      'egress     before-lb  1900      allow-related  Subnet/red            east_west_egress_ip4  ip4',
      'egress     after-lb   2000      drop           NetworkPolicy/a/deny  egress/drop           inport == @np_a.deny && ip',
      'ingress    -          1000      drop           Subnet/red            red/private_drop_ip4  ip4.dst == 10.0.0.0/24',
      '',
      'egress: a packet has to pass both stages, before and after load balancing; what no line of a stage matches passes it',
      'ingress: what no line matches passes',
      '',
    ].join('\n'),
  );
  for (const one of [np, early]) {
    expect(printed(one, into)).not.toContain('STAGE');
    expect(printed(one, into)).toContain('egress: what no line matches passes');
  }
});

test('tiers go before priorities, and are shown where there are any', () => {
  const found = inOrder(
    [acl({ priority: 10, match: 'ip', tier: 1 }), acl({ priority: 5, match: 'ip', action: 'pass' })],
    new Set(),
  );
  expect(found.map(({ tier }) => tier)).toEqual([0, 1]);
  expect(render(found)).toContain('TIER');
  expect(render([])).toBe('egress: no rule, everything passes\ningress: no rule, everything passes\n');
});
