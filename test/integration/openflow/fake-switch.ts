import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { decodeMessage, encodeMessage, Framer, type Message, OF13, OF14, OF15, type Version } from '@ovenbird/openflow';

const run = promisify(execFile);

/** What `-O` of ovs-ofctl calls a version. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'OpenFlow10',
  4: 'OpenFlow13',
  5: 'OpenFlow14',
  6: 'OpenFlow15',
};

/** The versions that have match fields and instructions as OpenFlow has them today. */
export const VERSIONS: readonly Version[] = [OF13, OF14, OF15];

/** A message and its bytes, as a client sent them. */
export interface Received {
  readonly version: Version;
  readonly message: Message;
  readonly bytes: Uint8Array;
}

/** A switch that agrees to everything and keeps what it was told: what does ovs-ofctl really send? */
export class FakeSwitch implements AsyncDisposable {
  readonly #server: Server;
  readonly #path: string;
  readonly #open = new Set<Socket>();
  /** Everything received so far, apart from greetings, barriers and features requests. */
  received: Received[] = [];
  /** What went wrong with a frame; must stay empty. */
  readonly failures: string[] = [];

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async open(dir: string): Promise<FakeSwitch> {
    const fake = new FakeSwitch(join(dir, 'switch.sock'));
    await new Promise<void>((resolve) => {
      fake.#server.listen(fake.#path, resolve);
    });
    return fake;
  }

  /** What ovs-ofctl calls it. */
  get remote(): string {
    return `unix:${this.#path}`;
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    const framer = new Framer();
    let version: Version = OF15;
    const send = (message: Message): void => {
      socket.write(encodeMessage(version, message));
    };
    socket.on('error', () => undefined);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('data', (chunk) => {
      for (const bytes of framer.push(chunk)) {
        try {
          const decoded = decodeMessage(Uint8Array.from(bytes));
          const { message } = decoded;
          if (message.type === 'hello') {
            version = decoded.version;
            send({ type: 'hello', xid: message.xid, versions: undefined });
          } else this.#answer(send, { ...decoded, bytes: Uint8Array.from(bytes) });
        } catch (error) {
          this.failures.push(`${String(error)}: ${Buffer.from(bytes).toString('hex')}`);
        }
      }
    });
  }

  #answer(send: (message: Message) => void, received: Received): void {
    const { message } = received;
    const { xid } = message;
    switch (message.type) {
      case 'echo_request':
        send({ type: 'echo_reply', xid, data: message.data });
        return;
      case 'barrier_request':
        send({ type: 'barrier_reply', xid });
        return;
      case 'features_request':
        send({
          type: 'features_reply',
          xid,
          datapathId: 1n,
          buffers: 0,
          tables: 254,
          auxiliaryId: 0,
          capabilities: 0,
          ports: [],
        });
        return;
      case 'bundle_control':
        send({ ...message, control: message.control.replace('request', 'reply') as typeof message.control });
        return;
      case 'port_desc_request':
        send({ type: 'port_desc_reply', xid, ports: [] });
        return;
      case 'table_features_request':
        send({ type: 'table_features_reply', xid, tables: [] });
        return;
      case 'get_config_request':
        send({ type: 'get_config_reply', xid, flags: 0, missSendLen: 0 });
        return;
      case 'flow_stats_request':
        send({ type: 'flow_stats_reply', xid, flows: [] });
        break;
      default:
        break;
    }
    this.received.push(received);
  }

  /** Runs an ovs-ofctl command against this switch and returns what it sent. @throws the error of ovs-ofctl */
  async ofctl(version: Version, command: readonly string[], args: readonly string[]): Promise<readonly Received[]> {
    this.received = [];
    await ofctl(version, [...command, this.remote, ...args]);
    return this.received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
    await rm(this.#path, { force: true });
  }
}

/** Runs ovs-ofctl. */
export async function ofctl(version: Version, args: readonly string[]): Promise<string> {
  const { stdout } = await run('ovs-ofctl', ['-O', PROTOCOLS[version] ?? '', '--timeout=20', '--no-names', ...args], {
    maxBuffer: 2 ** 28,
  });
  return stdout;
}
