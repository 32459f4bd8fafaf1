import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@ovenbird/deploy';

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
  /** Nothing should arrive: it is not waited for at the start. */
  readonly closed?: boolean;
}

/** What became of a stream. */
export interface StreamResult {
  readonly name: string;
  readonly sent: number;
  /** Numbers of the packets that did not arrive, from 0; none of a closed stream. */
  readonly lost: readonly number[];
  /** Numbers of the packets of a closed stream that arrived. */
  readonly leaked: readonly number[];
}

/** Streams that run together, sent and received by one process, so that they share whatever the machine does to it. */
export class PacketStreams implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended: Promise<readonly StreamResult[]>;
  #sent = 0;

  private constructor(streams: readonly Stream[]) {
    this.#child = spawn('perl', [script], { stdio: 'pipe' });
    const closed = new Set(streams.filter((stream) => stream.closed === true).map(({ name }) => name));
    const results: StreamResult[] = [];
    let errors = '';
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const [word, name = '', sent, list = '-'] = line.split(' ');
      if (word === 'ready') this.#ready.resolve();
      if (word === 'at') this.#sent = Number(name);
      if (word !== 'result') return;
      const numbers = list === '-' ? [] : list.split(',').map(Number);
      const [lost, leaked] = closed.has(name) ? [[], numbers] : [numbers, []];
      results.push({ name, sent: Number(sent), lost, leaked });
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
    const lines = streams.map(
      ({ name, from, to, address, port }) =>
        `${name} ${from} ${to} ${address} ${port} ${closed.has(name) ? 'closed' : 'open'}\n`,
    );
    this.#child.stdin.on('error', () => undefined).write(`${lines.join('')}\n`);
  }

  /**
   * Starts the streams; resolves when each that is open has delivered its first packet, from where on losses count.
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

  /** Waits until so many packets more were sent on each stream; they are counted in hundreds. */
  async more(count: number): Promise<void> {
    const until = this.#sent + count;
    await waitFor(`packet ${until}`, () => this.#sent >= until || `${this.#sent} sent`, { deadline: 60_000 });
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
