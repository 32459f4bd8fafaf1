import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AclLogEntry } from './acl-log/entry.ts';
import type { FlowService } from './flows/service.ts';

/** What the read-only server can be asked. */
export interface QuerySource {
  /** Everything about this agent, for `ovenbird diagnose`. */
  readonly status: () => unknown;
  /** Why pods cannot be attached now, or undefined. */
  readonly unready: () => Promise<Error | undefined>;
  /** Health of the node, for Prometheus. */
  readonly metrics: () => string;
  /** Traffic counters; undefined when br-int's socket is not known. */
  readonly flows: FlowService | undefined;
  /** Packets that met logged rules; undefined when ovn-controller's log is not known. */
  readonly aclLog:
    | ((query: { readonly pod?: string; readonly limit: number }) => Promise<readonly AclLogEntry[]>)
    | undefined;
}

const KNOWN =
  'known: /status /healthz /readyz /metrics /traffic /traffic?pod=NAMESPACE/NAME /acl-log?limit=100&pod=NAMESPACE/NAME\n';

/** Entries of the log that are answered at most, and where nothing else is asked for. */
const logLimit = { most: 10_000, usual: 100 };

/** What a network may ask: counters and health, which say nothing that the Kubernetes API would hide. */
const PUBLIC: readonly string[] = ['/healthz', '/readyz', '/metrics'];

/** Handles requests of `listen`, where anybody may ask who reaches the address: `/healthz`, `/readyz`, `/metrics`. */
export async function handlePublicQuery(
  source: QuerySource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = URL.parse(request.url ?? '/', 'http://agent') ?? new URL('http://agent');
  if (PUBLIC.includes(pathname)) {
    await handleQuery(source, request, response);
    return;
  }
  response.writeHead(404, { 'content-type': 'text/plain' });
  response.end(`known: ${PUBLIC.join(' ')}; the rest is on the query socket\n`);
}

/**
 * Handles the read-only requests: `GET /status` (JSON), `/healthz` (the process answers), `/readyz` (pods can be
 * attached; 503 with the reason when not), `/metrics` (Prometheus), `/traffic` (JSON: what rules allowed and dropped on
 * this node), `/traffic?pod=NAMESPACE/NAME` (the same for one pod) and `/acl-log?limit=100&pod=NAMESPACE/NAME` (JSON: the last
 * packets that met logged rules).
 */
export async function handleQuery(
  source: QuerySource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const sendJson = (value: unknown): void => send(200, 'application/json', `${JSON.stringify(value, undefined, 2)}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, 'text/plain', 'this socket is read-only: use GET\n');
    return;
  }
  const { pathname, searchParams } = URL.parse(request.url ?? '/', 'http://agent') ?? new URL('http://agent');
  switch (pathname) {
    case '/status':
      sendJson(source.status());
      return;
    case '/healthz':
      send(200, 'text/plain', 'ok\n');
      return;
    case '/readyz': {
      const problem = await source.unready();
      send(problem === undefined ? 200 : 503, 'text/plain', `${problem?.message ?? 'ok'}\n`);
      return;
    }
    case '/metrics':
      send(200, 'text/plain; version=0.0.4; charset=utf-8', source.metrics() + ((await source.flows?.metrics()) ?? ''));
      return;
    case '/traffic': {
      if (source.flows === undefined) {
        send(503, 'text/plain', 'where ovs-vswitchd has its sockets is not known: set ovsRunDir\n');
        return;
      }
      const pod = searchParams.get('pod');
      const report = pod === null ? await source.flows.node() : await source.flows.pod(pod);
      if (report === undefined) send(404, 'text/plain', `pod ${pod} has no port on this node\n`);
      else sendJson(report);
      return;
    }
    case '/acl-log': {
      if (source.aclLog === undefined) {
        send(503, 'text/plain', 'where ovn-controller writes its log is not known: set ovnLog\n');
        return;
      }
      const asked = Number(searchParams.get('limit') ?? logLimit.usual);
      if (!Number.isInteger(asked) || asked < 1 || asked > logLimit.most) {
        send(400, 'text/plain', `limit is a number from 1 to ${logLimit.most}\n`);
        return;
      }
      const pod = searchParams.get('pod');
      sendJson(await source.aclLog({ limit: asked, ...(pod === null ? {} : { pod }) }));
      return;
    }
    default:
      send(404, 'text/plain', KNOWN);
  }
}
