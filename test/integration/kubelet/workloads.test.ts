import { ENDPOINTSLICES, NAMESPACES, resourceKind, SERVICES } from '@ovenbird/kube';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  DAEMONSETS,
  DEPLOYMENTS,
  ENDPOINTS,
  JOBS,
  LAB_NODES,
  LAB_PODS,
  LAB_STATEFULSETS,
  type LabPod,
  REPLICASETS,
} from '../../../deploy/lab/src/workloads/objects.ts';
import { Cluster } from './cluster.ts';

const cluster = new Cluster('workloads');
const nodes = ['node-a', 'node-b', 'node-c'];

beforeAll(async () => {
  await cluster.start({ kubelet: false });
  await cluster.pretendNodes(nodes);
});

afterAll(async () => {
  await cluster.stop();
});

const labelled = (app: string): { matchLabels: Record<string, string> } => ({ matchLabels: { app } });

const template = (
  app: string,
  image = 'one',
): { metadata: { labels: Record<string, string> }; spec: LabPod['spec'] } => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'main', image, ports: [{ name: 'web', containerPort: 8080 }] }] },
});

async function podsOf(app: string): Promise<LabPod[]> {
  return (await cluster.pods()).filter(({ metadata }) => metadata.labels?.['app'] === app);
}

/** Waits until exactly so many pods of the app exist that satisfy `good`, and no others. */
async function settled(app: string, count: number, good: (pod: LabPod) => boolean = isUp): Promise<LabPod[]> {
  return await cluster.until(
    `${count} pods of ${app}`,
    async () => {
      const pods = await podsOf(app);
      return pods.length === count && pods.every(good) ? pods : undefined;
    },
    () => podsOf(app),
  );
}

const isUp = (pod: LabPod): boolean => pod.status?.podIP !== undefined && pod.metadata.deletionTimestamp === undefined;
const image = (wanted: string) => (pod: LabPod) => isUp(pod) && pod.spec.containers[0]?.image === wanted;

describe('scheduler', () => {
  test('waits when no node fits, says why, and goes on when one does', async () => {
    await cluster.pod('picky', { nodeSelector: { disk: 'fast' } });
    const why = await cluster.until('a condition', async () => {
      const pod = await cluster.client.resource(LAB_PODS).get({ namespace: 'default', name: 'picky' });
      return pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    });
    expect(why).toMatchObject({ status: 'False', reason: 'Unschedulable' });
    expect(why.message).toBe("0/3 nodes are available: 3 node(s) didn't match Pod's node selector.");
    await cluster.client.resource(LAB_NODES).patch({ name: 'node-b' }, { metadata: { labels: { disk: 'fast' } } });
    const pod = await cluster.phase('picky', 'Running');
    expect(pod.spec.nodeName).toBe('node-b');
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'picky' });
    await cluster.gone('picky');
  });
});

describe('Deployment', () => {
  test('spreads, rolls over, scales, and goes with its pods', async () => {
    const deployments = cluster.client.resource(DEPLOYMENTS);
    const metadata = { namespace: 'default', name: 'web' };
    await deployments.create({ metadata, spec: { replicas: 6, selector: labelled('web'), template: template('web') } });
    const first = await settled('web', 6);
    for (const node of nodes) expect(first.filter(({ spec }) => spec.nodeName === node)).toHaveLength(2);
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=20s');
    await deployments.patch(metadata, { spec: { template: template('web', 'two') } });
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=20s');
    await settled('web', 6, image('two'));
    expect(await cluster.kubectl('rollout', 'history', 'deployment/web')).toMatch(/^1 .*\n2 /m);
    await cluster.kubectl('rollout', 'undo', 'deployment/web');
    await settled('web', 6, image('one'));
    await cluster.kubectl('scale', 'deployment/web', '--replicas=1');
    await settled('web', 1);
    await cluster.kubectl('wait', '--for=condition=Available', 'deployment/web', '--timeout=10s');
    await cluster.kubectl('delete', 'deployment', 'web', '--cascade=foreground', '--timeout=20s');
    expect(await podsOf('web')).toEqual([]);
    expect((await cluster.client.resource(REPLICASETS).list()).items).toEqual([]);
  });

  test('--cascade=orphan leaves the ReplicaSet, which still makes pods', async () => {
    const metadata = { namespace: 'default', name: 'kept' };
    const deployments = cluster.client.resource(DEPLOYMENTS);
    await deployments.create({
      metadata,
      spec: { replicas: 1, selector: labelled('kept'), template: template('kept') },
    });
    const [pod] = await settled('kept', 1);
    await cluster.kubectl('delete', 'deployment', 'kept', '--cascade=orphan');
    await cluster.client.resource(LAB_PODS).delete(pod?.metadata ?? { name: '' });
    await settled('kept', 1, (other) => isUp(other) && other.metadata.uid !== pod?.metadata.uid);
    const [replicaSet] = (await cluster.client.resource(REPLICASETS).list()).items;
    expect(replicaSet?.metadata.ownerReferences).toBeUndefined();
    await cluster.client.resource(REPLICASETS).delete(replicaSet?.metadata ?? { name: '' });
    await settled('kept', 0);
  });
});

