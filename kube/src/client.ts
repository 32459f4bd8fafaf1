import type { Dispatcher } from 'undici';
import { type AccessOptions, type AccessSource, type ClusterAccess, loadAccess, type TlsMaterial } from './access.ts';
import { errorOfResponse, KubeError, type RequestSubject } from './error.ts';
import { type Answer, type AnswerReader, exchange } from './exchange.ts';
import { Resource } from './resource.ts';
import type { ResourceKind } from './resource-kind.ts';
import type { KubeObject } from './types/meta.ts';
import { Agent, proxyAgent } from './undici.ts';

/** Query parameters; `undefined` ones are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** One HTTP request to the API server. */
export interface KubeRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined;
  /** Below the server's base URL, already escaped: `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  readonly query?: Query | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body. Default `application/json`; patches have their own. */
  readonly contentType?: string | undefined;
  /** Default `application/json`. */
  readonly accept?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for headers, and between two pieces of the body, milliseconds. Default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** For error messages; default: method and path. */
  readonly subject?: RequestSubject | undefined;
  /** Nobody reads the answer: `request` resolves to undefined without parsing it. */
  readonly unread?: boolean | undefined;
}

/** Settings of a client. */
export interface KubeClientOptions {
  /** Parallel requests; watches have connections of their own and do not count. Default 64. */
  readonly connections?: number | undefined;
  /** Default `ovenbird`. Audit logs of the API server show it. */
  readonly userAgent?: string | undefined;
}

/** Two pools for one set of TLS material: a long watch must not take a place from a request. */
interface Connections {
  readonly key: string;
  /** The access they were made for; the same object again needs no comparison. */
  access: ClusterAccess;
  readonly origin: string;
  readonly prefix: string;
  readonly requests: Dispatcher;
  readonly streams: Dispatcher;
}

const defaultTimeoutMs = 30_000;

/**
 * A client of one Kubernetes API server over HTTP/1.1 with keep-alive.
 *
 * HTTP/2 is off on purpose: one lost packet would stall every watch and request that shares the connection.
 * A dead peer is found by TCP keep-alive (first probe after 20 s, then ten, one a second), which costs the API server
 * nothing; so a quiet watch need not be opened again just to see whether it lives.
 *
 * @example
 * const client = await KubeClient.load({ kubeconfig: '/etc/ovenbird/kubeconfig' });
 * const pods = await client.resource(PODS).list({ namespace: 'default' });
 */
export class KubeClient {
  readonly #source: AccessSource;
  readonly #options: KubeClientOptions;
  #connections: Connections | undefined;
  #closed = false;

  constructor(source: AccessSource, options: KubeClientOptions = {}) {
    this.#source = source;
    this.#options = options;
  }

  /** Finds credentials (see {@link loadAccess}) and builds a client. Does not connect yet. */
  static async load(options: AccessOptions & KubeClientOptions = {}): Promise<KubeClient> {
    return new KubeClient(await loadAccess(options), options);
  }

  /** Typed operations on one kind. */
  resource<T extends KubeObject>(kind: ResourceKind<T>): Resource<T> {
    return new Resource(this, kind);
  }

  /** Address, TLS material and headers in use now, for protocols other than plain requests (exec, port-forward). */
  async access(): Promise<ClusterAccess> {
    return await this.#source(false);
  }

