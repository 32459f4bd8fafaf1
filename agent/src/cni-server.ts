import type { IncomingMessage, ServerResponse } from 'node:http';
import { AgentError, toAgentError } from './error.ts';
import type { Attachments } from './pod/attachments.ts';
import { type CniRequest, parseRequest } from './pod/request.ts';
import type { CniErrorResult } from './pod/result.ts';

/** Largest request taken, bytes. Kubelet's largest pod annotations (256 KiB) fit in a runtimeConfig. */
const BODY_LIMIT = 1 << 20;

/** Reads a request's body. @throws AgentError `decode` when it is larger than `limit` bytes */
async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > limit) throw new AgentError('decode', `the request is larger than ${limit} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** The version an error object should claim: that of the request where it can be made out. */
function versionOf(body: unknown): string {
  const config = (body as { config?: { cniVersion?: unknown } } | null)?.config;
  return typeof config?.cniVersion === 'string' ? config.cniVersion : '1.0.0';
}

/** An error as CNI error object. */
export function errorResult(error: AgentError, cniVersion: string): CniErrorResult {
  return {
    cniVersion,
    code: error.cniCode,
    msg: error.message,
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** HTTP status of an error: whose fault it is, for people who read logs; the shim only tells 200 from the rest. */
function httpStatus(error: AgentError): number {
  if (error.retryable || error.code === 'not-available' || error.code === 'limited-connectivity') return 503;
  return error.code === 'check-failed' ? 409 : 400;
}

/** What the CNI server needs. */
export interface CniService {
  readonly attachments: Attachments;
  /** Aborted when the agent ends. */
  readonly signal: AbortSignal;
  /** What STATUS answers, to a configuration that names a Subnet or none; undefined: pods can be attached. */
  readonly status: (subnet: string | undefined) => Promise<AgentError | undefined>;
  /** Told of each finished request. */
  readonly onFinished: (
    command: string,
    milliseconds: number,
    request: CniRequest | undefined,
    error: AgentError | undefined,
  ) => void;
}

async function execute(service: CniService, request: CniRequest, signal: AbortSignal): Promise<unknown> {
  const { attachments } = service;
  switch (request.command) {
    case 'ADD':
      return await attachments.add(request, signal);
    case 'DEL':
      await attachments.delete(request.containerId, request.ifname);
      return undefined;
    case 'CHECK':
      await attachments.check(request, signal);
      return undefined;
    case 'GC':
      await attachments.collectGarbage(request);
      return undefined;
    case 'STATUS': {
      const problem = await service.status(request.config.subnet);
      if (problem !== undefined) throw problem;
      return undefined;
    }
  }
}

/**
 * Handles `POST /cni` (docs/architecture.md §5): 200 with the text the plugin prints (empty for all but ADD), else an
 * error object.
 */
export async function handleCni(
  service: CniService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  let parsed: CniRequest | undefined;
  let body: unknown;
  let failure: AgentError | undefined;
  let reply = '';
  const gone = new AbortController();
  // A client that hung up will not use the interface: its runtime treats the ADD as failed.
  response.on('close', () => {
    if (!response.writableFinished)
      gone.abort(
        new AgentError('try-again', 'the CNI client went away before ADD was done: undone, the runtime asks again'),
      );
  });
  try {
    if (request.method !== 'POST' || request.url !== '/cni') {
      throw new AgentError('decode', `${request.method ?? ''} ${request.url ?? ''}: only POST /cni is served here`);
    }
    const text = await readBody(request, BODY_LIMIT);
    try {
      body = JSON.parse(text);
    } catch (cause) {
      throw new AgentError('decode', `the request is not JSON: ${String(cause)}`, { cause });
    }
    parsed = parseRequest(body);
    const result = await execute(service, parsed, AbortSignal.any([service.signal, gone.signal]));
    reply = result === undefined ? '' : JSON.stringify(result);
  } catch (error) {
    failure = toAgentError(error);
    reply = JSON.stringify(errorResult(failure, versionOf(body)));
  }
  const status = failure === undefined ? 200 : httpStatus(failure);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(reply),
    connection: 'close',
  });
  response.end(reply);
  service.onFinished(parsed?.command ?? '?', performance.now() - started, parsed, failure);
}
