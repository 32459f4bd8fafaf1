/** An API server in this process with TLS, a kubeconfig per user, and the real kubectl. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { type ApiServer, type ApiServerOptions, createApiServer } from '../../../deploy/lab/src/apiserver/server.ts';
import { identity, issue } from '../../../deploy/lab/src/fabric/pki.ts';

/** What a command printed. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running server and ways to talk to it. */
export interface Harness {
  readonly directory: string;
  server: ApiServer;
  /** Runs kubectl as the administrator; throws what it prints on stderr when it fails. */
  kubectl: (...args: string[]) => Promise<string>;
  /** Runs kubectl as any user with input, and never throws. */
  run: (args: readonly string[], options?: { user?: 'admin' | 'joe'; input?: string }) => Promise<Output>;
  /** Starts kubectl and leaves it running; it is ended at the latest by {@link close}. */
  start: (...args: string[]) => { output: () => string; stop: () => void };
  /** An HTTPS request as the administrator. */
  request: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<{ code: number; body: unknown }>;
  /** Ends the server and starts it again with the same state directory and port. */
  restart: () => Promise<void>;
  close: () => Promise<void>;
}

function kubeconfig(url: string, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'lab', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
    ],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'user' } }],
    'current-context': 'lab',
  });
}

/** Waits until `test` gives something else than undefined. Fails after 20 s with what `state` shows. */
export async function eventually<T>(
  what: string,
  test: () => T | undefined | Promise<T | undefined>,
  state: () => unknown,
): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const value = await test();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not within 20 s; last state: ${JSON.stringify(state())}`);
    await delay(20);
  }
}

/** Starts a server in a directory of its own. */
export async function startHarness(options: Partial<ApiServerOptions> & { state?: boolean } = {}): Promise<Harness> {
  const directory = mkdtempSync(join(tmpdir(), 'apiserver-test-'));
  await issue(directory, [{ name: 'apiserver', dns: [], ips: ['127.0.0.1'] }]);
  const { key, cert, ca: caFile } = identity(directory, 'apiserver');
  const tls = { key, cert };
  const ca = readFileSync(caFile, 'utf8');
  const { state, ...more } = options;
  const errors: unknown[] = [];
  const launch = (port: number): Promise<ApiServer> =>
    createApiServer({
      listen: [{ host: '127.0.0.1', port }],
      tls,
      tokens: [
        { token: 'admin-token', user: 'kubernetes-admin', groups: ['system:masters'] },
        { token: 'joe-token', user: 'joe' },
      ],
      serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'],
      ...(state === true ? { stateDir: join(directory, 'state') } : {}),
      onError: (error) => errors.push(error),
      ...more,
    });
  let server = await launch(0);
  const url = server.urls[0] ?? '';
  for (const user of ['admin', 'joe']) {
    writeFileSync(join(directory, `${user}.kubeconfig`), kubeconfig(url, ca, `${user}-token`), { mode: 0o600 });
  }
  const environment = (user: string): NodeJS.ProcessEnv => ({
    ...process.env,
    KUBECONFIG: join(directory, `${user}.kubeconfig`),
    KUBECACHEDIR: join(directory, 'cache'),
  });
  const children = new Set<ChildProcess>();

  const run: Harness['run'] = (args, { user = 'admin', input } = {}) =>
    new Promise((resolve) => {
      const child = execFile(
        'kubectl',
        [...args],
        { env: environment(user), timeout: 40_000 },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
        },
      );
      child.stdin?.end(input ?? '');
    });

  const harness: Harness = {
    directory,
    server,
    run,
    kubectl: async (...args) => {
      const { code, stdout, stderr } = await run(args);
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    start: (...args) => {
      const child = spawn('kubectl', args, { env: environment('admin'), stdio: ['ignore', 'pipe', 'pipe'] });
      children.add(child);
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      return { output: () => text, stop: () => child.kill() };
    },
    request: async (method, path, body, headers = {}) => {
      const dispatcher = new Agent({ connect: { ca } });
      const answer = await request(url + path, {
        method: method as 'GET',
        dispatcher,
        headers: { authorization: 'Bearer admin-token', 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      await dispatcher.close();
      let parsed: unknown = text;
      if ((answer.headers['content-type'] ?? '').includes('json') && !path.startsWith('/healthz')) {
        try {
          parsed = JSON.parse(text);
        } catch {
          // Left as text: the health checks answer `ok`.
        }
      }
      return { code: answer.statusCode, body: parsed };
    },
    restart: async () => {
      await server.close();
      server = await launch(Number(new URL(url).port));
      harness.server = server;
    },
    close: async () => {
      for (const child of children) child.kill('SIGKILL');
      await server.close();
      rmSync(directory, { recursive: true, force: true });
      if (errors.length > 0) throw new AggregateError(errors, 'the server had internal errors');
    },
  };
  return harness;
}
