import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeClient } from '../client.ts';
import { Resource } from '../resource.ts';
import type { ResourceKind } from '../resource-kind.ts';
import type { KubeObject, ObjectRef } from '../types/meta.ts';
import { FakeObjects, type StoredEvent, type StoredObject } from './fake-objects.ts';

/** A request as the server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

/** What to do with a request instead of, or while, answering it. */
export type Fault =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly reason?: string;
      readonly headers?: Record<string, string>;
    }
  /** The connection breaks after so many bytes of the body (0: before the answer). */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** The answer waits until the promise resolves. */
  | { readonly kind: 'slow'; readonly until: Promise<void> }
  /** The body arrives so many bytes at a time. */
  | { readonly kind: 'dribble'; readonly bytes: number }
  /** A watch sends the events of each pair in the wrong order. */
  | { readonly kind: 'reorder' }
  /** A watch sends this text as it is, then goes on. */
  | { readonly kind: 'text'; readonly text: string };

interface InjectedFault {
  readonly matches: (request: SeenRequest) => boolean;
  readonly fault: Fault;
  times: number;
}

interface Target {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

interface OpenWatch {
  readonly target: Target;
  readonly query: Readonly<Record<string, string>>;
  readonly response: ServerResponse;
  readonly reorder: boolean;
  held: string | undefined;
}

/** Answers of the fake server carry a code; this one unwinds to it. */
class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/**
 * A small API server in this process for the tests of this folder: lists with pages, watches with bookmarks and 410,
 * writes with versions and UIDs, and switches that make it misbehave. It validates nothing.
 */
export class FakeApi {
  readonly objects: FakeObjects = new FakeObjects();
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  /** Connections accepted so far. */
  connections = 0;
  readonly #watches = new Set<OpenWatch>();
  readonly #clients: KubeClient[] = [];
  #faults: InjectedFault[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response);
    });
    this.objects.onEvent = (event) => this.#publish(event);
  }

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    api.#server.on('connection', () => (api.connections += 1));
    await new Promise<void>((resolve) => api.#server.listen(0, '127.0.0.1', resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** A client of this server; stop() closes it. */
  client(): KubeClient {
    const access = { server: this.url, tls: { rejectUnauthorized: true }, headers: { authorization: 'Bearer test' } };
    const client = new KubeClient(() => Promise.resolve(access));
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** Creates or changes an object behind everybody's back. */
  put<T extends KubeObject>(kind: ResourceKind<T>, object: T): StoredObject {
    return this.objects.put(collectionOf(kind), structuredClone(object) as unknown as StoredObject);
  }

  remove(kind: ResourceKind, ref: ObjectRef): void {
    this.objects.remove(collectionOf(kind), ref.namespace, ref.name);
  }

  get<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef): T | undefined {
    return this.objects.get(collectionOf(kind), ref.namespace, ref.name) as unknown as T | undefined;
  }

  /** Misbehaves for the next `times` requests that match. */
  inject(matches: (request: SeenRequest) => boolean, fault: Fault, times = 1): void {
    this.#faults.push({ matches, fault, times });
  }

  /** Ends all faults. */
  heal(): void {
    this.#faults = [];
  }

  /** Sends every watch of the kind a bookmark with the current version. */
  bookmark(kind: ResourceKind): void {
    const object = { kind: kind.kind, metadata: { resourceVersion: String(this.objects.version) } };
    this.send(kind, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Sends every watch of the kind this text. */
  send(kind: ResourceKind, text: string): void {
    for (const watch of this.#watches) if (watch.target.collection === collectionOf(kind)) watch.response.write(text);
  }

  /** Ends all watches: in order, or by breaking the connection. */
  endWatches(how: 'cleanly' | 'cut'): void {
    for (const watch of this.#watches) {
      if (how === 'cut') watch.response.destroy();
      else watch.response.end();
    }
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', this.url);
    const text = await readText(incoming);
    const request: SeenRequest = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: incoming.headers,
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    };
    this.requests.push(request);
    const fault = this.#takeFault(request);
    if (fault?.kind === 'slow') await fault.until;
    if (fault?.kind === 'cut' && fault.afterBytes === 0) {
      response.destroy();
      return;
    }
    try {
      if (fault?.kind === 'status') {
        for (const [name, value] of Object.entries(fault.headers ?? {})) response.setHeader(name, value);
        throw new Refusal(fault.status, fault.reason ?? 'Injected', `injected status ${fault.status}`);
      }
      const target = parsePath(url.pathname);
      if (request.query['watch'] === 'true') this.#watch(target, request, response, fault);
      else await send(response, 200, JSON.stringify(this.#answer(target, request)), fault);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'InternalError', String(error));
      await send(response, refusal.code, JSON.stringify(statusOf(refusal)), undefined);
    }
  }

  #takeFault(request: SeenRequest): Fault | undefined {
    const found = this.#faults.find((fault) => fault.times > 0 && fault.matches(request));
    if (found === undefined) return undefined;
    found.times -= 1;
    return found.fault;
  }

  #answer(target: Target, request: SeenRequest): unknown {
    const { collection, namespace, name } = target;
    switch (request.method) {
      case 'GET':
        return name === undefined ? this.#list(target, request.query) : this.#require(target);
      case 'POST': {
        const object = request.body as StoredObject;
        const { name } = object.metadata;
        if (this.objects.get(collection, namespace, name) !== undefined) {
          throw new Refusal(409, 'AlreadyExists', `${collection} "${name}" already exists`);
        }
        return this.objects.put(collection, withNamespace(object, namespace));
      }
      case 'PUT': {
        const object = request.body as StoredObject;
        const old = this.#require(target);
        checkPreconditions(old, object.metadata);
        return this.objects.put(collection, withNamespace(object, namespace));
      }
      case 'PATCH': {
        const old = this.#require(target);
        const patch = request.body as Partial<StoredObject>;
        if (patch.metadata !== undefined) checkPreconditions(old, patch.metadata);
        const patched = mergePatch(old, patch) as StoredObject;
        // As a real server does: a patch that changes nothing makes no new version.
        return JSON.stringify(patched) === JSON.stringify(old) ? old : this.objects.put(collection, patched);
      }
      case 'DELETE': {
        const old = this.#require(target);
        const options = request.body as { preconditions?: { uid?: string; resourceVersion?: string } } | undefined;
        if (options?.preconditions !== undefined) checkPreconditions(old, options.preconditions);
        return this.objects.remove(collection, namespace, old.metadata.name);
      }
      default:
        throw new Refusal(405, 'MethodNotAllowed', request.method);
    }
  }

  #require(target: Target): StoredObject {
    const object = this.objects.get(target.collection, target.namespace, target.name ?? '');
    if (object === undefined) throw new Refusal(404, 'NotFound', `${target.collection} "${target.name}" not found`);
    return object;
  }

  /** Continue tokens are `version:offset`; a page of an older version shows today's objects, which tests allow for. */
  #list(target: Target, query: Readonly<Record<string, string>>): unknown {
    const [version, offset] = (query['continue'] ?? `${this.objects.version}:0`).split(':').map(Number);
    if (version === undefined || version < this.objects.compacted) {
      throw new Refusal(410, 'Expired', 'The provided continue parameter is too old');
    }
    const selected = this.objects.list(target.collection, target.namespace).filter((object) => selects(query, object));
    const start = offset ?? 0;
    const end = start + (query['limit'] === undefined ? selected.length : Number(query['limit']));
    const next = end < selected.length ? `${version}:${end}` : undefined;
    const items = selected.slice(start, end).map(({ apiVersion: _a, kind: _k, ...item }) => item);
    return { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: String(version), continue: next }, items };
  }

  #watch(target: Target, request: SeenRequest, response: ServerResponse, fault: Fault | undefined): void {
    const version = Number(request.query['resourceVersion']);
    if (version < this.objects.compacted) throw new Refusal(410, 'Expired', `too old resource version: ${version}`);
    const watch: OpenWatch = {
      target,
      query: request.query,
      response,
      reorder: fault?.kind === 'reorder',
      held: undefined,
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    response.on('close', () => this.#watches.delete(watch));
    this.#watches.add(watch);
    if (fault?.kind === 'text') response.write(fault.text);
    if (fault?.kind === 'dribble' || fault?.kind === 'cut') limitWrites(response, fault);
    for (const event of this.objects.since(target.collection, version)) sendEvent(watch, event);
  }

  #publish(event: StoredEvent): void {
    for (const watch of this.#watches) if (watch.target.collection === event.collection) sendEvent(watch, event);
  }
}

