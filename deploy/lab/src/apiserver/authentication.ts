/** Who is asking: bearer tokens from the configuration. */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, unauthorized } from './api-error.ts';

/** One configured token. */
export interface TokenEntry {
  readonly token: string;
  readonly user: string;
  readonly groups?: readonly string[];
  /** What else is known of the user: of a bound service-account token, the node. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** An authenticated (or anonymous) user. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Whether this is a kubelet, or a service account whose token is bound to a node. */
export const isOfNode = ({ groups, extra }: User): boolean =>
  groups.includes('system:nodes') || extra?.['authentication.kubernetes.io/node-name'] !== undefined;

/** Whether these are the cluster's own controllers, which in the lab run in the API server's process. */
export const isControllerManager = ({ name }: User): boolean => name === 'system:kube-controller-manager';

const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

function digest(token: string): string {
  return hash('sha256', token, 'base64');
}

/** An authenticated user with the groups that everybody of its kind is in. */
function userNamed(name: string, given: readonly string[], extra?: User['extra']): User {
  const groups = new Set([...given, 'system:authenticated']);
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name);
  if (account !== null) groups.add('system:serviceaccounts').add(`system:serviceaccounts:${account[1] ?? ''}`);
  return { name, groups: [...groups], ...(extra === undefined ? {} : { extra }) };
}

/** Whom a request wants to be taken for (`kubectl --as`, `--as-group`); undefined for itself. Throws 400 for groups alone. */
export function impersonated(
  headers: IncomingHttpHeaders,
): { readonly user: User; readonly groups: readonly string[] } | undefined {
  const name = headers['impersonate-user'];
  const given = headers['impersonate-group'];
  if (typeof name !== 'string' || name === '') {
    if (given === undefined) return undefined;
    throw new ApiError(400, 'BadRequest', 'Impersonate-Group needs Impersonate-User: add --as');
  }
  // Node joins repeated headers with a comma; no group of Kubernetes has one in its name.
  const groups = (Array.isArray(given) ? given : (given ?? '').split(','))
    .map((one) => one.trim())
    .filter((one) => one !== '');
  return { user: userNamed(name, groups), groups };
}

/** Maps tokens to users. Tokens are kept and compared as digests, so that comparing takes the same time for all. */
export class Authenticator {
  readonly #users = new Map<string, User>();

  constructor(tokens: readonly TokenEntry[]) {
    for (const { token, user, groups = [], extra } of tokens)
      this.#users.set(digest(token), userNamed(user, groups, extra));
  }

  /** The user of an `Authorization` header; anonymous without one. Throws 401 for an unknown token. */
  authenticate(header: string | undefined): User {
    if (header === undefined || header === '') return ANONYMOUS;
    const match = /^Bearer\s+(\S+)$/i.exec(header);
    const user = match === null ? undefined : this.#users.get(digest(match[1] ?? ''));
    if (user === undefined) throw unauthorized();
    return user;
  }
}