  /**
   * Sends one request and parses the JSON answer.
   *
   * A 401 makes the client read its credentials again and repeat once: the server has not carried the request out.
   * A GET whose connection broke before an answer is repeated once too: an idle connection may have been closed by
   * the server just as it was taken. Nothing else is repeated here; `retryable` says what a caller may do.
   *
   * @throws KubeError
   */
  async request<T>(request: KubeRequest): Promise<T> {
    const text = await this.requestText(request);
    if (request.unread === true) return undefined as T;
    if (text === '')
      throw new KubeError('protocol', 'the API server sent an empty answer', { subject: subjectOf(request) });
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new KubeError('protocol', `the answer is not JSON: ${text.slice(0, 100)}`, {
        subject: subjectOf(request),
        cause,
      });
    }
  }

  /** Like {@link request}, for answers that are not JSON (`/readyz`, pod logs). */
  async requestText(request: KubeRequest): Promise<string> {
    const { text } = await this.#send(request, (access) => this.#exchange(access, request));
    return text;
  }

  /**
   * Reads a streaming answer (watch, followed logs) to its end. Pieces come as they arrive; what the reader throws closes the
   * connection and is thrown here. There is no idle limit: give a signal.
   *
   * @throws KubeError before the first piece for a status other than 2xx; while reading, whatever broke the stream
   */
  async stream(request: KubeRequest, reader: AnswerReader): Promise<void> {
    await this.#send(request, async (access) => {
      const connections = this.#ready(access, request);
      const limits = { headersTimeout: request.timeoutMs ?? defaultTimeoutMs, bodyTimeout: 0 };
      const options = { ...this.#requestOptions(connections, access, request), ...limits };
      return await exchange(connections.streams, options, request.signal, reader);
    });
  }

  /** Ends all connections, also those in use. */
  async close(): Promise<void> {
    this.#closed = true;
    const old = this.#connections;
    this.#connections = undefined;
    if (old !== undefined) await Promise.all([old.requests.destroy(), old.streams.destroy()]);
  }

  /** Sends a request, again where that is safe, until there is an answer; one that is an error is thrown. */
  async #send(request: KubeRequest, attempt: (access: ClusterAccess) => Promise<Answer>): Promise<Answer> {
    let access = await this.#source(false);
    let renewed = false;
    let repeated = false;
    for (;;) {
      let answer: Answer;
      try {
        answer = await attempt(access);
      } catch (thrown) {
        const error = failure(thrown, subjectOf(request), request.signal);
        const repeat = error.code === 'network' && !repeated && (request.method ?? 'GET') === 'GET';
        if (!repeat || !isReset(thrown) || this.#closed) throw error;
        repeated = true;
        continue;
      }
      const { status, text, retryAfter } = answer;
      if (status >= 200 && status < 300) return answer;
      if (status !== 401 || renewed) throw errorOfResponse(status, text, retryAfter, subjectOf(request));
      renewed = true;
      access = await this.#source(true);
    }
  }

  async #exchange(access: ClusterAccess, request: KubeRequest): Promise<Answer> {
    const connections = this.#ready(access, request);
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    const options = this.#requestOptions(connections, access, request);
    const limits = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs };
    return await exchange(connections.requests, { ...options, ...limits }, request.signal);
  }

  #ready(access: ClusterAccess, request: KubeRequest): Connections {
    if (this.#closed) throw new KubeError('aborted', 'the client is closed', { subject: subjectOf(request) });
    request.signal?.throwIfAborted();
    return this.#connect(access);
  }

  #requestOptions(connections: Connections, access: ClusterAccess, request: KubeRequest): Dispatcher.DispatchOptions {
    const headers: Record<string, string | string[]> = {
      ...access.headers,
      accept: request.accept ?? 'application/json',
      'user-agent': this.#options.userAgent ?? 'ovenbird',
    };
    if (request.body !== undefined) headers['content-type'] = request.contentType ?? 'application/json';
    return {
      origin: connections.origin,
      path: `${connections.prefix}${request.path}${queryString(request.query)}`,
      method: request.method ?? 'GET',
      headers,
      body: request.body === undefined ? null : JSON.stringify(request.body),
      // A DELETE with a body (DeleteOptions) would otherwise end its connection: undici expects no payload there.
      reset: false,
    };
  }

  /** Certificates that changed get new connections; the old ones finish what they carry. */
  #connect(access: ClusterAccess): Connections {
    const old = this.#connections;
    if (old?.access === access) return old;
    const key = JSON.stringify([access.server, access.tls, access.proxyUrl]);
    if (old?.key === key) {
      old.access = access;
      return old;
    }
    const connections = this.#options.connections ?? 64;
    const server = new URL(access.server);
    const current = {
      key,
      access,
      origin: server.origin,
      prefix: server.pathname.replace(/\/+$/, ''),
      requests: dispatcherFor(access, connections),
      streams: dispatcherFor(access, null),
    };
    this.#connections = current;
    if (old !== undefined) {
      void old.requests.close();
      void old.streams.close();
    }
    return current;
  }
}

function dispatcherFor(access: ClusterAccess, connections: number | null): Dispatcher {
  const connect = { ...tlsOptions(access.tls), timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 20_000 };
  // Below the idle limits of API servers and load balancers, or a request would meet a connection just closed.
  const common = { connections, allowH2: false, pipelining: 1, keepAliveTimeout: 20_000, keepAliveMaxTimeout: 50_000 };
  if (access.proxyUrl === undefined) return new Agent({ ...common, connect: { ...connect, allowH2: false } });
  return proxyAgent({ ...common, uri: access.proxyUrl, requestTls: connect });
}

function tlsOptions(tls: TlsMaterial): Record<string, string | boolean> {
  return {
    rejectUnauthorized: tls.rejectUnauthorized,
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.servername === undefined ? {} : { servername: tls.servername }),
  };
}

/** An abort surfaces as whatever reason the caller gave: name it by the signal, not by the thrown value. */
function failure(thrown: unknown, subject: RequestSubject, signal: AbortSignal | undefined): KubeError {
  if (thrown instanceof KubeError) return thrown;
  if (signal?.aborted === true) return new KubeError('aborted', 'aborted by the caller', { subject, cause: thrown });
  return KubeError.from(thrown, subject);
}

function isReset(thrown: unknown): boolean {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function subjectOf(request: KubeRequest): RequestSubject {
  return request.subject ?? { verb: request.method ?? 'GET', resource: request.path };
}

function queryString(query: Query | undefined): string {
  if (query === undefined) return '';
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) parameters.set(key, String(value));
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}
