/** A proxy in front of a server: cuts connections, delays, dribbles and garbles bytes, refuses methods. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';

/** Listens on a loopback TCP port and passes bytes to and from a unix socket. */
export class Proxy implements AsyncDisposable {
  /** Bytes per write towards the client; Infinity passes chunks as they come. */
  pieceBytes: number = Infinity;
  /** Milliseconds before each write towards the client. */
  delayMs: number = 0;
  /** Methods that are answered with "unknown method", as a server that is too old does. */
  readonly refused: Set<string> = new Set();
  /** Changes what goes to the client. */
  garble: ((chunk: Buffer) => Buffer) | undefined;
  /** Connections accepted so far. */
  accepted: number = 0;
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async open(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get remote(): string {
    return `tcp:127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts all connections; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    const server = connect(this.#target);
    client.setNoDelay(true);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    // A connection that is cut ends both loops with an error, which is no failure.
    this.#toServer(client, server).catch(() => undefined);
    this.#toClient(server, client).catch(() => undefined);
  }

  async #toServer(client: Socket, server: Socket): Promise<void> {
    const split = splitter();
    for await (const chunk of client as AsyncIterable<Buffer>) {
      if (this.refused.size === 0) {
        server.write(chunk);
        continue;
      }
      for (const text of split(chunk.toString('utf8'))) {
        const { id, method } = JSON.parse(text) as { id: unknown; method?: string };
        if (method !== undefined && this.refused.has(method)) {
          client.write(JSON.stringify({ id, result: null, error: 'unknown method' }));
        } else {
          server.write(text);
        }
      }
    }
  }

  async #toClient(server: Socket, client: Socket): Promise<void> {
    for await (const whole of server as AsyncIterable<Buffer>) {
      const chunk = this.garble?.(whole) ?? whole;
      for (let i = 0; i < chunk.length; i += this.pieceBytes) {
        if (this.delayMs > 0) {
          await setTimeout(this.delayMs);
        } else if (i > 0) {
          // The client sees each piece as a chunk of its own.
          await setImmediate();
        }
        if (client.destroyed) {
          return;
        }
        client.write(chunk.subarray(i, i + this.pieceBytes));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Splits a stream of JSON objects into one text each. */
function splitter(): (text: string) => string[] {
  let held = '';
  return (text) => {
    held += text;
    const out: string[] = [];
    let depth = 0;
    let start = 0;
    let inString = false;
    for (let i = 0; i < held.length; i += 1) {
      const c = held[i];
      if (inString) {
        if (c === '\\') {
          i += 1;
        } else if (c === '"') {
          inString = false;
        }
      } else if (c === '"') {
        inString = true;
      } else if (c === '{') {
        depth += 1;
      } else if (c === '}') {
        depth -= 1;
        if (depth === 0) {
          out.push(held.slice(start, i + 1));
          start = i + 1;
        }
      }
    }
    held = held.slice(start);
    return out;
  };
}