describe('StatefulSet', () => {
  test('creates in order with stable names, makes a deleted pod again, shrinks from the top', async () => {
    const sets = cluster.client.resource(LAB_STATEFULSETS);
    const metadata = { namespace: 'default', name: 'db' };
    const spec = {
      replicas: 3,
      serviceName: 'db',
      ordinals: { start: 5 },
      selector: labelled('db'),
      template: template('db'),
    };
    await sets.create({ metadata, spec });
    const pods = await settled('db', 3);
    const byAge = pods.toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion));
    expect(byAge.map((pod) => pod.metadata.name)).toEqual(['db-5', 'db-6', 'db-7']);
    expect(pods[0]?.spec).toMatchObject({ hostname: pods[0]?.metadata.name, subdomain: 'db' });
    const old = pods.find((pod) => pod.metadata.name === 'db-6');
    await cluster.client.resource(LAB_PODS).delete({ namespace: 'default', name: 'db-6' });
    await settled('db', 3, (pod) => isUp(pod) && pod.metadata.uid !== old?.metadata.uid);
    await sets.patch(metadata, { spec: { template: template('db', 'two') } });
    await settled('db', 3, image('two'));
    await cluster.kubectl('rollout', 'status', 'statefulset/db', '--timeout=20s');
    await cluster.kubectl('scale', 'statefulset/db', '--replicas=1');
    const [last] = await settled('db', 1);
    expect(last?.metadata.name).toBe('db-5');
    await cluster.kubectl('delete', 'statefulset', 'db');
    await settled('db', 0);
  });
});

describe('DaemonSet', () => {
  test('one pod on every node, also on new ones; none on a removed one', async () => {
    const metadata = { namespace: 'default', name: 'each' };
    await cluster.client
      .resource(DAEMONSETS)
      .create({ metadata, spec: { selector: labelled('each'), template: template('each') } });
    const pods = await settled('each', 3);
    expect(new Set(pods.map(({ spec }) => spec.nodeName))).toEqual(new Set(nodes));
    await cluster.client.resource(LAB_NODES).create({ metadata: { name: 'node-d' } });
    await settled('each', 4, () => true);
    await cluster.client.resource(LAB_NODES).delete({ name: 'node-d' });
    await settled('each', 3);
    await cluster.kubectl('rollout', 'status', 'daemonset/each', '--timeout=20s');
    await cluster.client.resource(DAEMONSETS).delete(metadata);
    await settled('each', 0);
  });
});

describe('Job', () => {
  test('runs its completions in parallel and ends', async () => {
    const metadata = { namespace: 'default', name: 'sum' };
    const spec = { completions: 3, parallelism: 2, template: template('sum') };
    await cluster.client.resource(JOBS).create({
      metadata,
      spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, restartPolicy: 'Never' } } },
    });
    for (let done = 0; done < 3; done += 1) {
      const pod = await cluster.until('an active pod', async () =>
        (await podsOf('sum')).find((candidate) => candidate.status?.phase === 'Running'),
      );
      const active = (await podsOf('sum')).filter(({ status }) => status?.phase !== 'Succeeded');
      expect(active.length).toBeLessThanOrEqual(2);
      await cluster.client.resource(LAB_PODS).patchStatus(pod.metadata, { status: { phase: 'Succeeded' } });
    }
    await cluster.kubectl('wait', '--for=condition=Complete', 'job/sum', '--timeout=10s');
    expect((await cluster.client.resource(JOBS).get(metadata)).status?.succeeded).toBe(3);
    await cluster.kubectl('delete', 'job', 'sum');
    await settled('sum', 0);
  });
});

