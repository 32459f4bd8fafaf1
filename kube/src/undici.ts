/**
 * The parts of undici that a client of an API server needs, file by file. The package's entry point also loads fetch,
 * WebSocket, caches and mocks, and with them Node's own copy of fetch, which is memory on every node of a cluster.
 */
import { createRequire } from 'node:module';
import type * as undici from 'undici';
import Agent from 'undici/lib/dispatcher/agent.js';

export { Agent };

/** An agent that goes through a proxy; rare enough to load everything for it. */
export function proxyAgent(options: undici.ProxyAgent.Options): undici.ProxyAgent {
  const { ProxyAgent } = createRequire(import.meta.url)('undici') as typeof undici;
  return new ProxyAgent(options);
}
