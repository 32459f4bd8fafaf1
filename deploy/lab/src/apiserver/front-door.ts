/** HTTP in front of everything: authentication, authorization, the access log, and the way to the right handler. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { AccessLog } from './access-log.ts';
import { ApiError, forbidden, methodNotAllowed, noSuchPath } from './api-error.ts';
import { type Authenticator, impersonated, isControllerManager, isOfNode, type User } from './authentication.ts';
import type { Cluster } from './cluster.ts';
import { AGGREGATED, Discovery } from './discovery.ts';
import { proxyHttp, proxyUpgrade } from './kubelet-proxy.ts';
import { lineSink } from './line-sink.ts';
import { OpenApi } from './openapi.ts';
import { type Attributes, type Authorizer, denial, impersonation } from './rbac.ts';
import { json, mediaType, parseBody, type Reply, readBody, send } from './reply.ts';
import { type RequestInfo, requestInfo, truthy } from './request-info.ts';
import type { Resource } from './resource.ts';
import { listQuery, ResourceHandler } from './resource-handler.ts';
import { answerReview, findReview, REVIEWS } from './reviews.ts';
import { presentation } from './table.ts';
import { VERSION } from './version.ts';
import { Watch } from './watch.ts';

/** What the front door needs. */
export interface FrontDoorOptions {
  readonly cluster: Cluster;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly accessLog: AccessLog;
  readonly kubeletSocket: string | undefined;
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** A watcher that has not read this much (bytes) is cut off and has to start again. */
const WATCH_BACKLOG = 64 * 1024 * 1024;
/** Seconds a watch lasts when the client does not say (the real server: 1800 to 3600). */
const WATCH_SECONDS = 1800;

/**
 * The lab's own controllers read their watches in this very thread, at the cost of a TLS record, HTTP and JSON a line, and
 * everybody else waits meanwhile; in a cluster they are on another machine, and hear of a change about as late.
 */
const OWN_GATHER_MS = 5;

const HEALTH = new Set(['/healthz', '/livez', '/readyz']);

/** Serves requests. */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #handler: ResourceHandler;
  readonly #discovery: Discovery;
  readonly #openapi: OpenApi;
  readonly #watches = new Set<Watch>();
  readonly #upgraded = new Set<Duplex>();

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#handler = new ResourceHandler({ ...options.cluster, now: options.now });
    this.#discovery = new Discovery(options.cluster.registry, REVIEWS);
    this.#openapi = new OpenApi(options.cluster.registry);
  }

  /** Answers one request. Rejects with ApiError for what the client did wrong. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const info = requestInfo(request.method ?? 'GET', request.url ?? '/');
    const user = this.#admit(request, info);
    if (!info.isResource) {
      const reply = this.#other(info, request, user);
      send(response, reply);
      return;
    }
    const { cluster, authorizer } = this.#options;
    const resource = cluster.registry.find(info.group, info.version, info.resource);
    if (resource === undefined) {
      const review = findReview(info.group, info.version, info.resource);
      if (review === undefined) throw noSuchPath();
      if (info.verb !== 'create') throw methodNotAllowed();
      const body = parseBody(await readBody(request), mediaType(request));
      send(response, json(201, answerReview(review, body, user, authorizer)));
      return;
    }
    if (info.verb === 'watch') {
      this.#watch(info, resource, user, request, response);
      return;
    }
    if (
      info.resource === 'pods' &&
      (info.subresource === 'log' || info.subresource === 'exec' || info.subresource === 'attach')
    ) {
      if (info.subresource !== 'log') {
        throw new ApiError(
          400,
          'BadRequest',
          'Upgrade request required: this server speaks websocket (v5.channel.k8s.io)',
        );
      }
      if (request.method !== 'GET') throw methodNotAllowed();
      const pod = cluster.writer.get(resource, info.namespace, info.name).object;
      proxyHttp(this.#options.kubeletSocket, pod, info, request, response);
      return;
    }
    const type = mediaType(request);
    const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
    const body = hasBody ? parseBody(await readBody(request), type) : undefined;
    const reply = this.#handler.handle({
      info,
      resource,
      body,
      type,
      user,
      presentation: presentation(request.headers.accept ?? '', info.query.get('includeObject')),
      agent: (request.headers['user-agent'] ?? 'unknown').split('/', 1)[0] ?? 'unknown',
    });
    // Watchers first: their lines are written in this turn's nextTick queue, and what follows from a change begins there.
    if (hasBody) await new Promise<void>((resolve) => process.nextTick(resolve));
    send(response, reply);
  }

  /** Passes websockets (exec, attach) to the kubelet. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    this.#upgraded.add(socket);
    socket.on('close', () => this.#upgraded.delete(socket));
    try {
      const info = requestInfo(request.method ?? 'GET', request.url ?? '/');
      this.#admit(request, info);
      if (info.resource !== 'pods' || (info.subresource !== 'exec' && info.subresource !== 'attach'))
        throw noSuchPath();
      const { cluster, kubeletSocket } = this.#options;
      const resource = cluster.registry.find(info.group, info.version, info.resource);
      if (resource === undefined) throw noSuchPath();
      const pod = cluster.writer.get(resource, info.namespace, info.name).object;
      proxyUpgrade(kubeletSocket, pod, info, request, socket, head);
    } catch (error) {
      if (!(error instanceof ApiError)) this.#options.onError(error);
      const shown = error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error));
      const body = JSON.stringify(shown.status());
      socket.end(
        `HTTP/1.1 ${shown.code} ${shown.reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    }
  }

  /** Sends bookmarks to the watches that want them. */
  bookmarks(): void {
    for (const watch of this.#watches) watch.bookmark();
  }

  /** Ends all watches. */
  dropWatches(): void {
    for (const watch of this.#watches) watch.stop();
  }

  /** Ends all websockets; the HTTP server does not know them any more. */
  dropUpgraded(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  #admit(request: IncomingMessage, info: RequestInfo): User {
    const { authenticator, authorizer, accessLog } = this.#options;
    const user = this.#become(authenticator.authenticate(request.headers.authorization), request);
    const wanted: Attributes = {
      verb: info.verb,
      group: info.group,
      resource: info.resource,
      subresource: info.subresource,
      namespace: info.namespace,
      name: info.name,
      path: info.isResource ? '' : info.path,
    };
    const allowed = authorizer.authorize(user, wanted);
    accessLog.record(user.name, wanted, allowed);
    if (!allowed) {
      if (info.isResource)
        throw forbidden({ group: info.group, plural: info.resource }, info.name, denial(user, wanted));
      throw new ApiError(403, 'Forbidden', `forbidden: ${denial(user, wanted)}`);
    }
    return user;
  }

  /** The user that the request asks to be taken for, when its own may. */
  #become(own: User, request: IncomingMessage): User {
    const other = impersonated(request.headers);
    if (other === undefined) return own;
    for (const wanted of impersonation(other.user.name, other.groups)) {
      if (this.#options.authorizer.authorize(own, wanted)) continue;
      throw forbidden({ group: wanted.group, plural: wanted.resource }, wanted.name, denial(own, wanted));
    }
    return other.user;
  }

  #other(info: RequestInfo, request: IncomingMessage, user: User): Reply {
    const { path } = info;
    const clean = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
    if (clean === '/lab/verbs') return this.#verbs(request, user);
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
    if (HEALTH.has(clean) || /^\/(livez|readyz|healthz)\/[a-z-]+$/.test(clean)) return { code: 200, body: 'ok' };
    if (clean === '/version') return json(200, VERSION);
    const aggregated = AGGREGATED.exec(request.headers.accept ?? '');
    if ((clean === '/api' || clean === '/apis') && aggregated !== null) {
      const version = aggregated[1] ?? 'v2';
      return {
        ...json(200, this.#discovery.aggregated(clean === '/api', version)),
        type: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      };
    }
    if (clean === '/api') return json(200, this.#discovery.coreVersions());
    if (clean === '/apis') return json(200, this.#discovery.groupList());
    const parts = clean.split('/').slice(1);
    if (parts[0] === 'api' && parts.length === 2) return found(this.#discovery.resourceList('', parts[1] ?? ''));
    if (parts[0] === 'apis' && parts.length === 2) return found(this.#discovery.group(parts[1] ?? ''));
    if (parts[0] === 'apis' && parts.length === 3) {
      return found(this.#discovery.resourceList(parts[1] ?? '', parts[2] ?? ''));
    }
    if (clean === '/openapi/v3') return json(200, this.#openapi.index());
    if (clean.startsWith('/openapi/v3/')) return this.#openapi.document(clean.slice('/openapi/v3/'.length));
    if (clean === '/') {
      return json(200, { paths: ['/api', '/apis', '/healthz', '/livez', '/openapi/v3', '/readyz', '/version'] });
    }
    throw noSuchPath();
  }

  #verbs(request: IncomingMessage, user: User): Reply {
    if (!user.groups.includes('system:masters'))
      throw forbidden({ group: '', plural: 'lab/verbs' }, '', 'only system:masters may read the access log');
    if (request.method === 'DELETE') this.#options.accessLog.clear();
    else if (request.method !== 'GET') throw methodNotAllowed();
    return json(200, { items: this.#options.accessLog.items() });
  }

  #watch(info: RequestInfo, resource: Resource, user: User, request: IncomingMessage, response: ServerResponse): void {
    const { cluster, now } = this.#options;
    const { namespace, labels, fields, resourceVersion } = listQuery(info, resource);
    const seconds = Number(info.query.get('timeoutSeconds') ?? '0') || WATCH_SECONDS * (1 + Math.random());
    const shown = presentation(request.headers.accept ?? '', info.query.get('includeObject'));
    const watch = new Watch(
      resource,
      cluster.writer.store,
      {
        namespace,
        labels,
        fields,
        resourceVersion,
        bookmarks: truthy(info.query.get('allowWatchBookmarks')),
        sendInitialEvents: truthy(info.query.get('sendInitialEvents')),
        presentation: shown,
        ofNode: isOfNode(user),
      },
      lineSink(response, WATCH_BACKLOG, isControllerManager(user) ? OWN_GATHER_MS : 0),
      now,
    );
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
    response.flushHeaders();
    const timer = setTimeout(() => {
      watch.bookmark();
      watch.stop();
    }, seconds * 1000);
    timer.unref();
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
      watch.stop();
    });
    this.#watches.add(watch);
    watch.start(cluster.writer.collection(resource));
  }
}

function found(document: unknown): Reply {
  if (document === undefined) throw noSuchPath();
  return json(200, document);
}
