/** Byte streams to ovsdb-servers: `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT` (ovsdb(7), "Connection Methods"). */
import { readFile } from 'node:fs/promises';
import { connect as connectNet, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { OvsdbError } from './error.ts';

/** A remote in parts. */
export type Remote =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number };

/** Paths of PEM files for `ssl:` remotes. They are read at every connection, so renewed files are used by the next one. */
export interface TlsFiles {
  /** Private key of the certificate. */
  readonly key: string;
  readonly cert: string;
  /** Certificates of the authorities that the server's certificate must come from. */
  readonly ca: string;
}

const DEFAULT_PORT = 6640; // IANA's for OVSDB, and that of ovs tools when a remote has none

/**
 * Parses a remote.
 * @throws OvsdbError `invalid_value` that says what to write.
 */
export function parseRemote(text: string): Remote {
  const colon = text.indexOf(':');
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (kind === 'unix' && rest !== '') {
    return { kind, path: rest };
  }
  if (kind === 'tcp' || kind === 'ssl') {
    const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(rest);
    const host = match?.[1] ?? match?.[2];
    const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
    if (host !== undefined && port > 0 && port < 65536) {
      return { kind, host, port };
    }
  }
  throw new OvsdbError(
    'invalid_value',
    `"${text}" is not a remote: write unix:/path/to/socket, tcp:host:port or ssl:host:port (IPv6 in brackets)`,
  );
}

/**
 * Opens a stream to a remote.
 * @param timeoutMs until the connection (and TLS handshake) must stand, milliseconds.
 * @throws OvsdbError `connect_failed` with the remote in its message; `closed` when the signal aborts.
 */
export async function openTransport(
  remoteText: string,
  tls: TlsFiles | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const remote = parseRemote(remoteText);
  let socket: Socket;
  let ready: 'connect' | 'secureConnect' = 'connect';
  try {
    switch (remote.kind) {
      case 'unix':
        socket = connectNet({ path: remote.path });
        break;
      case 'tcp':
        socket = connectNet({ host: remote.host, port: remote.port, noDelay: true, keepAlive: true });
        break;
      case 'ssl':
        socket = await openTls(remote.host, remote.port, tls);
        ready = 'secureConnect';
        break;
    }
  } catch (error) {
    throw failed(remoteText, error);
  }
  return new Promise((resolve, reject) => {
    const settle = (error: OvsdbError | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off(ready, onReady);
      if (error === undefined) {
        resolve(socket);
      } else {
        // Late errors of a socket that nobody owns any more must not end the process.
        socket.on('error', () => undefined);
        socket.destroy();
        reject(error);
      }
    };
    const onReady = (): void => settle(undefined);
    const onError = (error: Error): void => settle(failed(remoteText, error));
    const onClose = (): void => settle(failed(remoteText, new Error('the peer closed the connection')));
    const onAbort = (): void => settle(new OvsdbError('closed', 'aborted while connecting'));
    const timer = setTimeout(
      () => settle(failed(remoteText, new Error(`no answer within ${timeoutMs} ms`))),
      timeoutMs,
    );
    socket.once(ready, onReady);
    socket.once('error', onError);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) {
      onAbort();
    }
  });
}

async function openTls(host: string, port: number, files: TlsFiles | undefined): Promise<Socket> {
  if (files === undefined) {
    throw new Error('ssl: remotes need `tls: { key, cert, ca }`, three file paths');
  }
  const [key, cert, ca] = await Promise.all([readFile(files.key), readFile(files.cert), readFile(files.ca)]);
  const socket = connectTls({
    host,
    port,
    key,
    cert,
    ca,
    // The chain is verified. The name is not: certificates of ovs-pki(8) carry no host names, and OVS's own
    // clients (lib/stream-ssl.c) trust whoever the CA signed.
    rejectUnauthorized: true,
    checkServerIdentity: () => undefined,
    minVersion: 'TLSv1.2',
  });
  socket.setNoDelay(true);
  return socket;
}

function failed(remote: string, error: unknown): OvsdbError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OvsdbError('connect_failed', `${remote}: ${reason}`, { cause: error });
}
