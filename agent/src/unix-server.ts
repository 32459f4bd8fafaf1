import { chmod, mkdir, unlink } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { AgentError } from './error.ts';
import { createServer } from './http.ts';

/** Handles one request; must not reject. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Who may connect. */
export interface SocketModes {
  /** Mode of the socket. */
  readonly socket: number;
  /** Mode its directory is given; absent: a directory that exists is left as it is. */
  readonly directory?: number;
}

/** Whether somebody listens on a unix socket. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}

/**
 * Listens on a unix socket for HTTP. A socket left by a dead process is replaced, one that is served is not.
 * @throws AgentError `invalid-config` when another process serves the path, or it cannot be created
 */
export async function listenUnix(path: string, modes: SocketModes, handler: HttpHandler): Promise<Server> {
  await mkdir(dirname(path), { recursive: true, mode: modes.directory ?? 0o755 });
  if (modes.directory !== undefined) await chmod(dirname(path), modes.directory);
  if (await isServed(path)) {
    throw new AgentError('invalid-config', `another process serves ${path}: is a second agent running on this node?`);
  }
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  // No request timeout: ADD takes as long as the controller does. Its own deadlines end it.
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => {
    void handler(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new AgentError('invalid-config', `cannot listen on ${path}: ${cause.message}`, { cause })),
    );
    server.listen(path, resolve);
  });
  await chmod(path, modes.socket);
  return server;
}

/** Stops listening, drops idle connections and resolves when the requests in progress are answered. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
