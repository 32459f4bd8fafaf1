import type { IncomingMessage, ServerResponse } from 'node:http';

/** What the read-only server can be asked. */
export interface QuerySource {
  /** Everything about this agent, for `ovenbird diagnose`. */
  readonly status: () => unknown;
  /** Why pods cannot be attached now, or undefined. */
  readonly unready: () => Promise<Error | undefined>;
}

/**
 * Handles the read-only requests: `GET /status` (JSON), `/healthz` (the process answers), `/readyz` (pods can be
 * attached; 503 with the reason when not).
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
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(405, 'text/plain', 'this socket is read-only: use GET\n');
    return;
  }
  switch (request.url) {
    case '/status':
      send(200, 'application/json', `${JSON.stringify(source.status(), undefined, 2)}\n`);
      return;
    case '/healthz':
      send(200, 'text/plain', 'ok\n');
      return;
    case '/readyz': {
      const problem = await source.unready();
      send(problem === undefined ? 200 : 503, 'text/plain', `${problem?.message ?? 'ok'}\n`);
      return;
    }
    default:
      send(404, 'text/plain', 'known: /status /healthz /readyz\n');
  }
}
