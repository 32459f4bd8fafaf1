import { KubeError } from './error.ts';

/**
 * Reads kubeconfig documents (client-go `clientcmd/api/v1`): clusters, users, contexts. Pure: text in, values out.
 * Data fields stay base64 and file fields stay paths here; `access.ts` resolves both.
 */

/** `clusters[].cluster`. */
export interface KubeconfigCluster {
  readonly server: string;
  readonly certificateAuthority?: string | undefined;
  readonly certificateAuthorityData?: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly tlsServerName?: string | undefined;
  readonly proxyUrl?: string | undefined;
}

/** `users[].user`. */
export interface KubeconfigUser {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly clientCertificate?: string | undefined;
  readonly clientCertificateData?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly clientKeyData?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly impersonate?: string | undefined;
  readonly impersonateUid?: string | undefined;
  readonly impersonateGroups: readonly string[];
  /** `exec` or `auth-provider` is present: only @kubernetes/client-node knows how to log in. */
  readonly plugin: boolean;
}

/** The outcome of choosing a context. Relative file paths are still relative to the file's folder. */
export interface KubeconfigContext {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly cluster: KubeconfigCluster;
  readonly user: KubeconfigUser;
}

type Fields = Readonly<Record<string, unknown>>;

/** Parses YAML or JSON. JSON needs no YAML library, which keeps small processes small. */
export async function parseKubeconfigText(text: string, source: string): Promise<unknown> {
  try {
    if (text.trimStart().startsWith('{')) return JSON.parse(text) as unknown;
    const { parse } = await import('yaml');
    return parse(text) as unknown;
  } catch (cause) {
    throw new KubeError('config', `${source} is neither YAML nor JSON: ${String(cause)}`, { cause });
  }
}

/**
 * Picks a context out of a parsed kubeconfig.
 *
 * @param contextName default: `current-context`
 * @param source file name for messages
 */
export function selectContext(document: unknown, contextName: string | undefined, source: string): KubeconfigContext {
  const root = fields(document, source);
  const name = contextName ?? optionalString(root, 'current-context', source);
  if (name === undefined || name === '') {
    throw new KubeError(
      'config',
      `${source} has no current-context: run "kubectl config use-context NAME" or name one`,
    );
  }
  const context = named(root, 'contexts', 'context', name, source);
  const clusterName = requiredString(context, 'cluster', `${source}: context "${name}"`);
  const userName = optionalString(context, 'user', `${source}: context "${name}"`);
  const cluster = named(root, 'clusters', 'cluster', clusterName, source);
  const user = userName === undefined ? {} : named(root, 'users', 'user', userName, source);
  return {
    name,
    namespace: optionalString(context, 'namespace', `${source}: context "${name}"`),
    cluster: readCluster(cluster, `${source}: cluster "${clusterName}"`),
    user: readUser(user, `${source}: user "${userName ?? ''}"`),
  };
}

function readCluster(cluster: Fields, where: string): KubeconfigCluster {
  const server = requiredString(cluster, 'server', where);
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    throw new KubeError('config', `${where}: server "${server}" is not an http(s) URL such as https://10.0.0.1:6443`);
  }
  return {
    server,
    certificateAuthority: optionalString(cluster, 'certificate-authority', where),
    certificateAuthorityData: optionalString(cluster, 'certificate-authority-data', where),
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'] === true,
    tlsServerName: optionalString(cluster, 'tls-server-name', where),
    proxyUrl: optionalString(cluster, 'proxy-url', where),
  };
}

function readUser(user: Fields, where: string): KubeconfigUser {
  const groups = user['as-groups'];
  return {
    token: optionalString(user, 'token', where),
    tokenFile: optionalString(user, 'tokenFile', where),
    clientCertificate: optionalString(user, 'client-certificate', where),
    clientCertificateData: optionalString(user, 'client-certificate-data', where),
    clientKey: optionalString(user, 'client-key', where),
    clientKeyData: optionalString(user, 'client-key-data', where),
    username: optionalString(user, 'username', where),
    password: optionalString(user, 'password', where),
    impersonate: optionalString(user, 'as', where),
    impersonateUid: optionalString(user, 'as-uid', where),
    impersonateGroups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
    plugin: isFields(user['exec']) || isFields(user['auth-provider']),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fields(value: unknown, where: string): Fields {
  if (isFields(value)) return value;
  throw new KubeError('config', `${where} is not a kubeconfig: expected a mapping with clusters, users and contexts`);
}

function optionalString(from: Fields, key: string, where: string): string | undefined {
  const value = from[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new KubeError('config', `${where}: ${key} must be a string`);
  return value;
}

function requiredString(from: Fields, key: string, where: string): string {
  const value = optionalString(from, key, where);
  if (value === undefined) throw new KubeError('config', `${where}: ${key} is missing`);
  return value;
}

/** Kubeconfig lists are lists of `{ name, <inner> }`; the first of a name wins (client-go merging rules). */
function named(root: Fields, list: string, inner: string, name: string, source: string): Fields {
  const entries = root[list];
  const found: unknown = Array.isArray(entries)
    ? entries.find((entry: unknown) => isFields(entry) && entry['name'] === name)
    : undefined;
  if (!isFields(found)) throw new KubeError('config', `${source}: ${list} has no entry named "${name}"`);
  return fields(found[inner] ?? {}, `${source}: ${inner} "${name}"`);
}
