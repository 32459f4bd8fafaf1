import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { TestContainer } from '../src/containers.ts';
import { kubevirtDefinitions } from '../src/kubevirt.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod, subnet } from '../src/objects.ts';

interface Role {
  readonly kind: string;
  readonly rules?: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

/** `verb group/resource` for each permission in a file of deploy/rbac. */
function granted(file: string): Set<string> {
  const text = readFileSync(new URL(`../../deploy/rbac/${file}`, import.meta.url), 'utf8');
  const roles = parseAllDocuments(text).map((document) => document.toJS() as Role);
  return new Set(
    roles.flatMap((role) =>
      (role.rules ?? []).flatMap((rule) =>
        rule.apiGroups.flatMap((group) =>
          rule.resources.flatMap((resource) => rule.verbs.map((verb) => `${verb} ${group}/${resource}`)),
        ),
      ),
    ),
  );
}

interface VerbCount {
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
}

/** Least privilege, both ways: nothing is used that is not granted, nothing is granted that is not used. */
describe('RBAC', () => {
  let lab: TestLab;
  const ns = 'rbac';

  // Of each kind with a status of ours, for no pod.
  const policies = [
    { version: 'v1alpha1', kind: 'AdminNetworkPolicy', name: 'rbac', more: { priority: 7 } },
    { version: 'v1alpha1', kind: 'BaselineAdminNetworkPolicy', name: 'default', more: {} },
    { version: 'v1alpha2', kind: 'ClusterNetworkPolicy', name: 'rbac', more: { tier: 'Admin', priority: 7 } },
  ].map(({ version, kind, name, more }) => ({
    apiVersion: `policy.networking.k8s.io/${version}`,
    kind,
    metadata: { name },
    spec: { ...more, subject: { namespaces: { matchLabels: { nobody: 'rbac' } } } },
  }));

  const addresses = [
    { kind: 'IPPool', spec: { subnet: 'rbac', ips: ['10.47.0.200'] } },
    { kind: 'SecurityGroup', spec: {} },
    { kind: 'Vip', spec: { subnet: 'rbac', namespace: ns } },
    { kind: 'QoSPolicy', spec: { allowedNamespaces: [ns], egress: [{ dscp: 1 }] } },
    { kind: 'IP', spec: { subnet: 'rbac', v4IpAddress: '10.47.0.201' } },
    // Not `rbac`: the address of the Vip has an IP of that name.
  ].map((more) => ({
    apiVersion: 'ovenbird.io/v1',
    metadata: { name: more.kind === 'IP' ? 'rbac-reserved' : 'rbac' },
    ...more,
  }));

  // A scenario in which controller and agents use everything they may.
  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(...kubevirtDefinitions);
    const many = Array.from({ length: 25 }, (_, index) => pod(ns, `many-${index}`, { node: 'node-1' }));
    await lab.apply(
      namespace(ns),
      subnet('rbac', { cidrBlock: '10.47.0.0/24', namespaces: [ns] }),
      pod(ns, 'events', { node: 'node-2' }),
      ...addresses,
      ...policies,
      ...many,
    );
    await lab.podsReady(ns);
    // The same event of the same pod again is counted, not written anew.
    for (const [index, key] of ['egress_rate', 'note', 'other_note'].entries()) {
      await lab.kubectl(['annotate', 'pod', 'events', '-n', ns, `ovn.kubernetes.io/${key}=much`]);
      await counted('InvalidAnnotation', index + 1);
    }
    // Containers outside of Kubernetes: one, and one that is refused.
    await using one = await TestContainer.create(lab, 'node-1', 'rbac-one');
    await using two = await TestContainer.create(lab, 'node-1', 'rbac-two');
    expect((await one.add({ args: 'IP=10.16.202.1' })).code).toBeUndefined();
    expect((await two.add({ args: 'IP=10.16.202.1' })).code).toBe(104);
    await one.del();
    // A foreign firewall that drops what is forwarded, as Docker leaves it, twice.
    for (const count of [1, 2]) {
      await lab.onNode(
        'node-3',
        'nft',
        'add table ip foreign; add chain ip foreign FORWARD { type filter hook forward priority 0; policy drop; }',
      );
      await counted('ForwardingBlocked', count);
      await lab.onNode('node-3', 'nft', 'delete', 'table', 'ip', 'foreign');
      await lab.waitFor(
        'the agent sees that forwarding is open again',
        async () =>
          ((blocking) => blocking.length === 0 || blocking.join())(
            (await lab.agentStatus<{ forwarding: { blocking: string[] } }>('node-3')).forwarding.blocking,
          ),
        20_000,
      );
    }
    // Deletions while no controller runs: it asks for each pod before it deletes so many ports.
    await lab.stopProcess('controller');
    await lab.delete(many, '--wait=true');
    await lab.startProcess('controller');
    await lab.waitFor(
      'the ports of the deleted pods are gone',
      async () =>
        ((left) => left.length === 0 || left.join(' '))(
          (await lab.leftovers()).logicalPorts.filter((name) => name.startsWith('many-')),
        ),
      30_000,
    );
  });

