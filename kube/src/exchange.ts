import type { Dispatcher } from 'undici';

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter?: string;
}

/**
 * Who reads an answer while it arrives, piece by piece. Called from the turn in which a piece was read: an iterator would cost
 * several more, and each event of a watch would wait for them. What it throws ends the connection, and is what the caller gets.
 */
export interface AnswerReader {
  /** The answer has begun, with a status that is no error. */
  readonly begun?: () => void;
  readonly piece: (piece: Uint8Array) => void;
}

/** The connection broke after the answer had begun: the server has carried the request out, or is about to. */
class BrokenAnswer extends Error {
  readonly code = 'ANSWER_BROKEN';

  constructor(cause: Error) {
    super(`the answer broke off: ${cause.message}`, { cause });
  }
}

/** Exchanges under way, by what aborts them: one listener a signal, however many requests share it. */
const underWay = new WeakMap<AbortSignal, Set<Exchange>>();

/**
 * Sends one request and collects its answer.
 *
 * Below undici's `request`, which makes a stream of every answer: an answer of the API server to a write is one small piece,
 * and a controller in a burst of pods does little else than such writes.
 *
 * @param signal aborts the exchange; its reason is what the promise is rejected with
 * @param reader gets the text of an answer that is no error
 */
export function exchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal | undefined,
  reader?: AnswerReader,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const handler = new Exchange(resolve, reject, signal, reader);
    try {
      dispatcher.dispatch(options, handler);
    } catch (error) {
      handler.onResponseError(undefined, error as Error);
    }
  });
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #reader: AnswerReader | undefined;
  readonly #pieces: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #retryAfter: string | undefined;

  constructor(
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal | undefined,
    reader: AnswerReader | undefined,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#reader = reader;
    if (signal !== undefined) follow(signal).add(this);
  }

  abort(reason: unknown): void {
    // Rejected here as well: a request that waits for a connection has no controller yet.
    this.#reject(reason);
    this.#controller?.abort(reason as Error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#signal?.aborted === true) controller.abort(this.#signal.reason as Error);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#status = status;
    const retryAfter = headers['retry-after'];
    this.#retryAfter = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter;
    if (this.#isRead) this.#read(() => this.#reader?.begun?.());
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#isRead) this.#read(() => this.#reader?.piece(piece));
    else this.#pieces.push(piece);
  }

  get #isRead(): boolean {
    return this.#reader !== undefined && this.#status >= 200 && this.#status < 300;
  }

  #read(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.abort(error);
    }
  }

  onResponseEnd(): void {
    this.#ended();
    const [first = Buffer.alloc(0)] = this.#pieces;
    const whole = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    const text = whole.toString('utf8');
    const retryAfter = this.#retryAfter;
    this.#resolve({ status: this.#status, text, ...(retryAfter === undefined ? {} : { retryAfter }) });
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#ended();
    const timeout = 'code' in error && error.code === 'UND_ERR_BODY_TIMEOUT';
    this.#reject(this.#status === 0 || timeout ? error : new BrokenAnswer(error));
  }

  #ended(): void {
    if (this.#signal !== undefined) underWay.get(this.#signal)?.delete(this);
  }
}

function follow(signal: AbortSignal): Set<Exchange> {
  const known = underWay.get(signal);
  if (known !== undefined) return known;
  const exchanges = new Set<Exchange>();
  underWay.set(signal, exchanges);
  signal.addEventListener(
    'abort',
    () => {
      for (const one of exchanges) one.abort(signal.reason);
    },
    { once: true },
  );
  return exchanges;
}
