import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '@ovenbird/kube';
import type { ApiCall, ApiKind } from './api-process.ts';
import { type Ended, exec, must, until } from './exec.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const schemas = join(root, 'ovsdb', 'schemas', '23.03');
/** The shim under test. */
export const SHIM: string = join(root, 'cni', 'dist', 'ovenbird');
/** Name of the only node. */
export const NODE = 'n1';

/** What a test asks of the plugin. */
export interface CniCall {
  readonly command: string;
  readonly containerId?: string;
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly config?: unknown;
}

/**
 * One node in a network namespace of its own: Open vSwitch (userspace datapath), OVN with databases and northd, a fake API
 * server, and the agent. A second namespace plays the world behind the node's uplink.
 */
export class NodeUnderTest {
  readonly id: string = randomBytes(3).toString('hex');
  readonly namespace: string = `oba-${this.id}`;
  readonly outside: string = `oba-${this.id}-out`;
  readonly directory: string = mkdtempSync(join(tmpdir(), 'ovenbird-agent-'));
  /** Variables of the daemons started from now on, over those of the test. */
  readonly environment: Record<string, string> = {};
  readonly #children = new Map<string, ChildProcess>();
  readonly #namespaces: string[] = [];
  #calls = 0;
  readonly #pending = new Map<number, (value: unknown) => void>();

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Starts everything but the agent. */
  async start(): Promise<void> {
    await must([process.execPath, join(root, 'cni', 'build.mjs')]);
    await this.addNamespace(this.namespace);
    await this.addNamespace(this.outside);
    const batch = [
      'link set lo up',
      `link add uplink type veth peer name eth0 netns ${this.outside}`,
      'link set uplink up',
      'address add 172.31.0.1/24 dev uplink',
      'address add fd00:172::1/64 dev uplink nodad',
      'route add default via 172.31.0.254',
      'route add default via fd00:172::254',
    ];
    await must(this.inNode('ip', '-batch', '-'), { input: `${batch.join('\n')}\n` });
    await must(['ip', '-n', this.outside, '-batch', '-'], {
      input:
        'link set eth0 up\nlink set lo up\naddress add 172.31.0.254/24 dev eth0\naddress add fd00:172::254/64 dev eth0 nodad\n',
    });
    for (const [file, schema] of [
      ['conf.db', 'vswitch.ovsschema'],
      ['nb.db', 'ovn-nb.ovsschema'],
      ['sb.db', 'ovn-sb.ovsschema'],
    ] as const) {
      await must(['ovsdb-tool', 'create', this.path(file), join(schemas, schema)]);
      this.startDatabase(file.replace('.db', ''));
    }
    for (const name of ['conf', 'nb', 'sb'])
      await until(`${name}.sock`, async () => existsSync(this.path(`${name}.sock`)));
    await must(['ovs-vsctl', `--db=unix:${this.path('conf.sock')}`, '--no-wait', 'init']);
    await must(['ovn-nbctl', `--db=unix:${this.path('nb.sock')}`, 'init']);
    await must(['ovn-sbctl', `--db=unix:${this.path('sb.sock')}`, 'init']);
    this.startSwitch();
    const [nb, sb] = [`--ovnnb-db=unix:${this.path('nb.sock')}`, `--ovnsb-db=unix:${this.path('sb.sock')}`];
    this.daemon('northd', ['ovn-northd', nb, sb, `--unixctl=${this.path('northd.ctl')}`]);
    this.startController();
    const api = spawn(
      'nsenter',
      [`--net=/run/netns/${this.namespace}`, process.execPath, join(root, 'test/integration/agent/api-process.ts')],
      {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      },
    );
    this.#children.set('api', api);
    const url = await new Promise<string>((resolve, reject) => {
      api.on('exit', (status) => reject(new Error(`the fake API server ended with ${status ?? -1}`)));
      api.on('message', (message) => {
        const { id, value } = message as { id: number; value: unknown };
        if (id === 0) resolve(value as string);
        this.#pending.get(id)?.(value);
        this.#pending.delete(id);
      });
    });
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: url } }],
      users: [{ name: 'u', user: { token: 'test' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(this.path('kubeconfig'), JSON.stringify(kubeconfig));
    await this.network();
  }

  startSwitch(): void {
    this.daemon('vswitchd', ['ovs-vswitchd', `unix:${this.path('conf.sock')}`]);
  }

  /** @param name `conf` (Open_vSwitch), `nb` or `sb` */
  startDatabase(name: string): void {
    this.daemon(name, [
      'ovsdb-server',
      `--remote=punix:${this.path(`${name}.sock`)}`,
      `--unixctl=${this.path(`${name}.ctl`)}`,
      this.path(`${name}.db`),
    ]);
  }

  startController(): void {
    this.daemon('ovn-controller', ['ovn-controller', `unix:${this.path('conf.sock')}`]);
  }

  /** A VPC with the subnets `net` and `join`, as the controller would write them. */
  async network(): Promise<void> {
    await this.nbctl(
      ['lr-add', 'ovn-cluster'],
      ['ls-add', 'net'],
      ['ls-add', 'join'],
      ['lrp-add', 'ovn-cluster', 'net_r', '00:00:00:00:16:01', '10.16.0.1/16', 'fd00:10:16::1/112'],
      ['lrp-add', 'ovn-cluster', 'join_r', '00:00:00:00:64:01', '100.64.0.1/16', 'fd00:100:64::1/112'],
      [
        'lsp-add',
        'net',
        'net_p',
        '--',
        'lsp-set-type',
        'net_p',
        'router',
        '--',
        'lsp-set-addresses',
        'net_p',
        'router',
        '--',
        'lsp-set-options',
        'net_p',
        'router-port=net_r',
      ],
      [
        'lsp-add',
        'join',
        'join_p',
        '--',
        'lsp-set-type',
        'join_p',
        'router',
        '--',
        'lsp-set-addresses',
        'join_p',
        'router',
        '--',
        'lsp-set-options',
        'join_p',
        'router-port=join_r',
      ],
      [
        'lsp-add',
        'join',
        'node_n1',
        '--',
        'lsp-set-addresses',
        'node_n1',
        '00:00:00:00:64:02 100.64.0.2 fd00:100:64::2',
      ],
      ['lr-route-add', 'ovn-cluster', '0.0.0.0/0', '100.64.0.2'],
      ['lr-route-add', 'ovn-cluster', '::/0', 'fd00:100:64::2'],
    );
    const subnet = (name: string, cidrBlock: string, natOutgoing: boolean): KubeObject =>
      ({
        apiVersion: 'ovenbird.io/v1',
        kind: 'Subnet',
        metadata: { name },
        spec: { cidrBlock, natOutgoing },
      }) as KubeObject;
    await this.put('Subnet', subnet('net', '10.16.0.0/16,fd00:10:16::/112', true));
    await this.put('Subnet', subnet('join', '100.64.0.0/16,fd00:100:64::/112', false));
    const annotations = {
      'ovn.kubernetes.io/allocated': 'true',
      'ovn.kubernetes.io/ip_address': '100.64.0.2,fd00:100:64::2',
      'ovn.kubernetes.io/mac_address': '00:00:00:00:64:02',
      'ovn.kubernetes.io/cidr': '100.64.0.0/16,fd00:100:64::/112',
      'ovn.kubernetes.io/gateway': '100.64.0.1,fd00:100:64::1',
      'ovn.kubernetes.io/logical_switch': 'join',
      'ovn.kubernetes.io/port_name': 'node_n1',
    };
    await this.put('Node', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE, annotations },
      status: { addresses: [{ type: 'InternalIP', address: '172.31.0.1' }] },
    } as KubeObject);
  }

  /** Starts the agent and waits until it is ready. */
  async startAgent(overrides: Readonly<Record<string, unknown>> = {}): Promise<void> {
    this.configureAgent(overrides);
    this.launchAgent();
    await this.agentReady();
  }

  /** Writes the configuration of the agent that is started next. */
  configureAgent(overrides: Readonly<Record<string, unknown>> = {}): void {
    const config = {
      nodeName: NODE,
      kubeconfig: this.path('kubeconfig'),
      ovsdb: `unix:${this.path('conf.sock')}`,
      ovsRunDir: this.directory,
      ovnRunDir: this.directory,
      ovnRemote: `unix:${this.path('sb.sock')}`,
      datapathType: 'netdev',
      cniSocket: this.path('cni/cni.sock'),
      querySocket: this.path('query.sock'),
      netnsDirs: ['/run/netns'],
      cniConfDir: this.path('net.d'),
      cniBinDir: this.path('bin'),
      logLevel: 'debug',
      ...overrides,
    };
    writeFileSync(this.path('agent.json'), JSON.stringify(config));
  }

  /** Starts the agent again as it was configured last, and waits for nothing. */
  launchAgent(): void {
    this.daemon('agent', [
      process.execPath,
      // As docs/agent.md says.
      '--max-semi-space-size=2',
      '--optimize-for-size',
      join(root, 'agent', 'src', 'main.ts'),
      '--config',
      this.path('agent.json'),
    ]);
  }

  async agentReady(): Promise<void> {
    await until('the agent is ready', async () => {
      const { status, body } = await this.query('/readyz');
      if (status !== 200) throw new Error(`${body}\n${this.log('agent').slice(-3000)}`);
      return existsSync(this.path('cni/cni.sock'));
    });
  }

  /** Asks the agent's read-only socket. */
  query(path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.path('query.sock'), path }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** Runs a program as child in the node's namespace and remembers it under a name. */
  daemon(name: string, argv: readonly string[]): void {
    const log = openSync(this.path(`${name}.log`), 'a');
    const cache = join(root, 'node_modules', '.cache', 'ovenbird', 'compile');
    const env = {
      ...process.env,
      ...this.environment,
      OVS_RUNDIR: this.directory,
      OVN_RUNDIR: this.directory,
      NODE_COMPILE_CACHE: cache,
    };
    const child = spawn('nsenter', [`--net=/run/netns/${this.namespace}`, ...argv], {
      stdio: ['ignore', log, log],
      env,
    });
    closeSync(log);
    this.#children.set(name, child);
  }

  /** Ends a process and waits for its end. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    this.#children.delete(name);
  }

  pid(name: string): number | undefined {
    return this.#children.get(name)?.pid;
  }

  log(name: string): string {
    return existsSync(this.path(`${name}.log`)) ? readFileSync(this.path(`${name}.log`), 'utf8') : '';
  }

  inNode(...argv: readonly string[]): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.namespace}`, ...argv];
  }

  vsctl(...args: readonly string[]): Promise<string> {
    return must(['ovs-vsctl', `--db=unix:${this.path('conf.sock')}`, '--no-wait', ...args]);
  }

  nbctl(...commands: readonly (readonly string[])[]): Promise<string> {
    const argv = commands.flatMap((command, at) => (at === 0 ? command : ['--', ...command]));
    return must(['ovn-nbctl', `--db=unix:${this.path('nb.sock')}`, ...argv]);
  }

  async addNamespace(name: string): Promise<string> {
    await must(['ip', 'netns', 'add', name]);
    this.#namespaces.push(name);
    return `/run/netns/${name}`;
  }

  /** Makes a namespace for a pod; returns its path. */
  podNamespace(pod: string): Promise<string> {
    return this.addNamespace(`${this.namespace}-${pod}`);
  }

  async deleteNamespace(path: string): Promise<void> {
    await must(['ip', 'netns', 'delete', path.replace('/run/netns/', '')]);
  }

  put(kind: ApiKind, object: KubeObject): Promise<unknown> {
    return this.#call({ op: 'put', kind, object });
  }

  remove(kind: ApiKind, name: string, namespace?: string): Promise<unknown> {
    return this.#call({ op: 'remove', kind, name, ...(namespace === undefined ? {} : { namespace }) });
  }

  /** Answers of the API server about a kind wait until {@link release}. */
  hold(kind: ApiKind): Promise<unknown> {
    return this.#call({ op: 'hold', kind });
  }

  release(): Promise<unknown> {
    return this.#call({ op: 'release' });
  }

  list(kind: ApiKind): Promise<unknown> {
    return this.#call({ op: 'list', kind });
  }

  #call(call: ApiCall): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#children.get('api')?.send({ id, call });
    });
  }

  /** Runs the CNI plugin as a runtime does. */
  cni(call: CniCall): Promise<Ended> {
    const env: NodeJS.ProcessEnv = {
      CNI_COMMAND: call.command,
      CNI_PATH: this.path('bin'),
      CNI_IFNAME: call.ifname ?? 'eth0',
    };
    if (call.containerId !== undefined) env['CNI_CONTAINERID'] = call.containerId;
    if (call.netns !== undefined) env['CNI_NETNS'] = call.netns;
    if (call.args !== undefined) env['CNI_ARGS'] = call.args;
    const config = call.config ?? this.cniConfig('1.0.0');
    return exec([SHIM], { env, input: typeof config === 'string' ? config : JSON.stringify(config) });
  }

  cniConfig(cniVersion: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return { cniVersion, name: 'ovenbird', type: 'ovenbird', socket: this.path('cni/cni.sock'), ...more };
  }

  /** Ends everything and removes every trace. */
  async stop(): Promise<void> {
    for (const name of [...this.#children.keys()].reverse()) await this.kill(name);
    for (const name of this.#namespaces.reverse()) await exec(['ip', 'netns', 'delete', name]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
