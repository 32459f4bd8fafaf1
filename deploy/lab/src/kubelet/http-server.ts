import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { containerEnv } from './env.ts';
import { parseExecQuery, serveExec } from './exec.ts';
import { parseLogQuery, readLog } from './logs.ts';
import type { PodWorker } from './pod-worker.ts';

/** What the server asks of the kubelet. */
export interface HttpContext {
  readonly find: (namespace: string, name: string) => PodWorker | undefined;
}

/** A refusal with the HTTP status it gets. */
class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * The kubelet's API on a unix socket, as much of it as an API server needs: `/exec/{namespace}/{pod}/{container}`,
 * `/containerLogs/{namespace}/{pod}/{container}`, `/healthz`. Whoever can open the socket may execute: it is 0600.
 */
export async function serveHttp(path: string, context: HttpContext, signal: AbortSignal): Promise<Server> {
  mkdirSync(dirname(path), { recursive: true });
  await refuseLiveSocket(path);
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    answer(request, response, context).catch((error: unknown) => refuse(response, error));
  });
  server.on('upgrade', (request, socket, head) => {
    upgrade(request, socket, head, context).catch((error: unknown) => refuseUpgrade(socket, error));
  });
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(mask);
  }
  signal.addEventListener(
    'abort',
    () => {
      server.close();
      server.closeAllConnections();
    },
    { once: true },
  );
  return server;
}

/** A socket file somebody listens on belongs to a running kubelet: two of them would fight over every pod. */
async function refuseLiveSocket(path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', () => resolve());
    socket.once('connect', () => {
      socket.destroy();
      reject(new Error(`another kubelet listens on ${path}: stop it first`));
    });
  });
}

interface Target {
  readonly verb: string;
  readonly worker: PodWorker;
  readonly container: string;
  readonly query: URLSearchParams;
}

function target(request: IncomingMessage, context: HttpContext): Target {
  const url = new URL(request.url ?? '/', 'http://kubelet');
  const [, verb = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
  const [namespace, name, container] = rest;
  if (!['exec', 'containerLogs'].includes(verb) || !namespace || !name || !container || rest.length !== 3) {
    throw new HttpError(404, `no ${url.pathname}: there are /exec and /containerLogs/{namespace}/{pod}/{container}`);
  }
  const worker = context.find(namespace, name);
  if (!worker) throw new HttpError(404, `pod ${namespace}/${name} is not known to this kubelet`);
  return { verb, worker, container, query: url.searchParams };
}

async function answer(request: IncomingMessage, response: ServerResponse, context: HttpContext): Promise<void> {
  if (request.url === '/healthz') {
    response.end('ok');
    return;
  }
  const { verb, worker, container, query } = target(request, context);
  if (verb === 'exec') throw new HttpError(400, 'exec needs a websocket (subprotocol v5.channel.k8s.io)');
  const view = worker.view;
  const record = view?.record.containers.find(({ name }) => name === container);
  if (!view || !record) throw new HttpError(400, `container ${container} is waiting to start`);
  const spec = [...(view.pod.spec.initContainers ?? []), ...view.pod.spec.containers].find((c) => c.name === container);
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  if (!spec?.command?.length) {
    const ports = (spec?.ports ?? []).map((port) => `${port.protocol ?? 'TCP'}/${port.containerPort}`.toLowerCase());
    const what = ports.length > 0 ? `answers on ${ports.join(', ')}` : 'has no ports to answer on';
    response.end(`no command: the lab ${what} with the pod's name\n`);
    return;
  }
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const ended = worker.whenEnded(container, gone.signal);
  const log = await readLog(join(view.logDir, `${container}.log`), { ...parseLogQuery(query), ended });
  await pipeline(log, response).catch(() => undefined); // the reader went
}

async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, context: HttpContext): Promise<void> {
  socket.on('error', () => undefined);
  const { verb, worker, container, query } = target(request, context);
  if (verb !== 'exec') throw new HttpError(400, 'logs are read without an upgrade');
  const what = parseExecQuery(query);
  const view = worker.view;
  const spec = view?.pod.spec.containers.find(({ name }) => name === container);
  const { sources } = worker;
  const record = view?.record.containers.find(({ name }) => name === container);
  if (!view || !spec || !sources || view.record.sandbox !== 'ready' || !record?.state.running) {
    throw new HttpError(500, `container ${container} is not running`);
  }
  worker.markRan();
  serveExec(request, socket, head, what, view.enter, await containerEnv(spec, sources));
}

function refuse(response: ServerResponse, error: unknown): void {
  if (!response.headersSent) {
    response.writeHead(error instanceof HttpError ? error.status : 400, { 'content-type': 'text/plain' });
  }
  response.end(`${error instanceof Error ? error.message : String(error)}\n`);
}

function refuseUpgrade(socket: Duplex, error: unknown): void {
  const status = error instanceof HttpError ? error.status : 400;
  const text = `${error instanceof Error ? error.message : String(error)}\n`;
  const length = Buffer.byteLength(text);
  socket.end(
    `HTTP/1.1 ${status} Error\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${text}`,
  );
}
