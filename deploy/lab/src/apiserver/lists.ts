/** Lists in chunks: `limit` and `continue`, each continued list reading the snapshot that the first chunk was taken from. */
import { randomBytes } from 'node:crypto';
import { ApiError, badRequest, expired } from './api-error.ts';
import type { Selector } from './selectors.ts';
import type { Collection, Entry, Store } from './store.ts';

/** What a list asks for. */
export interface ListQuery {
  /** undefined: all namespaces. */
  readonly namespace: string | undefined;
  readonly labels: Selector | undefined;
  readonly fields: Selector | undefined;
  /** 0: everything at once. */
  readonly limit: number;
  readonly continueToken: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
}

/** One chunk. */
export interface ListChunk {
  readonly entries: readonly Entry[];
  readonly revision: number;
  readonly continueToken?: string;
  readonly remaining?: number;
}

interface Snapshot {
  readonly entries: readonly Entry[];
  readonly revision: number;
  readonly resource: string;
  readonly expires: number;
}

/** etcd's compaction interval in a real cluster: a continue token lives about that long. */
const SNAPSHOT_LIFE = 5 * 60_000;
const SNAPSHOT_LIMIT = 64;

/** Serves lists. Holds the snapshots of lists that are being read in chunks. */
export class Lister {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #snapshots = new Map<string, Snapshot>();

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** The entries that the query selects. Throws 400 for bad arguments and 410 for a snapshot that is gone. */
  list(collection: Collection, query: ListQuery): ListChunk {
    const revision = this.#store.revision;
    let snapshot: readonly Entry[];
    let start = 0;
    let at = revision;
    let id = '';
    if (query.continueToken === '') {
      this.#checkVersion(query, revision);
      snapshot = this.#select(collection, query);
    } else {
      const token = parseToken(query.continueToken);
      const held = this.#snapshots.get(token.id);
      if (held === undefined || held.resource !== collection.resource || held.expires < this.#now()) {
        throw expired(
          'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
        );
      }
      ({ entries: snapshot, revision: at } = held);
      start = token.start;
      id = token.id;
    }
    if (query.limit === 0 || start + query.limit >= snapshot.length) {
      if (id !== '') this.#snapshots.delete(id);
      return { entries: start === 0 ? snapshot : snapshot.slice(start), revision: at };
    }
    const end = start + query.limit;
    if (id === '') id = this.#keep({ entries: snapshot, revision: at, resource: collection.resource, expires: 0 });
    const selective = query.labels !== undefined || query.fields !== undefined;
    return {
      entries: snapshot.slice(start, end),
      revision: at,
      continueToken: Buffer.from(JSON.stringify({ id, start: end, rv: at })).toString('base64url'),
      ...(selective ? {} : { remaining: snapshot.length - end }),
    };
  }

  /** Drops all snapshots: every continue token is answered with 410. */
  expireAll(): void {
    this.#snapshots.clear();
  }

  #select(collection: Collection, query: ListQuery): readonly Entry[] {
    const { namespace, labels, fields } = query;
    if (fields?.name !== undefined && namespace !== undefined) {
      const entry = collection.get(namespace, fields.name);
      return entry !== undefined && fields.matches(entry.object) && labels?.matches(entry.object) !== false
        ? [entry]
        : [];
    }
    const all = collection.list(namespace);
    if (labels === undefined && fields === undefined) return all;
    return all.filter(({ object }) => labels?.matches(object) !== false && fields?.matches(object) !== false);
  }

  #checkVersion(query: ListQuery, revision: number): void {
    if (query.resourceVersion === '') {
      if (query.resourceVersionMatch !== '') {
        throw badRequest('resourceVersionMatch is forbidden unless resourceVersion is provided');
      }
      return;
    }
    if (!/^\d+$/.test(query.resourceVersion)) {
      throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(query.resourceVersion)}: must be a number`);
    }
    const wanted = Number(query.resourceVersion);
    if (wanted > revision) {
      throw new ApiError(504, 'Timeout', `Too large resource version: ${wanted}, current: ${revision}`, {
        retryAfterSeconds: 1,
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
      });
    }
    if (query.resourceVersionMatch === 'Exact' && wanted !== revision) {
      throw expired(
        `The resourceVersion for the provided list is too old: this server keeps only the current one (${revision}).`,
      );
    }
  }

  #keep(snapshot: Snapshot): string {
    const now = this.#now();
    for (const [id, held] of this.#snapshots) {
      if (held.expires < now || this.#snapshots.size >= SNAPSHOT_LIMIT) this.#snapshots.delete(id);
    }
    const id = randomBytes(9).toString('base64url');
    this.#snapshots.set(id, { ...snapshot, expires: now + SNAPSHOT_LIFE });
    return id;
  }
}

function parseToken(text: string): { id: string; start: number } {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as { id?: unknown; start?: unknown };
    if (typeof token.id === 'string' && typeof token.start === 'number') return { id: token.id, start: token.start };
  } catch {
    // Falls through to the same answer as a well-formed token of another shape.
  }
  throw badRequest('continue key is not valid: it must be what an earlier list returned in metadata.continue');
}
