/** Real ovsdb-servers for the tests of this folder: each in a directory of its own, ended by its process id. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The northbound schema that the tests use: that of the oldest supported release. */
export const NB_SCHEMA: string = fileURLToPath(
  new URL('../../../ovsdb/schemas/23.03/ovn-nb.ovsschema', import.meta.url),
);

/** Waits until `probe` holds; at the deadline throws with what it last said. */
export async function until(what: string, probe: () => unknown, deadlineMs = 20_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      last = await probe();
    } catch (error) {
      last = error instanceof Error ? error.message : error;
      if (performance.now() > end) {
        throw new Error(`waited ${deadlineMs} ms for ${what}; last: ${String(last)}`, { cause: error });
      }
      last = false;
    }
    if (last === true) {
      return;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${deadlineMs} ms for ${what}; last: ${JSON.stringify(last)}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

/** A free TCP port of the loopback; something else could take it before it is used, which the test then says. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A directory for one test's servers. */
export async function makeDir(): Promise<string> {
  // Unix socket paths have 107 bytes at most, so not below some long TMPDIR.
  return mkdtemp(join(tmpdir().length > 40 ? '/tmp' : tmpdir(), 'ovsdb-'));
}

/** One ovsdb-server on the file `<name>.db` of a directory, or a relay. */
export class TestServer {
  readonly dir: string;
  readonly name: string;
  /** Database and remote of a relay's source: `OVN_Northbound:unix:...`. */
  readonly #source: string | undefined;
  readonly #arguments: readonly string[];
  #process: ChildProcess | undefined;

  constructor(dir: string, name: string, extraArguments: readonly string[] = [], source?: string) {
    this.dir = dir;
    this.name = name;
    this.#arguments = extraArguments;
    this.#source = source;
  }

  get database(): string {
    return join(this.dir, `${this.name}.db`);
  }

  get socket(): string {
    return join(this.dir, `${this.name}.sock`);
  }

  get remote(): string {
    return `unix:${this.socket}`;
  }

  get control(): string {
    return join(this.dir, `${this.name}.ctl`);
  }

  /** Makes a new, empty standalone database, in place of any that is there. */
  async create(schema: string = NB_SCHEMA): Promise<void> {
    await rm(this.database, { force: true });
    await run('ovsdb-tool', ['create', this.database, schema]);
  }

  /** Makes a new cluster with this server as its first member, at a Raft address `tcp:HOST:PORT`. */
  async createCluster(address: string, schema: string = NB_SCHEMA): Promise<void> {
    await rm(this.database, { force: true });
    await run('ovsdb-tool', ['create-cluster', this.database, schema, address]);
  }

  /** Makes this server join a cluster. */
  async joinCluster(database: string, own: string, ...others: readonly string[]): Promise<void> {
    await run('ovsdb-tool', ['join-cluster', this.database, database, own, ...others]);
  }

  /** Starts the server and waits until it listens. */
  async start(): Promise<void> {
    await rm(this.socket, { force: true });
    await rm(this.control, { force: true });
    const child = spawn(
      'ovsdb-server',
      [
        '--verbose=console:off',
        `--remote=punix:${this.socket}`,
        `--unixctl=${this.control}`,
        `--log-file=${join(this.dir, `${this.name}.log`)}`,
        ...this.#arguments,
        this.#source === undefined ? this.database : `relay:${this.#source}`,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    this.#process = child;
    await until(`ovsdb-server ${this.name} to listen`, async () => {
      if (child.exitCode !== null) {
        throw new Error(`it exited with ${child.exitCode}`);
      }
      // The control socket comes after the other one.
      for (const socket of [this.socket, this.control]) {
        const probe = connect(socket);
        await once(probe, 'connect');
        probe.destroy();
      }
      return true;
    });
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
  }

  /** Stops (SIGSTOP) the process without ending it. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Lets a frozen process go on. */
  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** `ovs-appctl -t <this server>`. */
  async appctl(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('ovs-appctl', ['-t', this.control, ...args]);
    return stdout;
  }

  /** A transaction by OVS's own client: `ovsdb-client transact`. */
  async transact(operations: readonly unknown[], database = 'OVN_Northbound'): Promise<unknown> {
    const { stdout } = await run('ovsdb-client', ['transact', this.remote, JSON.stringify([database, ...operations])]);
    return JSON.parse(stdout);
  }
}

/** Three members of a new cluster, each of which knows the others. */
export async function startCluster(dir: string, database: string): Promise<TestServer[]> {
  const [first = '', ...others] = await Promise.all([1, 2, 3].map(async () => `tcp:127.0.0.1:${await freePort()}`));
  const servers = [1, 2, 3].map((i) => new TestServer(dir, `member${i}`));
  const [leader] = servers;
  await leader?.createCluster(first);
  await leader?.start();
  for (const [i, own] of others.entries()) {
    const server = servers[i + 1];
    await server?.joinCluster(database, own, first);
    await server?.start();
  }
  for (const server of servers) {
    await until(`${server.name} to join`, async () =>
      (await server.appctl('cluster/status', database)).includes('Status: cluster member'),
    );
  }
  return servers;
}