  /** Waits until an event with this reason was seen so often. */
  async function counted(reason: string, count: number): Promise<void> {
    await lab.waitFor(
      `${count} times event ${reason}`,
      async () => {
        const { items } = await lab.get<{ items: { reason: string; count?: number }[] }>('events', '--all-namespaces');
        const event = items.find((item) => item.reason === reason);
        return (event?.count ?? 0) >= count
          ? true
          : `seen ${event?.count ?? 0} times; there are ${[...new Set(items.map((item) => item.reason))].join(' ')}`;
      },
      20_000,
    );
  }
  afterAll(async () => {
    await lab.delete([namespace(ns), ...addresses, ...policies], '--wait=true', '--timeout=60s');
    await lab.delete(kubevirtDefinitions);
    await lab.kubectlAny(['delete', 'subnet', 'rbac', '--ignore-not-found', '--timeout=30s']);
  });

  const used = async (user: string): Promise<Set<string>> => {
    const { items } = JSON.parse(await lab.kubectl(['get', '--raw', '/lab/verbs'])) as { items: VerbCount[] };
    return new Set(
      items
        .filter((item) => item.user === `system:serviceaccount:kube-system:${user}` && item.resource !== '')
        .map(
          (item) =>
            `${item.verb} ${item.group}/${item.resource}${item.subresource === undefined || item.subresource === '' ? '' : `/${item.subresource}`}`,
        ),
    );
  };

  it.each([
    ['controller.yaml', 'ovenbird-controller'],
    ['agent.yaml', 'ovenbird-agent'],
  ])('grants in %s exactly what %s uses', async (file, user) => {
    const permissions = granted(file);
    expect([...(await used(user))].filter((permission) => !permissions.has(permission))).toEqual([]);
    await lab.waitFor(
      'everything granted is used',
      async () => {
        const seen = await used(user);
        const idle = [...permissions].filter((permission) => !seen.has(permission));
        return idle.length === 0 || `never used: ${idle.join(', ')}`;
      },
      20_000,
    );
  });

  it("keeps an agent to its own node: neither another node's status nor its IPs nor events about it", async () => {
    const file = `${lab.layout.config}/agent-node-1.kubeconfig`;
    const { clusters, users } = JSON.parse(readFileSync(file, 'utf8')) as {
      clusters: [{ cluster: { server: string } }];
      users: [{ user: { token: string } }];
    };
    const asAgent = async (method: string, path: string, type: string, body: unknown): Promise<string> =>
      await lab.onNode(
        'node-1',
        ...['curl', '-sk', '-X', method, '-H', `Authorization: Bearer ${users[0].user.token}`],
        ...[
          '-H',
          `Content-Type: application/${type}`,
          '-d',
          JSON.stringify(body),
          `${clusters[0].cluster.server}${path}`,
        ],
      );
    const status = (node: string): Promise<string> =>
      asAgent('PATCH', `/api/v1/nodes/${node}/status`, 'strategic-merge-patch+json', {
        status: { conditions: [{ type: 'ovenbird.io/Test', status: 'True', reason: 'Test', message: 'x' }] },
      });
    const ip = (node: string): Promise<string> =>
      asAgent('POST', '/apis/ovenbird.io/v1/ips?dryRun=All', 'json', {
        apiVersion: 'ovenbird.io/v1',
        kind: 'IP',
        metadata: { name: `attach-0123456789ab-${node}` },
        spec: {
          subnet: 'ovn-default',
          nodeName: node,
          containerID: 'x',
          attachment: { interface: 'eth0', network: 'x' },
        },
      });
    const event = (node: string): Promise<string> =>
      asAgent('POST', '/api/v1/namespaces/default/events?dryRun=All', 'json', {
        kind: 'Event',
        metadata: { name: 'rbac-test' },
        involvedObject: { kind: 'Node', name: node },
        reason: 'Test',
        type: 'Normal',
      });
    for (const write of [status, ip, event]) {
      expect(JSON.parse(await write('node-1'))).not.toMatchObject({ kind: 'Status' });
      expect(JSON.parse(await write('node-2'))).toMatchObject({
        code: 403,
        message: expect.stringContaining('ovenbird-agent-own-node') as unknown,
      });
    }
    const remove = { status: { conditions: [{ type: 'ovenbird.io/Test', $patch: 'delete' }] } };
    await lab.kubectl([
      'patch',
      'node',
      'node-1',
      '--subresource=status',
      '--type=strategic',
      '-p',
      JSON.stringify(remove),
    ]);
  });
});
