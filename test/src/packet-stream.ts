import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('packet-stream.pl', import.meta.url));

/** A one-way stream of numbered UDP packets, 100 a second. */
export interface Stream {
  /** Without white space. */
  readonly name: string;
  /** Paths of network namespaces. */
  readonly from: string;
  readonly to: string;
  /** Address of the receiver, and a port that is free there. */
  readonly address: string;
  readonly port: number;
}

/** What became of a stream. */
export interface StreamResult {
  readonly name: string;
  readonly sent: number;
  /** Numbers of the packets that did not arrive, from 0. */
  readonly lost: readonly number[];
}

/** Streams that run together, sent and received by one process, so that they share whatever the machine does to it. */
export class PacketStreams implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended: Promise<readonly StreamResult[]>;
  #sent = 0;

  private constructor(streams: readonly Stream[]) {
    this.#child = spawn('perl', [script], { stdio: 'pipe' });
    const results: StreamResult[] = [];
    let errors = '';
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const [word, name = '', sent, lost = '-'] = line.split(' ');
      if (word === 'ready') this.#ready.resolve();
      if (word === 'at') this.#sent = Number(name);
      if (word === 'result')
        results.push({ name, sent: Number(sent), lost: lost === '-' ? [] : lost.split(',').map(Number) });
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        if (code === 0) resolve(results);
        else reject(new Error(`the packet sender ended (${code ?? signal}): ${errors}`));
      });
    });
    this.#ended.catch((error: unknown) => this.#ready.reject(error));
    // Whoever waits for neither learns of the failure by the other.
    this.#ready.promise.catch(() => undefined);
    const lines = streams.map(({ name, from, to, address, port }) => `${name} ${from} ${to} ${address} ${port}\n`);
    this.#child.stdin.on('error', () => undefined).write(`${lines.join('')}\n`);
  }

  /**
   * Starts the streams; resolves when each has delivered its first packet, from where on losses count.
   * @param deadline milliseconds
   */
  static async start(streams: readonly Stream[], deadline = 20_000): Promise<PacketStreams> {
    const started = new PacketStreams(streams);
    const timer = setTimeout(
      () => started.#ready.reject(new Error(`a stream delivered nothing in ${deadline} ms`)),
      deadline,
    );
    try {
      await started.#ready.promise;
      return started;
    } catch (error) {
      started.#child.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Packets sent on each stream since the start, in hundreds. */
  get sent(): number {
    return this.#sent;
  }

  /** Ends the streams and says what was lost. */
  async stop(): Promise<readonly StreamResult[]> {
    this.#child.stdin.end();
    return await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#ended.catch(() => undefined);
  }
}
