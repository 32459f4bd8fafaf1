import { type ChildProcess, spawn } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { exitOf } from './process.ts';

/** Subprotocols of the Kubernetes remote command API, newest first; v5 adds the close message for stdin. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
/** The first byte of every message (k8s.io/apimachinery remotecommand constants). */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** Above this many bytes not yet taken by the client, the process is not read any more. */
const HIGH_WATER = 1 << 20;
const TTY = fileURLToPath(new URL('tty.pl', import.meta.url));

/** What to execute, from the request's query. */
export interface ExecRequest {
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Reads the query of `/exec/...`. @throws Error when there is no command */
export function parseExecQuery(query: URLSearchParams): ExecRequest {
  const flag = (name: string): boolean => /^(1|true)$/i.test(query.get(name) ?? '');
  const command = query.getAll('command');
  if (command.length === 0) throw new Error('you must specify at least one command for the container');
  const tty = flag('tty');
  return { command, stdin: flag('stdin'), stdout: flag('stdout'), stderr: flag('stderr') && !tty, tty };
}

/** The `Status` that ends a session, on the error channel. */
export function exitStatus(exitCode: number): Record<string, unknown> {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

const server = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) => PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
});

/**
 * Upgrades the request and runs the command until it ends or the client goes.
 *
 * @param enter words put before the command, to run it in the pod's namespace
 * @param env its whole environment
 */
export function serveExec(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  what: ExecRequest,
  enter: readonly string[],
  env: Record<string, string>,
): void {
  server.handleUpgrade(request, socket, head, (client) => runSession(client, what, [...enter, ...what.command], env));
}

function runSession(client: WebSocket, what: ExecRequest, words: readonly string[], env: Record<string, string>): void {
  const [program = '', ...rest] = what.tty ? ['perl', TTY, ...words] : words;
  // The terminal helper takes window sizes on descriptor 3.
  const child = spawn(program, rest, {
    env: { ...env, ...(what.tty ? { TERM: env['TERM'] ?? 'xterm' } : {}) },
    cwd: '/',
    detached: true,
    stdio: [what.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', 'pipe'],
  });
  let status: Record<string, unknown> | undefined;
  let exited = false;
  const send = (channel: number, data: Uint8Array): void => {
    if (client.readyState !== client.OPEN) return;
    client.send(Buffer.concat([Buffer.of(channel), data]), { binary: true }, () => {
      if (client.bufferedAmount < HIGH_WATER) resume(child);
    });
    if (client.bufferedAmount >= HIGH_WATER) pause(child);
  };
  // An empty first message tells the client that the stream is up.
  if (what.stdout) send(CHANNEL.stdout, Buffer.alloc(0));
  child.stdout?.on('data', (data: Buffer) => what.stdout && send(CHANNEL.stdout, data));
  child.stderr?.on(
    'data',
    (data: Buffer) => (what.stderr || what.tty) && send(what.tty ? CHANNEL.stdout : CHANNEL.stderr, data),
  );
  child.stdin?.on('error', () => undefined); // the command may close its input whenever it likes
  resizeOf(child)?.on('error', () => undefined);
  child.on('error', (error) => (status = { ...exitStatus(126), message: error.message }));
  child.on('exit', (code, signal) => {
    exited = true;
    status = exitStatus(exitOf(code, signal).exitCode);
  });
  child.on('close', () => {
    send(CHANNEL.error, Buffer.from(JSON.stringify(status ?? exitStatus(255))));
    client.close(1000);
  });
  client.on('message', (data) => take(child, bytesOf(data)));
  client.on('error', () => client.terminate());
  client.on('close', () => {
    if (exited || child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL'); // nobody listens any more
    } catch {
      // ended just now
    }
  });
}

function take(child: ChildProcess, message: Buffer): void {
  const [channel, stream] = message;
  if (channel === CHANNEL.stdin) child.stdin?.write(message.subarray(1));
  else if (channel === CHANNEL.close && stream === CHANNEL.stdin) child.stdin?.end();
  else if (channel === CHANNEL.resize) {
    const size = JSON.parse(message.subarray(1).toString()) as { Width?: number; Height?: number };
    resizeOf(child)?.write(`${Number(size.Width)} ${Number(size.Height)}\n`);
  }
}

function resizeOf(child: ChildProcess): NodeJS.WritableStream | undefined {
  const stream = child.stdio[3];
  return stream && 'write' in stream ? stream : undefined;
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

function pause(child: ChildProcess): void {
  child.stdout?.pause();
  child.stderr?.pause();
}

function resume(child: ChildProcess): void {
  child.stdout?.resume();
  child.stderr?.resume();
}
