import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('pod-server.pl', import.meta.url));

/** One port that the pod server answers on. */
export interface ServedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
}

/**
 * The one process per machine that makes the pods' network namespaces and answers on the ports of containers without
 * a command (`pod-server.pl` says the line protocol). It ends with its parent, because its input ends then.
 */
export class PodServer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void; request: string }>();
  #sequence = 0;
  #input = '';
  #dead: Error | undefined;
  /** Settles when the process has ended; rejects unless `stop` was asked for. */
  readonly ended: Promise<void>;
  #stopping = false;

  /** Starts the process. `log` receives what it writes on standard error. */
  constructor(log: (text: string) => void) {
    const child = spawn('perl', [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    child.stderr.setEncoding('utf8').on('data', log);
    child.stdin.on('error', () => undefined); // the exit says more than EPIPE
    this.ended = new Promise((resolve, reject) => {
      const over = (error: Error): void => {
        this.#dead ??= error;
        for (const { reject: refuse } of this.#waiting.values()) refuse(this.#dead);
        this.#waiting.clear();
        if (this.#stopping) resolve();
        else reject(error);
      };
      child.on('error', (cause) => over(new Error(`cannot start perl ${SCRIPT}: ${cause.message}`, { cause })));
      child.on('exit', (code, signal) => over(new Error(`pod server ended (${signal ?? code})`)));
    });
    this.ended.catch(() => undefined); // whoever cares awaits it; a test that does not must not crash
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
    return this.#request('open', id, netns, name, ...ports.map(({ protocol, port }) => `${protocol}:${port}`));
  }

  /** Close whatever `id` has open. */
  close(id: string): Promise<void> {
    return this.#request('close', id);
  }

  /** Resolves when the process `pid`, which need not be our child, has ended; at once when there is none. */
  waitPid(pid: number): Promise<void> {
    return this.#request('wait-pid', String(pid));
  }

  /** End the process; every socket it holds closes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.stdin?.end();
    await this.ended.catch(() => undefined);
  }

  #request(...words: string[]): Promise<void> {
    const bad = words.find((word) => word === '' || /\s/.test(word));
    if (bad !== undefined) return Promise.reject(new Error(`pod server: '${bad}' is not a word`));
    if (this.#dead) return Promise.reject(this.#dead);
    const sequence = ++this.#sequence;
    const request = words.join(' ');
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
