/**
 * The CNI plugin `ovenbird`: standard input and CNI_* variables → one HTTP/1.0 request on the agent's unix socket →
 * standard output (CNI SPEC.md 1.1.0; docs/architecture.md §5). One file that imports nothing but node:net and node:fs:
 * it is compiled into one executable and started for every pod, so its start-up time is part of every pod's.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const SUPPORTED = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const DEFAULT_SOCKET = '/run/ovenbird/cni.sock';
/**
 * How long the agent may take to answer, milliseconds. It says itself what it waited for in vain: after 60 s for an address
 * and 30 s for flows (ADD), 15 s for the local database and 5 s for the API server (DEL, of one), 2 s for a daemon (STATUS).
 * Below kubelet's two minutes for a request to its runtime, which would hide who is silent.
 */
const DEADLINES_MS: Readonly<Record<string, number>> = {
  ADD: 110_000,
  CHECK: 30_000,
  DEL: 30_000,
  GC: 30_000,
  STATUS: 10_000,
};

/** Variables that a command needs (SPEC.md, "CNI operations"). */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: [],
  VERSION: [],
};

/** A failure with its number in SPEC.md, "Error". */
class CniError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

let cniVersion = '1.0.0';

function exit(output: string, status: number): void {
  // The write may be asynchronous when standard output is a pipe: end when it is through.
  process.stdout.write(output, () => process.exit(status));
}

function fail(error: unknown): void {
  const code = error instanceof CniError ? error.code : 999;
  const msg = error instanceof Error ? error.message : String(error);
  exit(JSON.stringify({ cniVersion, code, msg }), 1);
}

/** CNI_ARGS: `KEY=VALUE;KEY=VALUE`. */
function parseArgs(text: string): Record<string, string> {
  const args: Record<string, string> = {};
  for (const pair of text.split(';')) {
    if (pair === '') continue;
    const parts = pair.split('=');
    const [key = '', value] = parts;
    if (parts.length !== 2 || key === '' || value === undefined) {
      throw new CniError(4, `CNI_ARGS: "${pair}" is not KEY=VALUE`);
    }
    args[key] = value;
  }
  return args;
}

function readConfig(): string {
  try {
    return readFileSync(0, 'utf8');
  } catch (error) {
    throw new CniError(5, `cannot read the network configuration from standard input: ${String(error)}`);
  }
}

/** Sends the request; resolves with HTTP status and body. */
function post(socket: string, body: string, deadlineMs: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const connection = connect(socket);
    const timer = setTimeout(() => {
      connection.destroy();
      reject(new CniError(11, `the Ovenbird agent did not answer within ${deadlineMs / 1000} s: is it stuck?`));
    }, deadlineMs);
    connection.on('connect', () => {
      connection.write(
        `POST /cni HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
    connection.on('data', (piece: Buffer) => pieces.push(piece));
    connection.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      reject(
        new CniError(
          11,
          absent
            ? `the Ovenbird agent is not serving ${socket} (${error.code ?? ''}): is it running on this node?`
            : `the connection to the Ovenbird agent at ${socket} broke: ${error.message}`,
        ),
      );
    });
    connection.on('end', () => {
      clearTimeout(timer);
      const text = Buffer.concat(pieces).toString('utf8');
      const split = text.indexOf('\r\n\r\n');
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]);
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, split + 2))?.[1]);
      const reply = text.slice(split + 4);
      if (split < 0 || Number.isNaN(status) || Number.isNaN(length) || Buffer.byteLength(reply) !== length) {
        reject(new CniError(11, 'the Ovenbird agent ended before it answered'));
      } else resolve({ status, body: reply });
    });
  });
}

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const command = env['CNI_COMMAND'] ?? '';
  const required = REQUIRED[command];
  if (required === undefined) {
    throw new CniError(4, command === '' ? 'CNI_COMMAND is missing' : `CNI_COMMAND "${command}" is not known`);
  }
  const text = readConfig();
  if (command === 'VERSION') {
    // Answered without the agent, whatever comes in: podman asks before every start, also with empty input.
    const asked = /"cniVersion"\s*:\s*"([^"]*)"/.exec(text)?.[1];
    exit(JSON.stringify({ cniVersion: asked ?? '1.1.0', supportedVersions: SUPPORTED }), 0);
    return;
  }
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new CniError(6, `the network configuration is not JSON: ${String(error)}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new CniError(6, 'the network configuration is not a JSON object');
  }
  const {
    cniVersion: version = '0.1.0',
    ipam,
    // Another plugin (macvlan) that asks for addresses passes its own configuration on, ours is its `ipam`.
    socket = ipam?.socket ?? DEFAULT_SOCKET,
  } = config as {
    cniVersion?: unknown;
    socket?: unknown;
    ipam?: { socket?: unknown } | null;
  };
  if (typeof version !== 'string') throw new CniError(6, 'cniVersion is not a string');
  cniVersion = version;
  if (!SUPPORTED.includes(version)) {
    throw new CniError(1, `cniVersion ${version} is not supported; use ${SUPPORTED.join(', ')}`);
  }
  const missing = required.filter((name) => (env[name] ?? '') === '');
  if (missing.length > 0) throw new CniError(4, `${missing.join(', ')} missing from the environment`);
  if (typeof socket !== 'string' || !socket.startsWith('/')) {
    throw new CniError(7, `"socket": ${JSON.stringify(socket)} is not an absolute path`);
  }
  const request = {
    command,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netns: env['CNI_NETNS'] ?? '',
    ifname: env['CNI_IFNAME'] ?? '',
    args: parseArgs(env['CNI_ARGS'] ?? ''),
    path: env['CNI_PATH'] ?? '',
    config,
  };
  const reply = await post(socket, JSON.stringify(request), DEADLINES_MS[command] ?? 0);
  exit(reply.body, reply.status === 200 ? 0 : 1);
}

main(process.env).catch(fail);
