import { describe, expect, it } from 'vitest';
import type { ClusterPolicyKind } from './cluster-model.ts';
import { parseClusterPolicy } from './cluster-parse.ts';

const meta = { name: 'p', uid: 'u', created: '', deleting: false };
const everybody = { namespaces: {} };
const nothing = { namespaces: [], pods: [] };
const closed = { action: 'Deny', peers: [{ kind: 'networks', networks: ['0.0.0.0/0', '::/0'] }] };

function parse(kind: ClusterPolicyKind, spec: object): ReturnType<typeof parseClusterPolicy> {
  return parseClusterPolicy(kind, { metadata: { name: 'p' }, spec: { subject: everybody, ...spec } }, meta);
}
const egress = (rule: object): ReturnType<typeof parse> =>
  parse('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, egress: [rule] });

describe('policies of the whole cluster', () => {
  it.each([
    ['AdminNetworkPolicy', { priority: 4 }, 'Admin', 4],
    ['BaselineAdminNetworkPolicy', {}, 'Baseline', undefined],
    ['ClusterNetworkPolicy', { tier: 'Admin', priority: 0 }, 'Admin', 0],
    ['ClusterNetworkPolicy', { tier: 'Baseline', priority: 9 }, 'Baseline', 9],
  ] as const)('%s %j is of tier %s', (kind, spec, tier, priority) => {
    const policy = parse(kind, spec);
    expect([policy.tier, policy.priority, policy.problems]).toEqual([tier, priority, []]);
  });

  it('reads peers and ports of both versions', () => {
    const [rule] = egress({
      action: 'Accept',
      to: [{ pods: { podSelector: { matchLabels: { a: 'b' } } } }, { nodes: {} }, { networks: ['10.0.0.1/8'] }],
      protocols: [
        { tcp: { destinationPort: { range: { start: 1, end: 9 } } } },
        { udp: {} },
        { destinationNamedPort: 'dns' },
      ],
    }).egress;
    expect(rule).toEqual({
      action: 'Allow',
      peers: [
        { kind: 'pods', pods: { namespaces: [], pods: [{ key: 'a', operator: 'In', values: ['b'] }] } },
        { kind: 'nodes', nodes: [] },
        { kind: 'networks', networks: ['10.0.0.0/8'] },
      ],
      ports: [{ protocol: 'tcp', from: 1, to: 9 }, { protocol: 'udp', from: 0, to: 65_535 }, { name: 'dns' }],
    });
    const old = parse('AdminNetworkPolicy', {
      priority: 1,
      ingress: [
        {
          action: 'Pass',
          from: [everybody],
          ports: [{ portNumber: { protocol: 'SCTP', port: 7 } }, { portRange: { start: 1, end: 2 } }],
        },
      ],
    });
    expect(old.ingress).toEqual([
      {
        action: 'Pass',
        peers: [{ kind: 'pods', pods: nothing }],
        ports: [
          { protocol: 'sctp', from: 7, to: 7 },
          { protocol: 'tcp', from: 1, to: 2 },
        ],
      },
    ]);
  });

  it.each([
    [{ to: [{ domainNames: ['example.com'] }] }, 'domainNames are not supported: use networks'],
    [{ to: [{ galaxies: {} }] }, 'a peer has no field that is known here'],
    [{ to: [{ networks: ['10.0.0.0/33'] }] }, '"10.0.0.0/33" is not a CIDR such as 10.0.0.0/8 or fd00::/64'],
    [{ to: [everybody], protocols: [{ quic: {} }] }, 'a protocol has no field that is known here'],
    [
      { to: [everybody], protocols: [{ tcp: { destinationPort: { range: { start: 2, end: 1 } } } }] },
      'the port range 2 to 1 is empty',
    ],
  ])('fails closed: %j', (rule, problem) => {
    const accepts = egress({ action: 'Accept', ...rule });
    expect(accepts.problems).toEqual([`spec.egress[0]: ${problem}; that part of the rule matches nothing`]);
    const [left] = accepts.egress;
    expect(left?.action === 'Allow' && (left.peers.length === 0 || left.ports?.length === 0)).toBe(true);
    for (const action of ['Deny', 'Pass']) {
      const denies = egress({ action, ...rule });
      expect(denies.problems).toEqual([`spec.egress[0]: ${problem}; the rule denies everything`]);
      expect(denies.egress).toEqual([closed]);
    }
  });

  it('denies everything for an action that it does not know', () => {
    expect(egress({ action: 'Log', to: [everybody] }).egress).toEqual([closed]);
  });

  it('applies to no pod when the subject is unknown', () => {
    const policy = parse('AdminNetworkPolicy', { priority: 1, subject: { planets: {} } });
    expect(policy.problems).toEqual(['spec.subject: neither namespaces nor pods is set; the policy applies to no pod']);
    expect(policy.subject.namespaces).toEqual([{ key: 'kubernetes.io/metadata.name', operator: 'In', values: [] }]);
  });
});
