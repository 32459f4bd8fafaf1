/**
 * The lab's Kubernetes API server: enough of the real one for kubectl, client-go style clients and Ovenbird itself,
 * in one process without etcd. It is for labs and tests, and its version says so.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, ListenOptions } from 'node:net';
import type { Duplex } from 'node:stream';
import { AccessLog } from './access-log.ts';
import { ApiError } from './api-error.ts';
import { Authenticator, type TokenEntry } from './authentication.ts';
import { createCluster } from './cluster.ts';
import { FrontDoor } from './front-door.ts';
import { openState, type StateFiles } from './persistence.ts';
import { Authorizer } from './rbac.ts';
import { sendError } from './reply.ts';
import { Store } from './store.ts';

/** Where to listen: an address (port 0: any free one), an inherited descriptor, or a unix socket. */
export type Listen =
  | { readonly host: string; readonly port: number }
  | { readonly fd: number }
  | { readonly path: string };

/** How the server is set up. */
export interface ApiServerOptions {
  readonly listen: readonly Listen[];
  /** PEM texts or file paths. Without it the server speaks plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly tokens: readonly TokenEntry[];
  /** Unix socket of the kubelet's HTTP server, for exec, attach and logs. */
  readonly kubeletSocket?: string;
  /** Directory that objects are kept in over restarts. Without it everything is gone at the end. */
  readonly stateDir?: string;
  /** Ranges of Service addresses: one of IPv4, IPv6, or both (the first is the default family). */
  readonly serviceCidrs?: readonly string[];
  /** YAML files applied at start. */
  readonly manifests?: readonly string[];
  /** Changes of each resource kept for watches that resume (default 2000). */
  readonly historyLimit?: number;
  /** Told of errors that are not the client's fault. */
  readonly onError?: (error: unknown) => void;
}

/** A running server. */
export interface ApiServer {
  /** Addresses listened at: `https://127.0.0.1:6443`, `http+unix:/run/x.sock` ... */
  readonly urls: readonly string[];
  readonly store: Store;
  /** Forgets watch history and continue tokens: what resumes gets 410, as after etcd's compaction. */
  compact: () => void;
  /** Ends all watches; clients connect again. */
  dropWatches: () => void;
  /** Stops listening, ends connections, writes state. */
  close: () => Promise<void>;
}

function pem(text: string): string {
  return text.includes('-----BEGIN') ? text : readFileSync(text, 'utf8');
}

async function listenAt(server: Server, where: Listen, scheme: string): Promise<string> {
  if ('path' in where && existsSync(where.path)) rmSync(where.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where as ListenOptions, () => {
      server.off('error', reject);
      resolve();
    });
  });
  if ('path' in where) return `${scheme}+unix:${where.path}`;
  const { address, port, family } = server.address() as AddressInfo;
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** Whether others than this machine can reach an address: pods need one for Service default/kubernetes. */
function isReachable(address: AddressInfo | string | null): address is AddressInfo {
  if (address === null || typeof address === 'string') return false;
  return !/^(127\.|::1$|0\.0\.0\.0$|::$)/.test(address.address);
}

/** Starts a server. Throws when an address is taken, a key unreadable, a manifest wrong, or the state damaged. */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const now = Date.now;
  const store = new Store(options.historyLimit);
  let state: StateFiles | undefined;
  if (options.stateDir !== undefined) state = await openState(options.stateDir, store);
  const cluster = createCluster(store, { now, serviceCidrs: options.serviceCidrs ?? ['10.96.0.0/12'] });
  await cluster.bootstrap(options.manifests ?? []);
  const door = new FrontDoor({
    cluster,
    authenticator: new Authenticator(options.tokens),
    authorizer: new Authorizer(store),
    accessLog: new AccessLog(),
    kubeletSocket: options.kubeletSocket,
    onError: options.onError ?? (() => {}),
    now,
  });

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    door.serve(request, response).catch((error: unknown) => {
      if (!(error instanceof ApiError)) options.onError?.(error);
      sendError(response, error);
    });
  };
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => door.upgrade(request, socket, head);
  const { tls } = options;
  const secure = tls === undefined ? undefined : { key: pem(tls.key), cert: pem(tls.cert) };
  const servers: Server[] = [];
  const urls: string[] = [];
  for (const where of options.listen) {
    const server = secure === undefined || 'path' in where ? createServer(serve) : createTlsServer(secure, serve);
    // Watches stay open for as long as their client wants; idle connections are kept for the next request.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 120_000;
    server.on('upgrade', upgrade);
    servers.push(server);
    urls.push(await listenAt(server, where, secure === undefined || 'path' in where ? 'http' : 'https'));
  }
  const reachable = servers.map((server) => server.address()).find(isReachable);
  if (reachable !== undefined) cluster.advertise(reachable.address, reachable.port);
  const bookmarks = setInterval(() => door.bookmarks(), 30_000);
  bookmarks.unref();
  const stopHousekeeping = cluster.startHousekeeping();

  return {
    urls,
    store,
    compact: () => {
      for (const collection of store.collections()) collection.compact();
      cluster.lister.expireAll();
    },
    dropWatches: () => door.dropWatches(),
    close: async () => {
      clearInterval(bookmarks);
      stopHousekeeping();
      door.dropWatches();
      door.dropUpgraded();
      await Promise.all(
        servers.map(
          (server) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve());
              server.closeAllConnections();
            }),
        ),
      );
      await state?.close();
    },
  };
}
