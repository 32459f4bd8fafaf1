import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { type Clock, systemClock } from './clock.ts';
import { KubeError } from './error.ts';
import { type KubeconfigContext, parseKubeconfigText, selectContext } from './kubeconfig.ts';

/** TLS settings of a connection; a new value (not the same text) means new connections. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized: boolean;
}

/** Everything needed to talk to one API server as one user. */
export interface ClusterAccess {
  /** Base URL; a path prefix (`https://rancher/k8s/clusters/c-1`) is kept. */
  readonly server: string;
  readonly tls: TlsMaterial;
  /** Authorization and impersonation. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly proxyUrl?: string | undefined;
  /** Namespace of the context, or of the service account. */
  readonly namespace?: string | undefined;
}

/** Gives the current access; `fresh` = the server has just refused the old one (401). */
export type AccessSource = (fresh: boolean) => Promise<ClusterAccess>;

/** Where to look for credentials. */
export interface AccessOptions {
  /** Path of a kubeconfig. Default: in-cluster, then `$KUBECONFIG`, then `~/.kube/config`. */
  readonly kubeconfig?: string | undefined;
  /** Context of the kubeconfig. Default: its current-context. */
  readonly context?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  /** Folder of the projected service account token (Kubernetes: "Accessing the API from within a pod"). */
  readonly serviceAccountDir?: string | undefined;
}

/** Files are read again at most this often: kubelet rotates projected tokens at 80 % of at least 10 minutes. */
const rereadMs = 10_000;

/**
 * Finds the credentials and keeps them current: token, certificate and kubeconfig files are read again when used
 * later than 10 s after the last look, and at once after a 401. A file that cannot be read just then (it is being
 * replaced) leaves the last good value in place.
 *
 * @throws KubeError `config` when nothing usable is found
 */
export async function loadAccess(options: AccessOptions = {}): Promise<AccessSource> {
  const env = options.env ?? process.env;
  const read = await chooseReader(options, env);
  const clock = options.clock ?? systemClock;
  let access = await read();
  let readAt = clock.monotonicMs();
  let reading: Promise<void> | undefined;
  const reread = async (): Promise<void> => {
    try {
      access = await read();
    } catch {
      // Half-replaced files: the next look, or the server's 401, will tell.
    } finally {
      readAt = clock.monotonicMs();
      reading = undefined;
    }
  };
  return async (fresh) => {
    if (fresh || clock.monotonicMs() - readAt > rereadMs) await (reading ??= reread());
    return access;
  };
}

type Reader = () => Promise<ClusterAccess>;

async function chooseReader(
  options: AccessOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Reader> {
  if (options.kubeconfig !== undefined) return kubeconfigReader(options.kubeconfig, options.context);
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (host !== undefined && host !== '' && options.context === undefined) {
    return inClusterReader(host, env['KUBERNETES_SERVICE_PORT'] ?? '443', options.serviceAccountDir);
  }
  const candidates = env['KUBECONFIG']?.split(':').filter((path) => path !== '') ?? [];
  if (candidates.length === 0) candidates.push(join(env['HOME'] ?? homedir(), '.kube', 'config'));
  for (const path of candidates) {
    try {
      await readFile(path);
      return kubeconfigReader(path, options.context);
    } catch {
      // Absent files in $KUBECONFIG are skipped, as kubectl does.
    }
  }
  throw new KubeError(
    'config',
    `no way to the API server: not in a pod (KUBERNETES_SERVICE_HOST is unset) and no kubeconfig at ${candidates.join(', ')}; name one, or set KUBECONFIG`,
  );
}

/** Reads the pod's own service account. */
function inClusterReader(host: string, port: string, dir = '/var/run/secrets/kubernetes.io/serviceaccount'): Reader {
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return async () => {
    const token = (await readText(join(dir, 'token'), 'service account token')).trim();
    const ca = await readText(join(dir, 'ca.crt'), 'service account CA');
    const namespace = await readFile(join(dir, 'namespace'), 'utf8').catch(() => undefined);
    return {
      server,
      tls: { ca, rejectUnauthorized: true },
      headers: { authorization: `Bearer ${token}` },
      namespace: namespace?.trim(),
    };
  };
}

function kubeconfigReader(path: string, contextName: string | undefined): Reader {
  let parsedText: string | undefined;
  let context: KubeconfigContext | undefined;
  let plugin: PluginLogin | undefined;
  return async () => {
    const text = await readText(path, 'kubeconfig');
    if (context === undefined || text !== parsedText) {
      context = selectContext(await parseKubeconfigText(text, path), contextName, path);
      parsedText = text;
      plugin = context.user.plugin ? await pluginLogin(text, context.name) : undefined;
    }
    const access = await resolveContext(context, dirname(path));
    return plugin === undefined ? access : await plugin(access);
  };
}

/** Reads the files that a context names and builds headers. Relative paths start at the kubeconfig's folder. */
async function resolveContext(context: KubeconfigContext, folder: string): Promise<ClusterAccess> {
  const { cluster, user } = context;
  const file = (path: string, what: string): Promise<string> =>
    readText(isAbsolute(path) ? path : join(folder, path), what);
  const material = async (data: string | undefined, path: string | undefined, what: string) => {
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    return path === undefined ? undefined : await file(path, what);
  };
  const headers: Record<string, string | string[]> = {};
  // client-go: tokenFile has precedence over token, a bearer token over basic auth.
  const token = user.tokenFile === undefined ? user.token : (await file(user.tokenFile, 'token')).trim();
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  else if (user.username !== undefined) {
    const basic = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64');
    headers['authorization'] = `Basic ${basic}`;
  }
  if (user.impersonate !== undefined) headers['impersonate-user'] = user.impersonate;
  if (user.impersonateUid !== undefined) headers['impersonate-uid'] = user.impersonateUid;
  if (user.impersonateGroups.length > 0) headers['impersonate-group'] = [...user.impersonateGroups];
  return {
    server: cluster.server,
    tls: {
      ca: await material(cluster.certificateAuthorityData, cluster.certificateAuthority, 'certificate authority'),
      cert: await material(user.clientCertificateData, user.clientCertificate, 'client certificate'),
      key: await material(user.clientKeyData, user.clientKey, 'client key'),
      servername: cluster.tlsServerName,
      rejectUnauthorized: !cluster.insecureSkipTlsVerify,
    },
    headers,
    proxyUrl: cluster.proxyUrl,
    namespace: context.namespace,
  };
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new KubeError('config', `cannot read the ${what} file ${path}: ${String(cause)}`, { cause });
  }
}

type PluginLogin = (access: ClusterAccess) => Promise<ClusterAccess>;

/**
 * Users of `exec` and `auth-provider` log in through @kubernetes/client-node. It is loaded only here: its import costs
 * 350 ms and 60 MB, which an agent must not pay.
 */
async function pluginLogin(text: string, contextName: string): Promise<PluginLogin> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromString(text);
  config.setCurrentContext(contextName);
  return async (access) => {
    const login: { headers?: Record<string, unknown>; cert?: unknown; key?: unknown } = {};
    await config.applyToHTTPSOptions(login as Parameters<typeof config.applyToHTTPSOptions>[0]);
    const authorization = login.headers?.['Authorization'];
    return {
      ...access,
      tls: { ...access.tls, cert: asText(login.cert) ?? access.tls.cert, key: asText(login.key) ?? access.tls.key },
      headers: typeof authorization === 'string' ? { ...access.headers, authorization } : access.headers,
    };
  };
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
}
