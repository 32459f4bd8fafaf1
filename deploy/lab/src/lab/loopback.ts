import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { writeKubeconfigs } from './access.ts';
import type { Layout } from './layout.ts';
import type { InheritedDescriptor } from './process.ts';

function portFile(layout: Layout): string {
  return join(layout.config, 'api-port');
}

/** The API server's port on the root namespace's loopback; `undefined` before its first start. */
export function loopbackPort(layout: Layout): number | undefined {
  try {
    const port = Number(readFileSync(portFile(layout), 'utf8'));
    return Number.isInteger(port) && port > 0 ? port : undefined;
  } catch {
    return undefined;
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, backlog: 511 }, () => resolve(server));
  });
}

/** The listener's descriptor. Node has no public name for it, but `child_process` takes any number. */
function descriptorOf(server: Server): number {
  const handle = (server as Server & { readonly _handle?: { readonly fd?: number } | null })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0)
    throw new Error('this Node does not tell a listener its descriptor');
  return handle.fd;
}

/**
 * Opens a listener on the loopback address of the root namespace for the API server to inherit, since that process lives
 * in the fabric's namespace. Keeps the port of the last start while it is free, and writes the kubeconfigs.
 */
export async function openLoopback(layout: Layout): Promise<InheritedDescriptor> {
  const last = loopbackPort(layout);
  const server = await listen(last ?? 0).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && last !== undefined) return listen(0);
    throw error;
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port');
  mkdirSync(layout.config, { recursive: true, mode: 0o700 });
  writeFileSync(portFile(layout), `${address.port}\n`);
  writeKubeconfigs(layout, address.port);
  return { fd: descriptorOf(server), [Symbol.dispose]: () => void server.close() };
}
