/** Reading request bodies and writing answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { ApiError, badRequest, unsupportedMediaType } from './api-error.ts';
import { decodeProtobuf, PROTOBUF } from './protobuf.ts';

/** Largest body taken, bytes; the real server's limit for objects. */
const BODY_LIMIT = 3 * 1024 * 1024;

/** An answer in JSON. */
export interface Reply {
  readonly code: number;
  /** JSON text. */
  readonly body: string;
  /** Media type; JSON unless it says otherwise. */
  readonly type?: string;
  /** Texts for `Warning` headers. */
  readonly warnings?: readonly string[];
}

/** An answer whose body is `value` as JSON. */
export function json(code: number, value: unknown, warnings: readonly string[] = []): Reply {
  return { code, body: JSON.stringify(value), warnings };
}

/** Writes a reply. */
export function send(response: ServerResponse, reply: Reply): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const headers: Record<string, string | string[]> = {
    'content-type': reply.type ?? 'application/json',
    'content-length': String(Buffer.byteLength(reply.body)),
    'cache-control': 'no-cache, private',
  };
  if (reply.warnings !== undefined && reply.warnings.length > 0) {
    headers['warning'] = reply.warnings.map((text) => `299 - ${JSON.stringify(text)}`);
  }
  response.writeHead(reply.code, headers);
  response.end(reply.body);
}

/** Writes an error: an {@link ApiError} as it is, anything else as 500 with its message. */
export function sendError(response: ServerResponse, error: unknown): void {
  const shown =
    error instanceof ApiError
      ? error
      : new ApiError(
          500,
          'InternalError',
          `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
        );
  send(response, json(shown.code, shown.status()));
}

/** The media type of a request, without parameters. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Reads the whole body. Throws 413 for one that is too large. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  // By events: the iterator of a stream takes several turns, and each write of the lab waits for them.
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_LIMIT) chunks.push(chunk);
      else {
        request.pause();
        reject(new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${BODY_LIMIT} bytes`));
      }
    });
    request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => {
      if (!request.complete) reject(new ApiError(400, 'BadRequest', 'the request ended before its body'));
    });
  });
}

/** Parses a body by its media type: JSON, YAML, or protobuf for built-in kinds. Throws 400, 415. */
export function parseBody(body: Buffer, type: string): unknown {
  if (body.length === 0) return undefined;
  if (type === PROTOBUF) return decodeProtobuf(body);
  try {
    const text = body.toString('utf8');
    // Such a member could only be meant to confuse a server written in this language.
    if (text.includes('__proto__')) throw badRequest('a member named __proto__ is not supported');
    if (type.endsWith('yaml')) return parseYaml(text, { maxAliasCount: 100 }) as unknown;
    if (type === '' || type.endsWith('json')) return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw badRequest(`the body could not be parsed: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw unsupportedMediaType(type, ['application/json', 'application/yaml', PROTOBUF]);
}
