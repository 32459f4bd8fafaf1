import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '@ovenbird/deploy';
import { appctl } from '@ovenbird/ovsdb';

/** One `ovn-nbctl` that keeps its copy of the database (ovn-nbctl(8), daemon mode), asked on its socket without a process. */
export class NbctlDaemon implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** @param northbound socket of the database */
  static async start(northbound: string): Promise<NbctlDaemon> {
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-nbctl-'));
    const daemon = new NbctlDaemon(directory);
    const options = ['--detach', '--no-chdir', `--pidfile=${join(directory, 'pid')}`, `--unixctl=${daemon.#socket}`];
    await run(['ovn-nbctl', `--db=unix:${northbound}`, ...options, '-vconsole:off', '-vsyslog:off']);
    return daemon;
  }

  get #socket(): string {
    return join(this.#directory, 'ctl');
  }

  /** Commands that are joined with `--` are one transaction. */
  async run(...args: readonly string[]): Promise<string> {
    return await appctl(this.#socket, 'run', ['--', ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await appctl(this.#socket, 'exit');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
