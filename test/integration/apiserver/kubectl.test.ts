/** The stock kubectl against the lab's API server: what people type. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Harness, startHarness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(async () => api.close());

const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await api.kubectl(...args, '-o', 'json')) as Record<string, unknown>;

const deployment = (replicas: number, extra = ''): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web${extra}}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}
`;

describe('discovery and help', () => {
  it('tells its version, resources and groups', async () => {
    expect(await api.kubectl('version')).toMatch(/Server Version: v1\.\d+\.\d+\+ovenbird-lab/);
    expect(await api.kubectl('api-resources')).toMatch(/deployments +deploy +apps\/v1 +true +Deployment/);
    expect(await api.kubectl('api-versions')).toMatch(/^networking\.k8s\.io\/v1$/m);
    expect(await api.kubectl('get', '--raw', '/readyz')).toBe('ok');
  });

  it('explains fields', async () => {
    const text = await api.kubectl('explain', 'pod.spec.containers.ports');
    expect(text).toMatch(/containerPort\s+<integer> -required-/);
    expect(await api.kubectl('explain', 'networkpolicy.spec', '--recursive')).toMatch(/namespaceSelector/);
  });

  it('says who one is and what one may do', async () => {
    expect(await api.kubectl('auth', 'whoami')).toMatch(/kubernetes-admin/);
    expect(await api.kubectl('auth', 'can-i', 'delete', 'nodes')).toBe('yes\n');
    expect((await api.run(['auth', 'can-i', 'list', 'pods'], { user: 'joe' })).stdout).toBe('no\n');
    const refused = await api.run(['get', 'pods'], { user: 'joe' });
    expect(refused.stderr).toMatch(/User "joe" cannot list resource "pods" in API group "" in the namespace "default"/);
  });
});

describe('objects', () => {
  it('are made by the imperative commands', async () => {
    await api.kubectl('create', 'namespace', 'made');
    await api.kubectl('-n', 'made', 'create', 'configmap', 'cm', '--from-literal=a=b');
    await api.kubectl('-n', 'made', 'create', 'secret', 'generic', 's', '--from-literal=a=b');
    await api.kubectl('-n', 'made', 'create', 'deployment', 'd', '--image=x', '--port=80', '--replicas=0');
    await api.kubectl('-n', 'made', 'run', 'p', '--image=x', '--', 'sleep', '1');
    await api.kubectl('-n', 'made', 'expose', 'pod', 'p', '--port=80');
    await api.kubectl('-n', 'made', 'create', 'role', 'r', '--verb=get', '--resource=pods');
    await api.kubectl('-n', 'made', 'create', 'rolebinding', 'b', '--role=r', '--user=joe');
    expect((await api.run(['-n', 'made', 'get', 'pod', 'p'], { user: 'joe' })).stdout).toMatch(/p +0\/1 +Pending/);
    expect(await json('-n', 'made', 'get', 'secret', 's')).toMatchObject({ data: { a: 'Yg==' }, type: 'Opaque' });
    expect(await json('-n', 'made', 'get', 'pod', 'p')).toMatchObject({
      spec: { containers: [{ args: ['sleep', '1'], image: 'x', name: 'p' }], terminationGracePeriodSeconds: 30 },
    });
    expect(await api.kubectl('-n', 'made', 'get', 'all', '-o', 'wide')).toMatch(/service\/p +ClusterIP/);
  });

  it('are applied by the client: created, unchanged, configured, pruned of what went', async () => {
    const apply = async (text: string): Promise<string> =>
      (await api.run(['apply', '-f', '-'], { input: text })).stdout;
    expect(await apply(deployment(2, ', old: "1"'))).toBe('deployment.apps/web created\n');
    expect(await apply(deployment(2, ', old: "1"'))).toBe('deployment.apps/web unchanged\n');
    expect(await apply(deployment(3))).toBe('deployment.apps/web configured\n');
    const web = await json('get', 'deployment', 'web');
    expect(web).toMatchObject({ spec: { replicas: 3 }, metadata: { generation: 2, labels: { app: 'web' } } });
    expect(JSON.stringify(web['metadata'])).not.toMatch(/"old"/);
    await api.kubectl('scale', 'deployment', 'web', '--replicas=5');
    expect(await api.kubectl('get', 'deployment', 'web')).toMatch(/web +0\/5/);
    expect((await api.run(['diff', '-f', '-'], { input: deployment(3) })).stdout).toMatch(/-\s+replicas: 5/);
    await api.kubectl('set', 'image', 'deployment/web', 'c=y');
    await api.kubectl('delete', 'deployment', 'web');
    expect((await api.run(['get', 'deployment', 'web'])).stderr).toMatch(/deployments.apps "web" not found/);
  });

  it('are applied by the server, with owners and conflicts', async () => {
    const apply = (text: string, ...more: string[]): ReturnType<Harness['run']> =>
      api.run(['apply', '--server-side', '-f', '-', ...more], { input: text });
    expect((await apply(deployment(2))).stdout).toBe('deployment.apps/web serverside-applied\n');
    const other = await apply(deployment(3), '--field-manager=other');
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/conflict with "kubectl" using apps\/v1: \.spec\.replicas/);
    expect((await apply(deployment(3), '--field-manager=other', '--force-conflicts')).code).toBe(0);
    const web = await json('get', 'deployment', 'web', '--show-managed-fields');
    const managers = (web['metadata'] as { managedFields: { manager: string }[] }).managedFields.map(
      ({ manager }) => manager,
    );
    expect(managers.sort()).toEqual(['kubectl', 'other']);
    await api.kubectl('delete', 'deployment', 'web');
  });

  it('are refused with the field named, unknown fields too', async () => {
    const bad = await api.run(['apply', '-f', '-'], { input: deployment(1).replace('replicas:', 'replica:') });
    expect(bad.stderr).toMatch(/unknown field "spec.replica"/);
    const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 0}]}\n';
    expect((await api.run(['apply', '-f', '-'], { input: service })).stderr).toMatch(
      /The Service "s" is invalid:[^]*spec\.ports\[0\]\.port: Invalid value: 0: must be between 1 and 65535/,
    );
  });

  it('are patched in three ways, labelled and annotated', async () => {
    await api.kubectl('create', 'configmap', 'patched', '--from-literal=a=1');
    await api.kubectl(
      'patch',
      'configmap',
      'patched',
      '--type=json',
      '-p',
      '[{"op":"add","path":"/data/b","value":"2"}]',
    );
    await api.kubectl('patch', 'configmap', 'patched', '--type=merge', '-p', '{"data":{"a":null}}');
    await api.kubectl('patch', 'configmap', 'patched', '--type=strategic', '-p', '{"data":{"c":"3"}}');
    await api.kubectl('label', 'configmap', 'patched', 'x=y');
    await api.kubectl('annotate', 'configmap', 'patched', 'note=hello');
    expect(await json('get', 'configmap', 'patched')).toMatchObject({
      data: { b: '2', c: '3' },
      metadata: { labels: { x: 'y' }, annotations: { note: 'hello' } },
    });
    expect(await api.kubectl('get', 'configmap', '-l', 'x in (y,z)', '-o', 'name')).toBe('configmap/patched\n');
  });

  it('are tried without being stored', async () => {
    expect(await api.kubectl('create', 'configmap', 'dry', '--dry-run=server')).toMatch(/created \(server dry run\)/);
    const applied = await api.run(['apply', '--dry-run=server', '-f', '-', '-o', 'json'], { input: deployment(1) });
    expect(JSON.parse(applied.stdout)).toMatchObject({ spec: { revisionHistoryLimit: 10 } });
    expect((await api.run(['get', 'configmap', 'dry'])).code).toBe(1);
    expect((await api.run(['get', 'deployment', 'web'])).code).toBe(1);
  });

  it('are described with their events', async () => {
    await api.kubectl('run', 'described', '--image=x', '--overrides={"spec":{"nodeName":"n1"}}');
    const { metadata } = await json('get', 'pod', 'described');
    const { uid } = metadata as { uid: string };
    await api.request('POST', '/api/v1/namespaces/default/events', {
      metadata: { name: 'described.1' },
      involvedObject: { kind: 'Pod', name: 'described', namespace: 'default', uid },
      reason: 'Tested',
      message: 'seen by describe',
      type: 'Normal',
      count: 1,
      lastTimestamp: '2026-01-01T00:00:00Z',
    });
    expect(await api.kubectl('describe', 'pod', 'described')).toMatch(/Tested .* seen by describe/);
    expect(await api.kubectl('get', 'events', '--field-selector', 'involvedObject.name=described')).toMatch(
      /pod\/described +seen by describe/,
    );
    expect(await api.kubectl('events')).toMatch(/seen by describe/);
    expect(await api.kubectl('describe', 'service', 'kubernetes')).toMatch(/IP: +10\.96\.0\.1/);
    expect(await api.kubectl('describe', 'namespace', 'default')).toMatch(/Status: +Active/);
    await api.kubectl('delete', 'pod', 'described', '--grace-period=0', '--force');
  });

  it('are listed in chunks, by node and by phase', async () => {
    for (const name of ['a1', 'a2', 'a3']) {
      await api.kubectl(
        'run',
        name,
        '--image=x',
        '--labels=chunk=yes',
        `--overrides={"spec":{"nodeName":"node-${name}"}}`,
      );
    }
    const listed = await api.kubectl('get', 'pods', '-l', 'chunk=yes', '--chunk-size=1', '-o', 'name');
    expect(listed).toBe('pod/a1\npod/a2\npod/a3\n');
    expect(await api.kubectl('get', 'pods', '-A', '--field-selector', 'spec.nodeName=node-a2', '-o', 'name')).toBe(
      'pod/a2\n',
    );
    expect(await api.kubectl('get', 'pods', '-l', 'chunk=yes', '-o', 'wide')).toMatch(
      /a3 +0\/1 +Pending +0 +\d+s +<none> +node-a3/,
    );
    await api.kubectl('delete', 'pods', '-l', 'chunk=yes', '--grace-period=0', '--force');
  });
});

describe('waiting', () => {
  it('watches changes, waits for conditions and for deletion', async () => {
    await api.kubectl('run', 'watched', '--image=x', '--overrides={"spec":{"nodeName":"n1"}}');
    const watch = api.start('get', 'pod', 'watched', '-w');
    await eventually('the first line', () => (watch.output().includes('Pending') ? true : undefined), watch.output);
    const wait = api.kubectl('wait', '--for=condition=Ready', 'pod/watched', '--timeout=20s');
    await api.request(
      'PATCH',
      '/api/v1/namespaces/default/pods/watched/status',
      {
        status: {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [{ name: 'watched', ready: true, state: { running: {} } }],
        },
      },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
    expect(await wait).toBe('pod/watched condition met\n');
    await eventually('the change', () => (/1\/1 +Running/.test(watch.output()) ? true : undefined), watch.output);
    const gone = api.kubectl('wait', '--for=delete', 'pod/watched', '--timeout=20s');
    await api.kubectl('delete', 'pod', 'watched', '--wait=false');
    await eventually('the mark', () => (watch.output().includes('Terminating') ? true : undefined), watch.output);
    await api.request('DELETE', '/api/v1/namespaces/default/pods/watched', { gracePeriodSeconds: 0 });
    await gone;
    watch.stop();
  });
});
