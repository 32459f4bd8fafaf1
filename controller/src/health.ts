import { createServer } from 'node:http';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Northbound } from './northbound/northbound.ts';

/**
 * Serves /healthz, /readyz (200 once the leader has compared everything) and /metrics.
 * @param listen `address:port`, or undefined for none.
 */
export function serveHealth(
  listen: string | undefined,
  signal: AbortSignal,
): { ready: (northbound: Northbound) => void } {
  let northbound: Northbound | undefined;
  const result = {
    ready: (writer: Northbound): void => {
      northbound = writer;
    },
  };
  if (listen === undefined) return result;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: (writer: Northbound) => number): void => {
    const metric: Gauge = new Gauge({
      name: `ovenbird_controller_${name}`,
      help,
      registers: [registry],
      collect: () => metric.set(northbound === undefined ? 0 : read(northbound)),
    });
  };
  gauge('northbound_transactions', 'Committed northbound transactions.', (writer) => writer.stats.transactions);
  gauge(
    'northbound_operations',
    'Operations in committed northbound transactions.',
    (writer) => writer.stats.operations,
  );
  gauge('northbound_failures', 'Northbound transactions that did not commit.', (writer) => writer.stats.failures);
  gauge('northbound_queued_units', 'Objects whose rows are waiting to be sent.', (writer) => writer.stats.queued);
  gauge('northbound_held_units', 'Objects whose rows are put aside after a refusal.', (writer) => writer.stats.held);
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
      return;
    }
    if (path === '/healthz') response.writeHead(200).end('ok\n');
    else if (path === '/readyz')
      response
        .writeHead(northbound === undefined ? 503 : 200)
        .end(northbound === undefined ? 'not in control yet\n' : 'ok\n');
    else response.writeHead(404).end();
  });
  const colon = listen.lastIndexOf(':');
  server.listen({
    host: listen.slice(0, colon).replaceAll(/[[\]]/g, ''),
    port: Number(listen.slice(colon + 1)),
    signal,
  });
  return result;
}