/** The path of a kind without namespace. */
function collectionOf(kind: ResourceKind): string {
  return new Resource({ request: () => Promise.reject(new Error('no request expected')) }, kind).collectionPath();
}

function parsePath(path: string): Target {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const root = parts.splice(0, parts[0] === 'api' ? 2 : 3);
  let namespace: string | undefined;
  if (parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status') [, namespace] = parts.splice(0, 2);
  const [plural, name, subresource] = parts;
  if (plural === undefined) throw new Refusal(404, 'NotFound', path);
  return { collection: `/${root.join('/')}/${plural}`, namespace, name, subresource };
}

function sendEvent(watch: OpenWatch, event: StoredEvent): void {
  const { namespace } = watch.target;
  if (namespace !== undefined && event.object.metadata.namespace !== namespace) return;
  if (!selects(watch.query, event.object)) return;
  const line = `${JSON.stringify({ type: event.type, object: event.object })}\n`;
  if (!watch.reorder) {
    watch.response.write(line);
  } else if (watch.held === undefined) {
    watch.held = line;
  } else {
    watch.response.write(line + watch.held);
    watch.held = undefined;
  }
}

/** Equality selectors only: `spec.nodeName=a,metadata.name=b`, `app=web`. */
function selects(query: Readonly<Record<string, string>>, object: StoredObject): boolean {
  const terms = (selector: string | undefined): string[][] =>
    (selector ?? '').split(',').flatMap((term) => (term === '' ? [] : [term.split('=')]));
  const labels = (object.metadata['labels'] ?? {}) as Record<string, string>;
  const field = (path: string): unknown =>
    path.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], object);
  return (
    terms(query['labelSelector']).every(([name, value]) => labels[name ?? ''] === value) &&
    terms(query['fieldSelector']).every(([path, value]) => field(path ?? '') === value)
  );
}

