import { IPPOOLS, IPS, QOSPOLICIES, SECURITYGROUPS, SUBNETS, VIPS, VPCS } from '@ovenbird/crds';
import { describe, expect, it } from 'vitest';
import { parse, render, renderNotes } from '../commands/import.ts';
import { convert, type Imported } from './convert.ts';

const from = (yaml: string): Imported => convert(parse('test.yaml', yaml));
const notesOf = ({ notes }: Imported): readonly string[] =>
  notes.map(({ object, field, why }) => `${object} ${field}: ${why}`);
const spec = (imported: Imported, kind: string, name: string): unknown =>
  imported.objects.find((object) => object.kind === kind && object.metadata.name === name)?.spec;

/** As its controller leaves it: with everything it fills in. */
const subnet = `
apiVersion: kubeovn.io/v1
kind: Subnet
metadata:
  name: marsh
  finalizers: [kubeovn.io/kube-ovn-controller]
  labels: { team: waders, kube-ovn/role: x }
spec:
  vpc: ovn-cluster
  protocol: Dual
  cidrBlock: FD00:90::5/112,10.90.0.7/16
  gateway: fd00:90::1,10.90.0.1
  excludeIps: [10.90.0.1, "fd00:90::1", 10.90.0.2..10.90.0.9]
  gatewayType: centralized
  gatewayNode: node-1
  natOutgoing: true
  private: true
  allowSubnets: [10.91.0.0/16]
  provider: ovn
  enableLb: true
  enableEcmp: false
  mtu: 0
  vlan: ""
  namespaces: [waders]
  acls:
    - { direction: to-lport, priority: 1500, match: "ip4.src == 10.92.0.0/16", action: drop }
status:
  v4usingIPs: 3
`;

