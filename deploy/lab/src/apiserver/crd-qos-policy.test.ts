import { QOSPOLICIES, type QoSPolicy } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { crdValidator } from './testing/crd-validator.ts';

const validate = crdValidator(QOSPOLICIES.crd());
const says = (more: object): string => {
  const spec = { appliesTo: [{ namespaces: ['a'] }], egress: [{ rate: '20M' }], ...more } as QoSPolicy['spec'];
  const object: QoSPolicy = { metadata: { name: 'a' }, spec };
  const problems = validate(object);
  const own = QOSPOLICIES.problems(object);
  expect(own.length > 0, JSON.stringify(own)).toBe(problems.length > 0);
  return problems.map(({ field, message }) => `${field}: ${message}`).join('\n');
};
const egress = (...rules: readonly object[]): object => ({ egress: rules });

describe('QoSPolicy', () => {
  it.each<[object]>([
    [{}],
    [{ priority: 1000, shared: true, appliesTo: [], allowedNamespaces: ['*'] }],
    [{ egress: [], ingress: [{ rate: '999G', burst: '1k' }, { dscp: 0 }] }],
    [egress({ dscp: 46, protocol: 'udp', remotePorts: [{ port: 5060, endPort: 5061 }], cidrs: ['10.0.0.0/8'] })],
    [egress({ rate: '512k', protocol: 'icmp', cidrs: ['fd00::/64', '192.0.2.7/32'] })],
    [{ appliesTo: [{ podSelector: {} }, { subnets: ['a.b'], namespaceSelector: { matchLabels: { a: 'b' } } }] }],
  ])('accepts %j', (more) => {
    expect(says(more)).toBe('');
  });

  it.each<[object, string]>([
    [{ priority: 1001 }, 'must be <= 1000'],
    [{ egress: [] }, 'a policy needs a rule: write ingress, egress or both'],
    [{ appliesTo: [] }, 'write appliesTo, or allowedNamespaces'],
    [{ appliesTo: [{}] }, 'say which pods'],
    [{ appliesTo: [{ namespaces: ['a'], namespaceSelector: {} }] }, 'not both'],
    [
      { appliesTo: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }] },
      'In and NotIn need values',
    ],
    [{ allowedNamespaces: ['A'] }, 'or "*" for all of them'],
    [egress({}), 'a rule needs something to do'],
    [egress({ rate: '20' }), 'write a whole number with k, M or G, such as 20M'],
    [egress({ rate: '0M' }), 'such as 20M'],
    [egress({ rate: '1.5M' }), 'such as 20M'],
    [egress({ rate: '1000G' }), 'at most 999G'],
    [egress({ dscp: 1, burst: '1M' }), 'burst belongs to a rate'],
    [egress({ dscp: 64 }), 'must be <= 63'],
    [egress({ rate: '1M', localPorts: [{ port: 80 }] }), 'write protocol: tcp, udp or sctp'],
    [egress({ rate: '1M', protocol: 'icmp', remotePorts: [{ port: 80 }] }), 'write protocol: tcp, udp or sctp'],
    [egress({ rate: '1M', protocol: 'tcp', remotePorts: [{ port: 80, endPort: 79 }] }), 'not less than port'],
    [egress({ rate: '1M', cidrs: ['10.0.0.1/8'] }), 'write a CIDR without host bits'],
    [egress({ rate: '1M', cidrs: ['10.0.0.1'] }), 'write a CIDR without host bits'],
  ])('refuses %j', (more, message) => {
    expect(says(more)).toContain(message);
  });
});