function checkPreconditions(old: StoredObject, wanted: { uid?: string; resourceVersion?: string }): void {
  if (wanted.uid !== undefined && wanted.uid !== old.metadata.uid) {
    throw new Refusal(409, 'Conflict', `the UID in the precondition (${wanted.uid}) does not match`);
  }
  if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== old.metadata.resourceVersion) {
    throw new Refusal(409, 'Conflict', 'the object has been modified; please apply your changes to the latest version');
  }
}

function withNamespace(object: StoredObject, namespace: string | undefined): StoredObject {
  return namespace === undefined ? object : { ...object, metadata: { ...object.metadata, namespace } };
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function statusOf(refusal: Refusal): unknown {
  const { code, reason, message } = refusal;
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
}

async function readText(stream: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces).toString('utf8');
}

async function send(response: ServerResponse, code: number, text: string, fault: Fault | undefined): Promise<void> {
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  const bytes = Buffer.from(text);
  if (fault?.kind === 'cut') {
    await new Promise<void>((resolve) => response.write(bytes.subarray(0, fault.afterBytes), () => resolve()));
    response.destroy();
    return;
  }
  const step = fault?.kind === 'dribble' ? fault.bytes : bytes.length;
  for (let start = 0; start < bytes.length && !response.destroyed; start += step) {
    await new Promise<void>((resolve) => response.write(bytes.subarray(start, start + step), () => resolve()));
  }
  response.end();
}

/** Makes a watch pass on its bytes a few at a time, or break after a number of them. */
function limitWrites(response: ServerResponse, fault: Extract<Fault, { kind: 'dribble' | 'cut' }>): void {
  const write = response.write.bind(response) as (chunk: Uint8Array, done: () => void) => boolean;
  const queue: Uint8Array[] = [];
  let budget = fault.kind === 'cut' ? fault.afterBytes : Number.POSITIVE_INFINITY;
  let busy = false;
  const next = (): void => {
    const piece = queue.shift();
    busy = piece !== undefined && !response.destroyed;
    if (piece === undefined || response.destroyed) return;
    write(piece.subarray(0, budget), () => {
      budget -= piece.length;
      if (budget <= 0) response.destroy();
      else next();
    });
  };
  response.write = ((chunk: string) => {
    const bytes = Buffer.from(chunk);
    const step = fault.kind === 'dribble' ? fault.bytes : bytes.length;
    for (let start = 0; start < bytes.length; start += step) queue.push(bytes.subarray(start, start + step));
    if (!busy) next();
    return true;
  }) as typeof response.write;
}