describe('import of Kube-OVN', () => {
  it('writes a Subnet in the form that is accepted here, and names what it leaves out', () => {
    const imported = from(subnet);
    expect(imported.objects).toEqual([
      {
        apiVersion: 'ovenbird.io/v1',
        kind: 'Subnet',
        metadata: { name: 'marsh', labels: { team: 'waders' } },
        spec: {
          vpc: 'ovn-cluster',
          protocol: 'Dual',
          cidrBlock: '10.90.0.0/16,fd00:90::/112',
          gateway: '10.90.0.1,fd00:90::1',
          excludeIps: ['10.90.0.2..10.90.0.9'],
          natOutgoing: true,
          private: true,
          allowSubnets: ['10.91.0.0/16'],
          provider: 'ovn',
          enableEcmp: false,
          namespaces: ['waders'],
          acls: [{ direction: 'to-lport', priority: 1500, match: 'ip4.src == 10.92.0.0/16', action: 'drop' }],
        },
      },
    ]);
    const notes = notesOf(imported);
    expect(notes).toContain('Subnet/marsh spec.gatewayNode: not built yet');
    expect(notes.join()).toContain('Subnet/marsh spec.gatewayType: spec.gatewayType centralized is not built yet');
    expect(notes).toHaveLength(2);
  });

  it('does not write what would let through what it should not, nor an underlay', () => {
    const imported = from(`
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: { name: odd }
spec:
  cidrBlock: 10.90.0.0/16
  acls: [{ direction: to-lport, priority: 99999, match: ip4, action: drop }]
---
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: { name: office }
spec: { cidrBlock: 10.93.0.0/16, vlan: vlan7 }
---
apiVersion: kubeovn.io/v1
kind: Vlan
metadata: { name: vlan7 }
spec: { id: 7, provider: office }
---
apiVersion: kubeovn.io/v1
kind: OvnEip
metadata: { name: out }
spec: { externalSubnet: office }
`);
    expect(imported.objects).toEqual([]);
    const notes = notesOf(imported).join('\n');
    expect(notes).toContain('Subnet/odd spec.acls[0].priority: not written:');
    expect(notes).toContain('Subnet/office : not written: a subnet of an underlay network');
    expect(notes).toContain('Vlan/vlan7 : not written: networks of the underlay');
    expect(notes).toContain('OvnEip/out : not written: NAT addresses');
  });

  it('keeps addresses: pools, Vips with what they got, and reservations, but no records of pods that run', () => {
    const imported = from(`
apiVersion: v1
kind: List
items:
  - apiVersion: kubeovn.io/v1
    kind: IP
    metadata: { name: db-0.shop, labels: { ovn.kubernetes.io/ip_reserved: "true", marsh: "", ovn.kubernetes.io/subnet: marsh } }
    spec:
      { podName: db-0, namespace: shop, podType: StatefulSet, subnet: marsh, nodeName: node-1, ipAddress: "10.90.0.20,fd00:90::20",
        v4IpAddress: 10.90.0.20, v6IpAddress: "fd00:90::20", macAddress: "0A:00:00:00:00:20", attachIps: [], containerID: "" }
  - apiVersion: kubeovn.io/v1
    kind: IP
    metadata: { name: web-5f7.shop }
    spec: { podName: web-5f7, namespace: shop, subnet: marsh, v4IpAddress: 10.90.0.21 }
  - apiVersion: kubeovn.io/v1
    kind: IP
    metadata: { name: node-node-1 }
    spec: { podName: node-node-1, subnet: join, v4IpAddress: 100.64.0.2 }
  - apiVersion: kubeovn.io/v1
    kind: IPPool
    metadata: { name: front }
    spec: { subnet: marsh, ips: [10.90.1.5/24, "FD00:90::1:0..fd00:90::1:FF"], namespaces: [shop], enableAddressSet: true }
  - apiVersion: kubeovn.io/v1
    kind: Vip
    metadata: { name: door }
    spec: { subnet: marsh, namespace: shop, v4ip: "", type: "", selector: ["app:web"] }
    status: { v4ip: 10.90.0.77, mac: "0a:00:00:00:00:77" }
  - apiVersion: kubeovn.io/v1
    kind: Vip
    metadata: { name: nobody }
    spec: { subnet: marsh }
  - apiVersion: kubeovn.io/v1
    kind: Vip
    metadata: { name: balance }
    spec: { subnet: marsh, namespace: shop, type: switch_lb_vip }
`);
    expect(imported.objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      'IPPool/front',
      'Vip/door',
      'IP/db-0.shop',
    ]);
    expect(spec(imported, 'IP', 'db-0.shop')).toEqual({
      podName: 'db-0',
      namespace: 'shop',
      podType: 'StatefulSet',
      subnet: 'marsh',
      ipAddress: '10.90.0.20,fd00:90::20',
      v4IpAddress: '10.90.0.20',
      v6IpAddress: 'fd00:90::20',
      macAddress: '0a:00:00:00:00:20',
    });
    expect(spec(imported, 'IPPool', 'front')).toMatchObject({ ips: ['10.90.1.0/24', 'fd00:90::1:0..fd00:90::1:ff'] });
    expect(spec(imported, 'Vip', 'door')).toMatchObject({ v4ip: '10.90.0.77', macAddress: '0a:00:00:00:00:77' });
    const notes = notesOf(imported).join('\n');
    expect(notes).toContain('IP/web-5f7.shop : not written: the record of a pod that has the address now');
    expect(notes).toContain('IP/node-node-1 : not written: the record of a node');
    expect(notes).toContain('Vip/nobody spec.namespace: needed: name the namespace');
    expect(notes).toContain('Vip/balance : not written: a Vip of type switch_lb_vip');
  });

  it('carries SecurityGroups and Vpcs over, and writes none with a rule that it cannot read', () => {
    const rule = `ipVersion: ipv4, protocol: tcp, priority: 5, remoteType: address, remoteAddress: 10.90.0.9/24, remoteSecurityGroup: "", portRangeMin: 80, portRangeMax: 90, policy: allow`;
    const imported = from(`
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: { name: web }
spec:
  allowSameGroupTraffic: true
  tier: 0
  ingressRules: [{ ${rule} }]
status: { portGroup: ovn.sg.web, ingressMd5: x }
---
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: { name: bad }
spec: { ingressRules: [{ ${rule.replace('priority: 5', 'priority: 99999')} }] }
---
apiVersion: kubeovn.io/v1
kind: Vpc
metadata: { name: island }
spec: { namespaces: [shop], enableExternal: true, staticRoutes: [{ cidr: 0.0.0.0/0, nextHopIP: 10.0.0.1 }] }
`);
    expect(imported.objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      'Vpc/island',
      'SecurityGroup/web',
    ]);
    expect(spec(imported, 'SecurityGroup', 'web')).toMatchObject({
      ingressRules: [{ remoteAddress: '10.90.0.0/24', portRangeMin: 80, portRangeMax: 90, policy: 'allow' }],
    });
    expect(notesOf(imported).join('\n')).toContain('SecurityGroup/bad spec.ingressRules[0].priority: not written');
    expect(notesOf(imported)).toContain('Vpc/island spec.staticRoutes: not built yet');
    expect(notesOf(imported)).toContain('Vpc/island spec.enableExternal: not built yet');
  });

  it('says which priorities mean something else on OVN 23.03; SecurityGroups mean the same', () => {
    const acl = (direction: string, priority: number): string =>
      `{ direction: ${direction}, priority: ${priority}, match: ip4, action: drop }`;
    const rule = (priority: number, more = ''): string =>
      `{ ipVersion: ipv4, protocol: all, priority: ${priority}, remoteType: address, remoteAddress: 10.0.0.0/8, policy: drop${more} }`;
    const pass = `{ ipVersion: ipv4, protocol: all, priority: 1, remoteType: securityGroup, remoteSecurityGroup: b, policy: pass }`;
    const toPods = [31_000, 30_999, 5975, 5974, 3002, 3001, 1000, 999, 2, 1, 0].map((priority) =>
      acl('to-lport', priority),
    );
    const imported = from(`
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: { name: marsh }
spec:
  cidrBlock: 10.90.0.0/16
  acls: [${[...toPods, acl('to-lport', 4000), acl('from-lport', 5000)].join(', ')}]
---
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: { name: late }
spec:
  ingressRules: [${rule(2960)}, ${rule(16_384)}]
  egressRules: [${rule(3000)}, ${pass}]
---
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: { name: second }
spec: { tier: 1, ingressRules: [${rule(981)}] }
`);
    expect(imported.objects).toHaveLength(3);
    const order = 'on OVN 23.03 (docs/acl-order.md)';
    expect(notesOf(imported)).toEqual([
      `Subnet/marsh spec.acls: priority 31000 stands before every policy and SecurityGroup, and before what nodes send to their own pods ${order}`,
      `Subnet/marsh spec.acls: priorities 30999, 5975 stand among cluster policies of tier Admin, and before all SecurityGroups ${order}`,
      `Subnet/marsh spec.acls: priorities 5974, 4000, 3002 stand among the rules of SecurityGroups of tier 0 ${order}`,
      `Subnet/marsh spec.acls: priorities 999, 2 stand among the rules of SecurityGroups of tier 1 ${order}`,
    ]);
  });

  it('turns the rates of a QoSPolicy into a policy for pods that somebody labels', () => {
    const imported = from(`
apiVersion: kubeovn.io/v1
kind: QoSPolicy
metadata: { name: slow }
spec:
  bindingType: EIP
  bandwidthLimitRules:
    - { name: late, direction: ingress, rateMax: "20", burstMax: "2", priority: 3 }
    - { name: early, direction: ingress, rateMax: "0.5", priority: 1, matchType: ip, matchValue: src 192.0.2.0/24 }
    - { name: own, direction: egress, rateMax: "5", priority: 1, matchType: ip, matchValue: src 10.0.0.0/8 }
`);
    expect(spec(imported, 'QoSPolicy', 'slow')).toEqual({
      appliesTo: [{ podSelector: { matchLabels: { 'ovenbird.io/qos-policy': 'slow' } } }],
      ingress: [
        { rate: '500k', cidrs: ['192.0.2.0/24'] },
        { rate: '20M', burst: '16M' },
      ],
    });
    const notes = notesOf(imported).join('\n');
    expect(notes).toContain('QoSPolicy/slow spec.bandwidthLimitRules[2]: matchValue "src 10.0.0.0/8"');
    expect(notes).toContain('QoSPolicy/slow spec.bindingType: EIP has no counterpart');
  });

  it('names annotations that mean nothing here, on pods, templates and namespaces', () => {
    const imported = from(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  template:
    metadata:
      annotations:
        ovn.kubernetes.io/ip_pool: front
        ovn.kubernetes.io/mirror: "true"
        blue.shop.ovn.kubernetes.io/ip_address: 10.1.0.5
        blue.shop.ovn.kubernetes.io/north_gateway: 10.1.0.1
        example.org/else: "1"
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations: { ovn.kubernetes.io/logical_switch: marsh, ovn.kubernetes.io/exclude_ips: 10.90.0.1, ovn.kubernetes.io/cidr: 10.90.0.0/16 }
`);
    expect(imported.objects).toEqual([]);
    expect(notesOf(imported)).toEqual([
      'Deployment/shop/web ovn.kubernetes.io/mirror: traffic is not mirrored yet',
      'Deployment/shop/web blue.shop.ovn.kubernetes.io/north_gateway: not built yet; pods leave by their node',
    ]);
  });

  it('prints what can be read again and is accepted as it stands', () => {
    const imported = from(subnet);
    const again = parse('out.yaml', render(imported));
    const kinds = [VPCS, SUBNETS, IPPOOLS, VIPS, SECURITYGROUPS, QOSPOLICIES, IPS];
    for (const object of again) expect(kinds.find(({ kind }) => kind === object.kind)?.problems(object)).toEqual([]);
    expect(again).toEqual(imported.objects);
    expect(renderNotes(imported)).toMatch(/^written: 1 Subnet\n\nOBJECT +FIELD +WHY\n/);
    expect(() => parse('x.yaml', '{')).toThrow('x.yaml');
    expect(() => parse('x.yaml', 'a: 1')).toThrow('without kind');
  });
});
