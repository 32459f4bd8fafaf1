/** Byte streams to switches: `unix:PATH`, `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]` (ovs-vswitchd.conf.db(5), Controller). */
import { readFile } from 'node:fs/promises';
import { connect as connectNet, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { OpenFlowError } from './error.ts';

/** A remote in parts. */
export type Remote =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number };

/** Paths of PEM files for `ssl:` remotes, read at every connection. */
export interface TlsFiles {
  /** Private key of the certificate. */
  readonly key: string;
  readonly cert: string;
  /** Certificates of the authorities that the switch's certificate must come from. */
  readonly ca: string;
}

const DEFAULT_PORT = 6653; // IANA's for OpenFlow

/**
 * Parses a remote.
 * @throws OpenFlowError `invalid_value` that says what to write
 */
export function parseRemote(text: string): Remote {
  const colon = text.indexOf(':');
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (kind === 'unix' && rest !== '') return { kind, path: rest };
  if (kind === 'tcp' || kind === 'ssl') {
    const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(rest);
    const host = parts?.[1] ?? parts?.[2];
    const port = parts?.[3] === undefined ? DEFAULT_PORT : Number(parts[3]);
    if (host !== undefined && port > 0 && port < 65536) return { kind, host, port };
  }
  throw new OpenFlowError(
    'invalid_value',
    `"${text}" is not a remote: write unix:/run/openvswitch/br0.mgmt, tcp:host:port or ssl:host:port (IPv6 in brackets)`,
  );
}

/**
 * Opens a stream to a remote.
 * @param timeoutMs until the connection (and TLS handshake) must stand, milliseconds
 * @throws OpenFlowError `connect_failed` with the remote in its message; `closed` when the signal aborts
 */
export async function openTransport(
  remoteText: string,
  tls: TlsFiles | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const remote = parseRemote(remoteText);
  let socket: Socket;
  try {
    if (remote.kind === 'unix') socket = connectNet({ path: remote.path });
    else if (remote.kind === 'tcp') socket = connectNet({ host: remote.host, port: remote.port, noDelay: true });
    else socket = await openTls(remote.host, remote.port, tls);
  } catch (error) {
    throw failed(remoteText, error);
  }
  return opened(socket, remote.kind === 'ssl' ? 'secureConnect' : 'connect', remoteText, timeoutMs, signal);
}

/** Waits until the socket says `ready`. */
function opened(
  socket: Socket,
  ready: 'connect' | 'secureConnect',
  remoteText: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = (error: OpenFlowError | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off(ready, onReady);
      if (error === undefined) {
        resolve(socket);
        return;
      }
      // Late errors of a socket that nobody owns any more must not end the process.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const onReady = (): void => settle(undefined);
    const onError = (error: Error): void => settle(failed(remoteText, error));
    const onClose = (): void => settle(failed(remoteText, new Error('the peer closed the connection')));
    const onAbort = (): void => settle(new OpenFlowError('closed', 'aborted while connecting'));
    const timer = setTimeout(
      () => settle(failed(remoteText, new Error(`no answer within ${timeoutMs} ms`))),
      timeoutMs,
    );
    socket.once(ready, onReady);
    socket.once('error', onError);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

async function openTls(host: string, port: number, files: TlsFiles | undefined): Promise<Socket> {
  if (files === undefined) throw new Error('ssl: remotes need `tls: { key, cert, ca }`, three file paths');
  const [key, cert, ca] = await Promise.all([readFile(files.key), readFile(files.cert), readFile(files.ca)]);
  // The chain is verified, the name is not: certificates of ovs-pki(8) carry no host names, and OVS's own clients
  // (lib/stream-ssl.c) trust whoever the authority signed.
  const trust = { rejectUnauthorized: true, checkServerIdentity: (): undefined => undefined };
  const socket = connectTls({ host, port, key, cert, ca, ...trust, minVersion: 'TLSv1.2' });
  socket.setNoDelay(true);
  return socket;
}

function failed(remote: string, error: unknown): OpenFlowError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OpenFlowError('connect_failed', `${remote}: ${reason}`, { cause: error });
}
