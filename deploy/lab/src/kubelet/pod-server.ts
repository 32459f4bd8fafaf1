import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('pod-server.pl', import.meta.url));

/** A process that died twice is started again after this pause. */
const RESTART_MS = 1000;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly request: string;
}

/** One port that the pod server answers on. */
export interface ServedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
}

/**
 * The one process per machine that makes the pods' network namespaces and answers on the ports of containers without
 * a command (`pod-server.pl` says the line protocol). It ends with its parent, because its input ends then. One that dies is
 * started again with all it had open; requests under way fail and may be repeated.
 */
export class PodServer {
  #child: ChildProcess;
  readonly #log: (text: string) => void;
  readonly #waiting = new Map<number, Waiter>();
  /** What is open, as the request that opened it: a process that died is started again with the same. */
  readonly #open = new Map<string, string>();
  #sequence = 0;
  #input = '';
  #stopped = false;
  #starts = 0;

  /** Starts the process. `log` receives what it writes on standard error. */
  constructor(log: (text: string) => void) {
    this.#log = log;
    this.#child = this.#start();
  }

  #start(): ChildProcess {
    const child = spawn('perl', [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.#input = '';
    this.#starts += 1;
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    child.stderr.setEncoding('utf8').on('data', this.#log);
    child.stdin.on('error', () => undefined); // the exit says more than EPIPE
    let over = false;
    const end = (error: Error): void => {
      if (over) return;
      over = true;
      this.#ended(error);
    };
    child.on('error', (cause) => end(new Error(`cannot start perl ${SCRIPT}: ${cause.message}`, { cause })));
    child.on('exit', (code, signal) => end(new Error(`pod server ended (${signal ?? code})`)));
    return child;
  }

  #ended(error: Error): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
    if (this.#stopped) return;
    this.#log(`${error.message}: starting it again`);
    // One that dies at once again must not keep the machine busy.
    if (this.#starts === 1) this.#startAgain();
    else setTimeout(() => this.#startAgain(), RESTART_MS).unref();
  }

  #startAgain(): void {
    if (this.#stopped) return;
    this.#child = this.#start();
    for (const request of this.#open.values()) void this.#reopen(request);
  }

  async #reopen(request: string): Promise<void> {
    try {
      await this.#send(request);
    } catch (cause) {
      this.#log(`${request}: ${String(cause)}`);
    }
  }

  /** Make `/run/netns/<name>` with `lo` up. Fails when the name is taken. */
  addNetns(name: string): Promise<void> {
    return this.#request('netns-add', name);
  }

  /** Take `/run/netns/<name>` away; absent is fine. */
  deleteNetns(name: string): Promise<void> {
    return this.#request('netns-del', name);
  }

  /**
   * Answer with `name` on `ports` inside the namespace at `netns`, replacing what `id` had open. Fails, with nothing
   * left open, when one of them is taken.
   */
  open(id: string, netns: string, name: string, ports: readonly ServedPort[]): Promise<void> {
    const request = ['open', id, netns, name, ...ports.map(({ protocol, port }) => `${protocol}:${port}`)];
    return this.#request(...request).then(() => void this.#open.set(id, request.join(' ')));
  }

  /** Close whatever `id` has open. */
  close(id: string): Promise<void> {
    this.#open.delete(id);
    return this.#request('close', id);
  }

  /** Resolves when the process `pid`, which need not be our child, has ended; at once when there is none. */
  async waitPid(pid: number): Promise<void> {
    for (;;) {
      try {
        return await this.#request('wait-pid', String(pid));
      } catch (error) {
        if (this.#stopped) throw error;
        await new Promise((resolve) => setTimeout(resolve, RESTART_MS).unref()); // it is being started again
      }
    }
  }

  /** End the process; every socket it holds closes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.stdin?.end();
    await ended;
  }

  #request(...words: string[]): Promise<void> {
    const bad = words.find((word) => word === '' || /\s/.test(word));
    if (bad !== undefined) return Promise.reject(new Error(`pod server: '${bad}' is not a word`));
    return this.#send(words.join(' '));
  }

  #send(request: string): Promise<void> {
    if (this.#stopped) return Promise.reject(new Error('pod server: stopped'));
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) {
      return Promise.reject(new Error('pod server: it ended and is being started again'));
    }
    const sequence = ++this.#sequence;
    return new Promise((resolve, reject) => {
      this.#waiting.set(sequence, { resolve, reject, request });
      this.#child.stdin?.write(`${sequence} ${request}\n`);
    });
  }

  #read(text: string): void {
    this.#input += text;
    const lines = this.#input.split('\n');
    this.#input = lines.pop() ?? '';
    for (const line of lines) {
      const [sequence, outcome, ...rest] = line.split(' ');
      const waiter = this.#waiting.get(Number(sequence));
      if (!waiter) continue;
      this.#waiting.delete(Number(sequence));
      if (outcome === 'ok') waiter.resolve();
      else waiter.reject(new Error(`${waiter.request.split(' ')[0]}: ${rest.join(' ').trim()}`));
    }
  }
}
