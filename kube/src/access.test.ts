import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAccess } from './access.ts';
import { FakeClock } from './testing/fake-clock.ts';

let dir: string;
let clock: FakeClock;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kube-access-'));
  clock = new FakeClock();
});
afterEach(() => rm(dir, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, text);
  return path;
}

interface KubeconfigParts {
  cluster?: object;
  user?: object;
}
const kubeconfig = ({ cluster = {}, user = {} }: KubeconfigParts): string =>
  JSON.stringify({
    'current-context': 'main',
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u', namespace: 'team' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
    users: [{ name: 'u', user }],
  });

describe('kubeconfig', () => {
  test('YAML with relative files, a token and impersonation', async () => {
    await file('ca.pem', 'CA');
    const path = await file(
      'config',
      [
        'apiVersion: v1',
        'kind: Config',
        'current-context: main',
        'contexts: [{ name: main, context: { cluster: c, user: u, namespace: team } }]',
        'clusters: [{ name: c, cluster: { server: "https://h:1/prefix", certificate-authority: ca.pem, tls-server-name: api } }]',
        'users: [{ name: u, user: { token: secret, as: jane, as-groups: [g1, g2] } }]',
      ].join('\n'),
    );
    const access = await (await loadAccess({ kubeconfig: path, clock }))(false);
    expect(access).toMatchObject({
      server: 'https://h:1/prefix',
      tls: { ca: 'CA', servername: 'api', rejectUnauthorized: true },
      headers: { authorization: 'Bearer secret', 'impersonate-user': 'jane', 'impersonate-group': ['g1', 'g2'] },
      namespace: 'team',
    });
  });

  test('inline data, basic auth, insecure', async () => {
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const path = await file(
      'config',
      kubeconfig({
        cluster: { 'insecure-skip-tls-verify': true, 'certificate-authority-data': base64('CA') },
        user: {
          'client-certificate-data': base64('CERT'),
          'client-key-data': base64('KEY'),
          username: 'jane',
          password: 'pw',
        },
      }),
    );
    const access = await (await loadAccess({ kubeconfig: path, clock }))(false);
    expect(access.tls).toMatchObject({ ca: 'CA', cert: 'CERT', key: 'KEY', rejectUnauthorized: false });
    expect(access.headers['authorization']).toBe(`Basic ${base64('jane:pw')}`);
  });

  test('another context', async () => {
    const document = JSON.parse(kubeconfig({})) as { contexts: object[]; users: object[] };
    document.contexts.push({ name: 'other', context: { cluster: 'c', user: 'v' } });
    document.users.push({ name: 'v', user: { token: 't2' } });
    const path = await file('config', JSON.stringify(document));
    const access = await (await loadAccess({ kubeconfig: path, context: 'other', clock }))(false);
    expect(access.headers).toEqual({ authorization: 'Bearer t2' });
  });

  test('files are read again when they changed: later than 10 s, or at once when the server refused', async () => {
    const token = await file('token', 'one\n');
    const path = await file('config', kubeconfig({ user: { tokenFile: token } }));
    const source = await loadAccess({ kubeconfig: path, clock });
    const header = async (fresh = false): Promise<unknown> => (await source(fresh)).headers['authorization'];
    expect(await header()).toBe('Bearer one');
    await file('token', 'two');
    expect(await header()).toBe('Bearer one');
    clock.advance(10_001);
    expect(await header()).toBe('Bearer two');
    await file('token', 'three');
    expect(await header(true)).toBe('Bearer three');
    await rm(token);
    expect(await header(true)).toBe('Bearer three');
  });

  test('exec users log in through client-node', async () => {
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'tk' },
    };
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: process.execPath,
      args: ['-e', `console.log(${JSON.stringify(JSON.stringify(credential))})`],
      interactiveMode: 'Never',
    };
    const path = await file('config', kubeconfig({ user: { exec } }));
    const access = await (await loadAccess({ kubeconfig: path, clock }))(false);
    expect(access.headers).toEqual({ authorization: 'Bearer tk' });
  });

  test.each([
    ['no such file', undefined, /cannot read the kubeconfig file/],
    ['neither YAML nor JSON', '{ nope', /is neither YAML nor JSON/],
    ['not a mapping', '- a', /is not a kubeconfig/],
    ['no current context', '{}', /has no current-context/],
    ['unknown context', '{"current-context":"x"}', /contexts has no entry named "x"/],
    ['bad server', kubeconfig({ cluster: { server: 'ftp://x' } }), /server "ftp:\/\/x" is not an http\(s\) URL/],
    ['missing file', kubeconfig({ user: { tokenFile: 'absent' } }), /cannot read the token file/],
    ['wrong type', kubeconfig({ user: { token: 5 } }), /user "u": token must be a string/],
  ])('says what is wrong: %s', async (_, text, message) => {
    const path = text === undefined ? join(dir, 'absent') : await file('config', text);
    await expect(loadAccess({ kubeconfig: path, clock })).rejects.toThrow(message);
    await expect(loadAccess({ kubeconfig: path, clock })).rejects.toMatchObject({ code: 'config', retryable: false });
  });
});

describe('without a path', () => {
  test('in a pod: the service account, IPv6 addresses in brackets', async () => {
    await file('token', 'sa-token\n');
    await file('ca.crt', 'CA');
    await file('namespace', 'kube-system\n');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00:10:96::1', KUBERNETES_SERVICE_PORT: '443' };
    const access = await (await loadAccess({ env, serviceAccountDir: dir, clock }))(false);
    expect(access).toEqual({
      server: 'https://[fd00:10:96::1]:443',
      tls: { ca: 'CA', rejectUnauthorized: true },
      headers: { authorization: 'Bearer sa-token' },
      namespace: 'kube-system',
    });
  });

  test('$KUBECONFIG, first file that exists; then ~/.kube/config; then an explanation', async () => {
    const path = await file('config', kubeconfig({ user: { token: 'a' } }));
    const access = await (await loadAccess({ env: { KUBECONFIG: `${dir}/absent:${path}` }, clock }))(false);
    expect(access.headers).toEqual({ authorization: 'Bearer a' });
    await expect(loadAccess({ env: { HOME: dir }, clock })).rejects.toThrow(
      `no way to the API server: not in a pod (KUBERNETES_SERVICE_HOST is unset) and no kubeconfig at ${dir}/.kube/config`,
    );
  });
});