describe('Endpoints and EndpointSlices', () => {
  test('follow the pods in both families, by named port', async () => {
    const metadata = { namespace: 'default', name: 'front' };
    await cluster.client.resource(SERVICES).create({
      metadata,
      spec: {
        selector: { app: 'front' },
        ipFamilies: ['IPv4', 'IPv6'],
        ipFamilyPolicy: 'RequireDualStack',
        ports: [{ name: 'http', port: 80, targetPort: 'web' }],
      },
    });
    const deployment = { replicas: 3, selector: labelled('front'), template: template('front') };
    await cluster.client.resource(DEPLOYMENTS).create({ metadata, spec: deployment });
    const pods = await settled('front', 3);
    const look = async (): Promise<unknown[]> => {
      const { items } = await cluster.client.resource(ENDPOINTSLICES).list({ namespace: 'default' });
      return items
        .filter(({ metadata: { labels } }) => labels?.['kubernetes.io/service-name'] === 'front')
        .map(({ addressType, ports, endpoints }) => ({
          addressType,
          ports,
          addresses: (endpoints ?? [])
            .flatMap(({ addresses, conditions }) => (conditions?.ready ? addresses : []))
            .toSorted(),
        }))
        .toSorted((a, b) => a.addressType.localeCompare(b.addressType));
    };
    const ports = [{ name: 'http', protocol: 'TCP', port: 8080 }];
    const addresses = (list: LabPod[], index: number): string[] =>
      list.map(({ status }) => status?.podIPs?.[index]?.ip ?? '').toSorted();
    const wanted = (list: LabPod[]): unknown[] => [
      { addressType: 'IPv4', ports, addresses: addresses(list, 0) },
      { addressType: 'IPv6', ports, addresses: addresses(list, 1) },
    ];
    const reached = async (list: LabPod[]): Promise<void> => {
      const text = JSON.stringify(wanted(list));
      await cluster.until('slices', async () => (JSON.stringify(await look()) === text ? true : undefined), look);
    };
    await reached(pods);
    const endpoints = await cluster.client.resource(ENDPOINTS).get(metadata);
    expect(endpoints.subsets?.[0]).toMatchObject({ ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] });
    const [first, ...rest] = pods;
    const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: '2020-01-01T00:00:00Z' }];
    await cluster.client.resource(LAB_PODS).patchStatus(first?.metadata ?? { name: '' }, { status: { conditions } });
    await reached(rest);
    await cluster.kubectl('delete', 'service/front', 'deployment/front');
    await cluster.until('no slices', async () => ((await look()).length === 0 ? true : undefined), look);
    expect(await cluster.client.resource(ENDPOINTS).find(metadata)).toBeUndefined();
    await settled('front', 0);
  });
});

describe('namespaces and custom resources', () => {
  test('a namespace takes its content with it, custom resources too', async () => {
    const crd = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'nests.test.ovenbird.io' },
      spec: {
        group: 'test.ovenbird.io',
        scope: 'Namespaced',
        names: { plural: 'nests', singular: 'nest', kind: 'Nest', listKind: 'NestList' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    };
    const crds = resourceKind({
      group: 'apiextensions.k8s.io',
      version: 'v1',
      kind: 'CustomResourceDefinition',
      plural: 'customresourcedefinitions',
      namespaced: false,
    });
    const nests = resourceKind({
      group: 'test.ovenbird.io',
      version: 'v1',
      kind: 'Nest',
      plural: 'nests',
      namespaced: true,
    });
    await cluster.client.resource(crds).create(crd);
    const namespace = 'doomed';
    await cluster.client.resource(NAMESPACES).create({ metadata: { name: namespace } });
    const nest = await cluster.until('the kind is served', async () => {
      try {
        return await cluster.client.resource(nests).create({ metadata: { name: 'a', namespace } });
      } catch {
        return undefined;
      }
    });
    const owner = { apiVersion: 'test.ovenbird.io/v1', kind: 'Nest', name: 'a', uid: nest.metadata.uid ?? '' };
    await cluster.pod('egg', {}, { namespace, ownerReferences: [owner] });
    await cluster.pod('free', {}, { namespace });
    await cluster.client.resource(nests).delete({ namespace, name: 'a' });
    await cluster.until('the egg goes with its nest', async () =>
      (await cluster.pods(namespace)).length === 1 ? true : undefined,
    );
    await cluster.kubectl('delete', 'namespace', namespace, '--timeout=20s');
    expect(await cluster.pods(namespace)).toEqual([]);
    await cluster.client.resource(crds).delete({ name: 'nests.test.ovenbird.io' });
  });
});
