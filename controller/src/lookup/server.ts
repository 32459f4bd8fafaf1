import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import type { FlowLookup } from './flow-lookup.ts';

/** A flow to be explained, `<cookie>.<datapath>`: 8 hexadecimal digits, and the tunnel key in decimal. */
const flowKey = /^([0-9a-f]{8})\.([0-9]{1,10})$/;
const question = z.strictObject({ flows: z.array(z.string().regex(flowKey)).max(4096) });
const MAX_BODY_BYTES = 256 * 1024;

/** How the server is reached and whom it trusts. */
export interface LookupServerOptions {
  /** `address:port`. */
  readonly listen: string;
  /** Paths of PEM files. Clients must have a certificate of `ca`. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly lookup: FlowLookup;
  readonly signal: AbortSignal;
}

/**
 * Serves look-ups to agents over mutual TLS: `GET /v1/stages`, and `POST /v1/flows` of `{"flows": ["<cookie>.<datapath>"]}`,
 * answered by an object of what is known. 503 until both databases were read. Read-only.
 * @returns the port
 * @throws Error when it cannot listen
 */
export async function serveLookups({ listen, tls, lookup, signal }: LookupServerOptions): Promise<number> {
  const server = createServer(
    {
      key: readFileSync(tls.key),
      cert: readFileSync(tls.cert),
      ca: readFileSync(tls.ca),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      requestTimeout: 10_000,
    },
    (request, response) => void answer(lookup, request, response),
  );
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replaceAll(/[[\]]/g, '');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: Number(listen.slice(colon + 1)) }, resolve);
  });
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  return (server.address() as AddressInfo | null)?.port ?? 0;
}

async function answer(lookup: FlowLookup, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  };
  try {
    if (!lookup.ready) send(503, { error: 'the databases have not been read yet' });
    else if (request.url === '/v1/stages' && request.method === 'GET') send(200, { stages: lookup.stages() });
    else if (request.url === '/v1/flows' && request.method === 'POST') {
      const asked = question.safeParse(parse(await bodyOf(request)));
      if (asked.success) send(200, { flows: explain(lookup, asked.data.flows) });
      else send(400, { error: z.prettifyError(asked.error) });
    } else send(404, { error: 'known: GET /v1/stages, POST /v1/flows' });
  } catch {
    // The client went away, or sends without end: there is nobody to tell.
    response.destroy();
  }
}

function explain(lookup: FlowLookup, flows: readonly string[]): Readonly<Record<string, unknown>> {
  const known: Record<string, unknown> = {};
  for (const key of flows) {
    const [, cookie = '', datapath = ''] = flowKey.exec(key) ?? [];
    const meaning = lookup.find(cookie, Number(datapath));
    if (meaning !== undefined) known[key] = meaning;
  }
  return known;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += piece;
    if (text.length > MAX_BODY_BYTES) throw new RangeError('the question is too long');
  }
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
