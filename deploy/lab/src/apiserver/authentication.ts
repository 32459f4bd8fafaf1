/** Who is asking: bearer tokens from the configuration. */
import { createHash } from 'node:crypto';
import { unauthorized } from './api-error.ts';

/** One configured token. */
export interface TokenEntry {
  readonly token: string;
  readonly user: string;
  readonly groups?: readonly string[];
}

/** An authenticated (or anonymous) user. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

/** Maps tokens to users. Tokens are kept and compared as digests, so that comparing takes the same time for all. */
export class Authenticator {
  readonly #users = new Map<string, User>();

  constructor(tokens: readonly TokenEntry[]) {
    for (const entry of tokens) {
      const groups = new Set([...(entry.groups ?? []), 'system:authenticated']);
      const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(entry.user);
      if (account !== null) groups.add('system:serviceaccounts').add(`system:serviceaccounts:${account[1] ?? ''}`);
      this.#users.set(digest(entry.token), { name: entry.user, groups: [...groups] });
    }
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
