/** For tests: a switch at the other end of a pair of streams, and a clock that is moved by hand. */
import { type Duplex, duplexPair } from 'node:stream';
import type { Clock } from './clock.ts';
import { Framer } from './framer.ts';
import type { Message } from './message.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { OF15, type Version } from './version.ts';

/** Seed of random tests: `SEED` of the environment, else of the moment. */
export const SEED: number = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** Time that stands still until it is moved. */
export class FakeClock implements Clock {
  #now = 0;
  #timers: { at: number; task: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#now + ms, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Runs what is due within `ms` milliseconds, in order, with time for promises and streams in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets promises and streams come to rest: their callbacks need some turns of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** What a fake switch answers by itself. */
export interface FakeSwitchOptions {
  readonly version?: Version;
  /** The bytes of its greeting; none: it stays silent. Default: a greeting with just its version. */
  readonly greeting?: Uint8Array | undefined;
  /** Answers to a message; undefined: features and barriers are answered, the rest is not. */
  readonly answer?: (message: Message) => readonly Message[] | undefined;
}

/** A switch that does what the test says. */
export class FakeSwitch {
  /** The end for the code under test. */
  readonly stream: Duplex;
  readonly version: Version;
  /** What came, without the greeting. */
  readonly received: Message[] = [];
  readonly #own: Duplex;
  readonly #answer: (message: Message) => readonly Message[] | undefined;

  constructor(options: FakeSwitchOptions = {}) {
    const { version = OF15 } = options;
    this.version = version;
    this.#answer = options.answer ?? (() => undefined);
    [this.stream, this.#own] = duplexPair();
    const framer = new Framer();
    this.#own.on('error', () => undefined);
    this.#own.on('data', (chunk: Buffer) => {
      for (const frame of framer.push(chunk)) this.#take(decodeMessage(frame).message);
    });
    if (!('greeting' in options)) this.raw(encodeMessage(version, { type: 'hello', xid: 1, versions: [version] }));
    else if (options.greeting !== undefined) this.raw(options.greeting);
  }

  /** Sends messages, in one chunk. */
  send(...messages: readonly Message[]): void {
    this.raw(Buffer.concat(messages.map((message) => encodeMessage(this.version, message))));
  }

  /** Sends bytes. */
  raw(bytes: Uint8Array): void {
    this.#own.write(bytes);
  }

  /** The message of a type that came last; waits for it. */
  async message<T extends Message['type']>(type: T): Promise<Message & { readonly type: T }> {
    for (let turn = 0; turn < 100; turn += 1) {
      const found = this.received.findLast((message) => message.type === type);
      if (found !== undefined) return found as Message & { readonly type: T };
      await settle();
    }
    throw new Error(`no ${type} came; what came: ${this.received.map((message) => message.type).join(', ')}`);
  }

  /** Stops reading, or goes on. */
  hold(held: boolean): void {
    if (held) this.#own.pause();
    else this.#own.resume();
  }

  /** Ends the connection. */
  end(): void {
    this.#own.destroy();
    this.stream.destroy();
  }

  #take(message: Message): void {
    if (message.type === 'hello') return;
    this.received.push(message);
    const { xid } = message;
    const answers = this.#answer(message);
    if (answers !== undefined) this.send(...answers);
    else if (message.type === 'barrier_request') this.send({ type: 'barrier_reply', xid });
    else if (message.type === 'features_request') {
      this.send({ type: 'features_reply', xid, datapathId: 1n, buffers: 0, tables: 254, capabilities: 0 });
    }
  }
}
