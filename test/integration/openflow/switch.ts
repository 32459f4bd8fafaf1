/**
 * A real ovs-vswitchd with the dummy datapath, which needs neither root nor kernel module: in a directory of its own,
 * ended by its process id.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Waits until `probe` returns something other than undefined and false; at the deadline throws with the last state. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  state: () => unknown = () => undefined,
  deadlineMs = 20_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let failure: unknown;
    try {
      const result = await probe();
      if (result !== undefined && result !== false) return result;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > end) {
      const last = failure ?? (await state());
      throw new Error(
        `waited ${deadlineMs} ms for ${what}; last: ${last instanceof Error ? last.message : String(last)}`,
      );
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** One database server and one switch daemon, with bridges. */
export class TestSwitch implements AsyncDisposable {
  readonly dir: string;
  #database: ChildProcess | undefined;
  #vswitchd: ChildProcess | undefined;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Starts the daemons and makes bridges. */
  static async start(...bridges: readonly string[]): Promise<TestSwitch> {
    const it = new TestSwitch(await mkdtemp('/tmp/openflow-'));
    try {
      const db = join(it.dir, 'conf.db');
      await run('ovsdb-tool', ['create', db, '/usr/share/openvswitch/vswitch.ovsschema']);
      it.#database = it.#spawn('ovsdb-server', [`--remote=punix:${it.#socket}`, db]);
      await until('ovsdb-server', () => it.vsctl('init').then(() => true));
      await it.startSwitch();
      for (const bridge of bridges) await it.addBridge(bridge);
      return it;
    } catch (error) {
      await it[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #socket(): string {
    return join(this.dir, 'db.sock');
  }

  /** The process of ovs-vswitchd; undefined while it is stopped. */
  get pid(): number | undefined {
    return this.#vswitchd?.pid;
  }

  /** What `connect` takes for a bridge. */
  remote(bridge: string): string {
    return `unix:${join(this.dir, `${bridge}.mgmt`)}`;
  }

  /** `ovs-vsctl`. */
  async vsctl(...args: readonly string[]): Promise<string> {
    return (await run('ovs-vsctl', [`--db=unix:${this.#socket}`, '--no-wait', ...args])).stdout;
  }

  /** `ovs-vsctl`, and waits until the switch has done it. */
  async configure(...args: readonly string[]): Promise<string> {
    return (await run('ovs-vsctl', [`--db=unix:${this.#socket}`, '--timeout=20', ...args])).stdout;
  }

  /** `ovs-ofctl` with all versions, to a bridge: `ofctl('br0', 'add-flow', 'actions=drop')`. */
  async ofctl(bridge: string, command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run(
      'ovs-ofctl',
      ['-O', 'OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15', command, this.remote(bridge), ...args],
      { maxBuffer: 1 << 28 },
    );
    return stdout;
  }

  /** The flows of a bridge as ovs-ofctl prints them, without counters, sorted. */
  async flows(bridge: string, filter = ''): Promise<readonly string[]> {
    const text = await this.ofctl(bridge, 'dump-flows', filter, '--no-stats');
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('OFPST'))
      .sort();
  }

  /** `ovs-appctl` to the switch. */
  async appctl(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('ovs-appctl', ['-t', join(this.dir, 'vswitchd.ctl'), ...args]);
    return stdout;
  }

  /** Makes a bridge that forwards nothing by itself. */
  async addBridge(name: string): Promise<void> {
    await this.configure(
      ...['add-br', name, '--', 'set', 'bridge', name, 'datapath_type=dummy', 'fail-mode=secure'],
      'protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15',
    );
  }

  /** Adds a port into which the test puts packets. */
  async addPort(bridge: string, name: string, number: number): Promise<void> {
    await this.configure(
      ...['add-port', bridge, name, '--', 'set', 'interface', name, 'type=dummy', `ofport_request=${number}`],
    );
  }

  /** Receives a packet, given as ovs-appctl's flow syntax or as hex, on a port. */
  async receive(port: string, packet: string): Promise<void> {
    await this.appctl('netdev-dummy/receive', port, packet);
  }

  /** Starts ovs-vswitchd. */
  async startSwitch(): Promise<void> {
    this.#vswitchd = this.#spawn('ovs-vswitchd', [
      ...['--enable-dummy=override', '--disable-system', `unix:${this.#socket}`],
      `--unixctl=${join(this.dir, 'vswitchd.ctl')}`,
    ]);
    await until('ovs-vswitchd', () => this.appctl('version').then(() => true));
    // It answers before it has made the bridges of the database.
    await this.configure('set', 'open_vswitch', '.', `external_ids:started=${performance.now()}`);
  }

  /** Ends ovs-vswitchd. */
  async stopSwitch(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#vswitchd;
    this.#vswitchd = undefined;
    await end(child, signal);
  }

  /** Ends ovs-vswitchd and starts it again: its flows are gone. */
  async restartSwitch(): Promise<void> {
    await this.stopSwitch();
    await this.startSwitch();
  }

  /** Stops (SIGSTOP) the switch without ending it; returns what lets it go on. */
  freeze(): () => void {
    const child = this.#vswitchd;
    child?.kill('SIGSTOP');
    return () => child?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopSwitch();
    await end(this.#database, 'SIGKILL');
    await rm(this.dir, { recursive: true, force: true });
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    return spawn(program, ['-vconsole:off', `--log-file=${join(this.dir, `${program}.log`)}`, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, OVS_RUNDIR: this.dir, OVS_LOGDIR: this.dir, OVS_DBDIR: this.dir },
    });
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  child.kill('SIGCONT');
  await exited;
}
