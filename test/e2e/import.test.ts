import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunResult, runAny } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

const cli = fileURLToPath(new URL('../../cli/bin/ovenbird.mjs', import.meta.url));

/** Kinds of Kube-OVN by their public names, without schemas. */
const definitions: readonly Manifest[] = [
  ['Vpc', 'vpcs'],
  ['Subnet', 'subnets'],
  ['IP', 'ips'],
  ['IPPool', 'ippools'],
  ['Vip', 'vips'],
  ['SecurityGroup', 'security-groups'],
  ['QoSPolicy', 'qos-policies'],
  ['Vlan', 'vlans'],
].map(([kind = '', plural = '']) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.kubeovn.io` },
  spec: {
    group: 'kubeovn.io',
    scope: 'Cluster',
    names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}));
const theirs = (kind: string, name: string, spec: object, more: object = {}): Manifest => ({
  apiVersion: 'kubeovn.io/v1',
  kind,
  metadata: { name, ...more },
  spec,
});

/** What a cluster with Kube-OVN has, read from its API server, and in force here afterwards. */
describe('ovenbird import kube-ovn', () => {
  let lab: TestLab;
  const ns = 'imported';
  const directory = mkdtempSync(join(tmpdir(), 'ovenbird-import-'));
  const objects = [
    theirs('Vpc', 'imported-vpc', { namespaces: [ns], staticRoutes: [], enableExternal: false }),
    theirs('Subnet', 'imported', {
      vpc: 'ovn-cluster',
      protocol: 'IPv4',
      cidrBlock: '10.136.0.9/24',
      gateway: '10.136.0.1',
      excludeIps: ['10.136.0.1', '10.136.0.2..10.136.0.99'],
      gatewayType: 'centralized',
      gatewayNode: 'node-1',
      namespaces: [ns],
      private: true,
      provider: 'ovn',
      enableLb: true,
    }),
    theirs('IPPool', 'imported-pool', { subnet: 'imported', ips: ['10.136.0.128/26'], enableAddressSet: false }),
    theirs('Vip', 'imported-vip', { subnet: 'imported', namespace: ns, v4ip: '10.136.0.120', selector: [], type: '' }),
    theirs('SecurityGroup', 'imported-group', {
      allowSameGroupTraffic: true,
      ingressRules: [
        {
          ipVersion: 'ipv4',
          protocol: 'icmp',
          priority: 1,
          remoteType: 'address',
          remoteAddress: '0.0.0.0/0',
          policy: 'allow',
        },
      ],
    }),
    theirs('QoSPolicy', 'imported-qos', {
      bindingType: 'EIP',
      bandwidthLimitRules: [{ name: 'in', direction: 'ingress', rateMax: '10', burstMax: '1' }],
    }),
    theirs(
      'IP',
      'held.imported',
      { podName: 'held', namespace: ns, podType: 'StatefulSet', subnet: 'imported', v4IpAddress: '10.136.0.110' },
      { labels: { 'ovn.kubernetes.io/ip_reserved': 'true' } },
    ),
    theirs('Vlan', 'imported-vlan', { id: 5, provider: 'office' }),
  ];
  let written = '';

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(...definitions, namespace(ns, { 'ovn.kubernetes.io/mirror': 'true' }));
    await lab.kubectl(['wait', '--for=condition=Established', '--timeout=20s', 'crd', '--all']);
    await lab.apply(...objects);
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    await lab.delete([namespace(ns), ...definitions], '--wait=true', '--timeout=60s');
    if (written !== '') await lab.kubectl(['delete', '--ignore-not-found', '--timeout=60s', '-f', '-'], written);
  });

  const run = async (...args: readonly string[]): Promise<RunResult> =>
    await runAny([process.execPath, cli, 'import', 'kube-ovn', ...args]);

  it('reads a live cluster and says what has no counterpart', async () => {
    const { code, stdout, stderr } = await run('--kubeconfig', lab.layout.kubeconfig);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('written: 1 Vpc, 1 Subnet, 1 IPPool, 1 Vip, 1 SecurityGroup, 1 QoSPolicy, 1 IP\n');
    for (const text of [
      /Subnet\/imported +spec\.gatewayNode +not built yet/,
      /QoSPolicy\/imported-qos +spec\.bindingType +EIP has no counterpart/,
      /Vlan\/imported-vlan +- +not written/,
      /Namespace\/imported +ovn\.kubernetes\.io\/mirror +traffic is not mirrored/,
    ])
      expect(stderr).toMatch(text);
    written = stdout;
  });

  it('reads the same from a file', async () => {
    const file = join(directory, 'kube-ovn.yaml');
    const lists = await Promise.all(
      definitions.map(
        async ({ metadata }) => await lab.kubectl(['get', (metadata as { name: string }).name, '-o', 'yaml']),
      ),
    );
    writeFileSync(file, lists.join('---\n'));
    expect((await run(file)).stdout).toBe(written);
    const missing = await run(join(directory, 'none.yaml'));
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('none.yaml')]);
  });

  it('writes what the API server takes and what is in force then', async () => {
    await lab.kubectl(['apply', '-f', '-'], written);
    const ours = parseAllDocuments(written).map(
      (document) => document.toJS() as { kind: string; metadata: { name: string } },
    );
    const plurals: Readonly<Record<string, string>> = { QoSPolicy: 'qospolicies', SecurityGroup: 'security-groups' };
    await lab.kubectl([
      'wait',
      '--for=condition=Ready',
      '--timeout=30s',
      ...ours.map(({ kind, metadata }) => `${plurals[kind] ?? `${kind.toLowerCase()}s`}.ovenbird.io/${metadata.name}`),
    ]);
    await lab.apply(
      pod(ns, 'held'),
      pod(ns, 'plain'),
      pod(ns, 'pooled', { annotations: { 'ovn.kubernetes.io/ip_pool': 'imported-pool' } }),
    );
    await lab.podsReady(ns, 40);
    const address = async (name: string): Promise<string | undefined> =>
      addressesOf(await lab.get<PodObject>('pod', name, '-n', ns))[0];
    expect(await address('held')).toBe('10.136.0.110');
    expect(await address('plain')).toBe('10.136.0.100');
    expect(await address('pooled')).toBe('10.136.0.128');
  });
});
