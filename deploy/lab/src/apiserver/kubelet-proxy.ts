/** exec, attach and logs: passed to the kubelet's HTTP server on a unix socket. Websocket bytes go through verbatim. */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest } from './api-error.ts';
import { at, type KubeObject, objectsOf, stringOf } from './json.ts';
import { sendError } from './reply.ts';
import type { RequestInfo } from './request-info.ts';

const PATHS: Readonly<Record<string, string>> = { exec: 'exec', attach: 'attach', log: 'containerLogs' };

function containerOf(pod: KubeObject, wanted: string | null): string {
  const names = [...objectsOf(at(pod, 'spec', 'containers')), ...objectsOf(at(pod, 'spec', 'initContainers'))].map(
    (item) => stringOf(item['name']) ?? '',
  );
  if (wanted !== null && wanted !== '') {
    if (!names.includes(wanted)) throw badRequest(`container ${wanted} is not valid for pod ${pod.metadata.name}`);
    return wanted;
  }
  const regular = objectsOf(at(pod, 'spec', 'containers')).map((item) => stringOf(item['name']) ?? '');
  if (regular.length !== 1) {
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${regular.join(' ')}]`,
    );
  }
  return regular[0] ?? '';
}

/** The kubelet's path for the request. Throws 400 where the container cannot be told or the pod has no node yet. */
function kubeletPath(pod: KubeObject, info: RequestInfo): string {
  const query = new URLSearchParams(info.query);
  const container = containerOf(pod, query.get('container'));
  query.delete('container');
  if ((stringOf(at(pod, 'spec', 'nodeName')) ?? '') === '') {
    throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  }
  const text = query.toString();
  const segments = [pod.metadata.namespace ?? '', pod.metadata.name, container].map(encodeURIComponent).join('/');
  return `/${PATHS[info.subresource] ?? info.subresource}/${segments}${text === '' ? '' : `?${text}`}`;
}

function unavailable(why: string): ApiError {
  return new ApiError(500, 'InternalError', `the kubelet could not be asked: ${why}`);
}

/** Answers a request with what the kubelet answers, streaming. */
export function proxyHttp(
  socketPath: string | undefined,
  pod: KubeObject,
  info: RequestInfo,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (socketPath === undefined) throw unavailable('the server runs without kubeletSocket');
  const upstream = httpRequest({ socketPath, path: kubeletPath(pod, info), method: 'GET', agent: false });
  upstream.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? 'text/plain' });
    response.flushHeaders();
    answer.pipe(response);
  });
  upstream.on('error', (error) => sendError(response, unavailable(error.message)));
  response.on('close', () => upstream.destroy());
  request.resume();
  upstream.end();
}

const DROPPED: ReadonlySet<string> = new Set(['authorization', 'host', 'cookie']);

/** Hands an upgrade to the kubelet: the request line rewritten, everything after it untouched in both directions. */
export function proxyUpgrade(
  socketPath: string | undefined,
  pod: KubeObject,
  info: RequestInfo,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  if (socketPath === undefined) throw unavailable('the server runs without kubeletSocket');
  if ((request.headers.upgrade ?? '').toLowerCase() !== 'websocket') {
    // kubectl also comes here after its websocket was refused, and shows only this answer.
    throw badRequest(
      'no websocket: either this kubectl is older than 1.31, or the container is not running (`kubectl describe pod` says why)',
    );
  }
  const path = kubeletPath(pod, info);
  const upstream = connect(socketPath);
  const lines = [`GET ${path} HTTP/1.1`, 'host: kubelet'];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? '';
    if (!DROPPED.has(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[i + 1] ?? ''}`);
  }
  upstream.on('connect', () => {
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) upstream.write(head);
    upstream.pipe(socket);
    socket.pipe(upstream);
  });
  upstream.on('error', (error) => {
    if (upstream.bytesRead === 0 && socket.writable) {
      const body = JSON.stringify(unavailable(error.message).status());
      socket.end(
        `HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    } else {
      socket.destroy();
    }
  });
  upstream.on('close', () => socket.end());
  socket.on('close', () => upstream.destroy());
}
