import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { underlay } from '../fabric/addresses.ts';
import { pemBase64 } from '../fabric/pki.ts';
import type { LabState, Layout } from './layout.ts';

/** One bearer token of the API server. */
export interface Token {
  readonly token: string;
  readonly user: string;
  readonly groups: readonly string[];
  /** Of an agent: the node that its token is bound to, as Kubernetes 1.30 and later say it. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Whom a token stands for. */
type Subject = Omit<Token, 'token'>;

const serviceAccount = (name: string): Subject => ({
  user: `system:serviceaccount:kube-system:${name}`,
  groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system'],
});

/** Name of an account. */
export type Account = 'admin' | 'controller' | 'scheduler' | 'controller-manager' | 'kubelet';

/** Who speaks to the API server, by the name of the file that lets them. */
const accounts: Readonly<Record<Account, Subject>> = {
  admin: { user: 'kubernetes-admin', groups: ['system:masters'] },
  controller: serviceAccount('ovenbird-controller'),
  scheduler: { user: 'system:kube-scheduler', groups: [] },
  'controller-manager': { user: 'system:kube-controller-manager', groups: [] },
  // One process stands in for the kubelets of all nodes.
  kubelet: { user: 'system:node:lab', groups: ['system:nodes'] },
};

/** The agent of a node: all share one account, each has a token that is bound to its node. */
const agentOf = (node: string): Subject => ({
  ...serviceAccount('ovenbird-agent'),
  extra: { 'authentication.kubernetes.io/node-name': [node] },
});

/** Tells tokens of one user apart. */
const keyOf = ({ user, extra }: Subject): string => JSON.stringify([user, extra ?? {}]);

function nodeAccounts(state: LabState): Readonly<Record<string, Subject>> {
  return Object.fromEntries(
    state.nodes.map((node) => [node.name, { user: `system:node:${node.name}`, groups: ['system:nodes'] }]),
  );
}

function tokensFile(layout: Layout): string {
  return join(layout.config, 'tokens.json');
}

function readTokens(layout: Layout): readonly Token[] {
  try {
    return JSON.parse(readFileSync(tokensFile(layout), 'utf8')) as readonly Token[];
  } catch {
    return [];
  }
}

/** Makes a token for everybody who has none yet (`config/tokens.json`, 0600) and returns all. */
export function ensureTokens(state: LabState, layout: Layout): readonly Token[] {
  const known = new Map(readTokens(layout).map((entry) => [keyOf(entry), entry]));
  const agents = state.nodes.map(({ name }) => agentOf(name));
  const wanted = [...Object.values(accounts), ...agents, ...Object.values(nodeAccounts(state))];
  const tokens = wanted.map(
    (subject): Token => known.get(keyOf(subject)) ?? { token: randomBytes(24).toString('hex'), ...subject },
  );
  mkdirSync(layout.config, { recursive: true, mode: 0o700 });
  writeFileSync(tokensFile(layout), `${JSON.stringify(tokens, undefined, 2)}\n`, { mode: 0o600 });
  return tokens;
}

/** The token of an account, for requests of the lab itself. */
export function tokenOf(layout: Layout, account: Account): string {
  const { user } = accounts[account];
  return readTokens(layout).find((entry) => entry.user === user)?.token ?? '';
}

/** Where an account's kubeconfig is; the administrator's is the one of the contract. */
export function kubeconfigOf(layout: Layout, account: Account): string {
  return account === 'admin' ? layout.kubeconfig : join(layout.config, `${account}.kubeconfig`);
}

/** Where the kubeconfig of a node's agent is. */
export function agentKubeconfig(layout: Layout, node: string): string {
  return join(layout.config, `agent-${node}.kubeconfig`);
}

/** The API server's address for processes in the fabric's and the nodes' namespaces. */
export const fabricServer: string = `https://${underlay.ipv4}:${underlay.apiPort}`;

/** The kubeconfig of an account, as JSON, which is YAML too and which small processes read without a YAML library. */
function kubeconfig(layout: Layout, server: string, user: string, token: string): string {
  const document = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'ovenbird-lab',
    clusters: [
      {
        name: 'ovenbird-lab',
        cluster: { server, 'certificate-authority-data': pemBase64(join(layout.pki, 'ca.crt')) },
      },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'ovenbird-lab', context: { cluster: 'ovenbird-lab', user, namespace: 'default' } }],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/**
 * Writes the kubeconfigs (0600): for people and the kubelet, which live in the root namespace, on the loopback port; for
 * the others on the fabric's address.
 */
export function writeKubeconfigs(layout: Layout, loopbackPort: number): void {
  const outside = new Set<Account>(['admin', 'kubelet']);
  for (const account of Object.keys(accounts) as Account[]) {
    const server = outside.has(account) ? `https://127.0.0.1:${loopbackPort}` : fabricServer;
    const text = kubeconfig(layout, server, accounts[account].user, tokenOf(layout, account));
    writeFileSync(kubeconfigOf(layout, account), text, { mode: 0o600 });
  }
  for (const { user, token, extra } of readTokens(layout)) {
    const [node] = extra?.['authentication.kubernetes.io/node-name'] ?? [];
    if (node === undefined) continue;
    const text = kubeconfig(layout, fabricServer, user, token);
    writeFileSync(agentKubeconfig(layout, node), text, { mode: 0o600 });
  }
}
