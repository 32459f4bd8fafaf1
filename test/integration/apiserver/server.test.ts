/** The lab's API server as other programs see it: CRDs, watches, the kubelet behind it, state over restarts. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { KubeClient, PODS, Reflector, Store } from '@ovenbird/kube';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { eventually, type Harness, startHarness } from './harness.ts';

const MANIFESTS = join(import.meta.dirname, '../../../crds/manifests');
const PODS_URL = '/api/v1/namespaces/default/pods';
const pod = (name: string): object => ({
  metadata: { name },
  spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }] },
});

/** A kubelet that answers logs with text, and exec by echoing stdin and exiting with 3. */
async function fakeKubelet(path: string): Promise<Server> {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end(`log of ${request.url ?? ''}\n`);
  });
  const sockets = new WebSocketServer({
    server,
    handleProtocols: (protocols) => (protocols.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : false),
  });
  sockets.on('connection', (socket, request) => {
    const channel = (number: number, text: string): void =>
      socket.send(Buffer.concat([Buffer.from([number]), Buffer.from(text)]));
    channel(1, `ran ${request.url ?? ''}\n`);
    socket.on('message', (data: Buffer) => {
      // Channel 0 is stdin, 255 says that a channel ends.
      if (data[0] === 0) channel(1, `in: ${data.subarray(1).toString()}`);
      if (data[0] !== 255) return;
      const exit = {
        status: 'Failure',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '3' }] },
      };
      channel(3, JSON.stringify(exit));
      socket.close(1000);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

let api: Harness;
let kubelet: Server;
beforeAll(async () => {
  const socket = join('/tmp', `apiserver-test-kubelet-${process.pid}.sock`);
  kubelet = await fakeKubelet(socket);
  api = await startHarness({ state: true, kubeletSocket: socket, historyLimit: 50 });
});
afterAll(async () => {
  await api.close();
  kubelet.closeAllConnections();
  await new Promise((resolve) => kubelet.close(resolve));
});

describe('custom resources of the product', () => {
  it('are established, listed with their columns, explained, defaulted and checked', async () => {
    await api.kubectl('apply', '-f', MANIFESTS);
    await api.kubectl('wait', '--for=condition=Established', 'crd/subnets.ovenbird.io', '--timeout=10s');
    const subnet = (gateway: string): string =>
      `apiVersion: ovenbird.io/v1\nkind: Subnet\nmetadata: {name: s}\nspec: {cidrBlock: 10.20.0.0/16, gateway: ${gateway}}\n`;
    const refused = await api.run(['apply', '-f', '-'], { input: subnet('10.21.0.1') });
    expect(refused.stderr).toMatch(/The Subnet "s" is invalid: spec: Invalid value: "object": spec.gateway must/);
    expect((await api.run(['apply', '-f', '-'], { input: subnet('10.20.0.1') })).stdout).toBe(
      'subnet.ovenbird.io/s created\n',
    );
    expect(await api.kubectl('get', 'subnet')).toMatch(/^NAME .*CIDR.*\ns .*10\.20\.0\.0\/16/);
    expect(await api.kubectl('explain', 'subnet.spec.cidrBlock')).toMatch(/-required-|FIELD: cidrBlock <string>/);
    const moved = await api.run(['patch', 'subnet', 's', '--type=merge', '-p', '{"spec":{"vpc":"other"}}']);
    expect(moved.stderr).toMatch(/spec.vpc cannot be set later/);
    await api.kubectl('delete', 'crd', 'vpcs.ovenbird.io', '--timeout=10s');
    expect((await api.run(['get', '--raw', '/apis/ovenbird.io/v1/vpcs'])).stderr).toMatch(
      /could not find the requested resource/,
    );
  });
});

describe('the kubelet behind it', () => {
  it('serves logs and exec through it', async () => {
    await api.request('POST', PODS_URL, pod('run'));
    expect(await api.kubectl('logs', 'run', '--tail=5')).toBe('log of /containerLogs/default/run/c?tailLines=5\n');
    const done = await api.run(['exec', '-i', 'run', '--', 'cat', 'a b'], { input: 'hello\n' });
    expect(done.stdout).toMatch(/^ran \/exec\/default\/run\/c\?command=cat&command=a\+b/);
    expect(done.stdout).toMatch(/in: hello/);
    expect(done.code).toBe(3);
    const absent = await api.run(['exec', 'nobody', '--', 'true']);
    expect(absent.stderr).toMatch(/pods "nobody" not found/);
    const unscheduled = { metadata: { name: 'waiting' }, spec: { containers: [{ name: 'c', image: 'x' }] } };
    await api.request('POST', PODS_URL, unscheduled);
    expect((await api.run(['logs', 'waiting'])).stderr).toMatch(/does not have a host assigned/);
  });
});

describe('watches', () => {
  it('feed a reflector, also after history was lost and connections dropped', async () => {
    const client = await KubeClient.load({ kubeconfig: join(api.directory, 'admin.kubeconfig') });
    const stop = new AbortController();
    const store = new Store({ key: (item: { metadata: { name: string } }) => item.metadata.name, indexes: {} });
    const reflector = new Reflector({ client, kind: PODS, namespace: 'default', sink: store, signal: stop.signal });
    const has = (name: string, there: boolean): Promise<true> =>
      eventually(
        `pod ${name} ${there ? 'in' : 'out of'} the store`,
        () => ((store.get(name) !== undefined) === there ? true : undefined),
        () => store.size,
      );
    try {
      reflector.start();
      await reflector.synced;
      await api.request('POST', PODS_URL, pod('w1'));
      await has('w1', true);
      for (let i = 0; i < 120; i++)
        await api.request('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: `n${i}` } });
      api.server.dropWatches();
      api.server.compact();
      await api.request('DELETE', `${PODS_URL}/w1`, { gracePeriodSeconds: 0 });
      await has('w1', false);
      await api.request('POST', PODS_URL, pod('w2'));
      await has('w2', true);
    } finally {
      stop.abort();
      await client.close();
    }
  });
});

describe('the access log', () => {
  it('counts verbs per user, for administrators only', async () => {
    await api.request('DELETE', '/lab/verbs');
    await api.run(['get', 'pods'], { user: 'joe' });
    const { body } = await api.request('GET', '/lab/verbs');
    expect((body as { items: object[] }).items).toContainEqual({
      user: 'joe',
      verb: 'list',
      group: '',
      resource: 'pods',
      subresource: '',
      count: 1,
      denied: 1,
    });
    const refused = await api.request('GET', '/lab/verbs', undefined, { authorization: 'Bearer joe-token' });
    expect(refused.code).toBe(403);
    const unknown = await api.request('GET', '/api', undefined, { authorization: 'Bearer nonsense' });
    expect(unknown.code).toBe(401);
  });
});

describe('state', () => {
  it('survives a restart: objects, addresses that are taken, custom resources', async () => {
    await api.kubectl('create', 'service', 'clusterip', 'kept', '--tcp=80');
    const before = JSON.parse(await api.kubectl('get', 'service', 'kept', '-o', 'json')) as {
      spec: { clusterIP: string };
    };
    const subnet = await api.kubectl('get', 'subnet', 's', '-o', 'json');
    await api.restart();
    expect(JSON.parse(await api.kubectl('get', 'service', 'kept', '-o', 'json'))).toEqual(before);
    expect(await api.kubectl('get', 'subnet', 's', '-o', 'json')).toBe(subnet);
    const taken = await api.request('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 'twin' },
      spec: { clusterIP: before.spec.clusterIP, ports: [{ port: 80 }] },
    });
    expect(taken.code).toBe(422);
    expect(readFileSync(join(api.directory, 'state', 'objects.snapshot'), 'utf8')).toMatch(/"kept"/);
  });
});
