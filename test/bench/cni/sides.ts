import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { run } from '@ovenbird/deploy';
import type { TestLab } from '../../src/lab.ts';
import { InstalledInterfaces } from './interfaces.ts';
import type { NodePod } from './node-pods.ts';

/** How a program ended. */
interface Ended {
  readonly status: number | null;
  readonly stdout: string;
}

/** Starts a program as both sides are started, and waits for its end. */
function execute(argv: readonly string[], env: NodeJS.ProcessEnv, input: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout }));
    child.stdin.on('error', () => undefined).end(input);
  });
}

async function succeed(argv: readonly string[], env: NodeJS.ProcessEnv, input = ''): Promise<string> {
  const { status, stdout } = await execute(argv, env, input);
  if (status !== 0) throw new Error(`${argv.join(' ')}: exit ${String(status)}: ${stdout}`);
  return stdout;
}

/** The node that is measured, and how both sides reach it. */
export class NodeUnderLoad implements AsyncDisposable {
  readonly netns: string;
  readonly #lab: TestLab;
  readonly #node: string;
  readonly #interfaces: InstalledInterfaces;
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #shim: string;

  private constructor(lab: TestLab, node: string, netns: string, interfaces: InstalledInterfaces) {
    this.#lab = lab;
    this.#node = node;
    this.netns = netns;
    this.#interfaces = interfaces;
    const files = lab.layout.node(node);
    const list = JSON.parse(readFileSync(join(files.cniConf, '10-ovenbird.conflist'), 'utf8')) as {
      cniVersion: string;
      name: string;
      plugins: readonly Readonly<Record<string, unknown>>[];
    };
    this.#config = { cniVersion: list.cniVersion, name: list.name, ...list.plugins[0] };
    this.#shim = join(files.cniBin, 'ovenbird');
  }

  static async open(lab: TestLab, node: string, signal: AbortSignal): Promise<NodeUnderLoad> {
    const netns = lab.state.nodes.find(({ name }) => name === node)?.namespace;
    if (netns === undefined) throw new Error(`the lab has no node ${node}`);
    return new NodeUnderLoad(lab, node, netns, await InstalledInterfaces.open(lab.layout.node(node).db, signal));
  }

  /** Socket of the agent. */
  get socket(): string {
    return this.#lab.layout.node(this.#node).cniSocket;
  }

  get #database(): string {
    return `--db=unix:${this.#lab.layout.node(this.#node).db}`;
  }

  /** The plugin, as a runtime executes it. */
  async shim(command: 'ADD' | 'DEL', pod: NodePod): Promise<void> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: Object.entries(argsOf(pod))
        .map(([key, value]) => `${key}=${value}`)
        .join(';'),
    };
    await succeed([this.#shim], env, JSON.stringify(this.#config));
  }

  /** STATUS by the plugin. */
  async shimStatus(): Promise<void> {
    await succeed([this.#shim], { CNI_COMMAND: 'STATUS' }, JSON.stringify({ ...this.#config, cniVersion: '1.1.0' }));
  }

  /** The same request by curl. */
  async curlStatus(): Promise<void> {
    const body = { command: 'STATUS', containerId: '', netns: '', ifname: '', args: {}, path: '' };
    const config = { ...this.#config, cniVersion: '1.1.0' };
    await this.curl(this.socket, '/cni', { ...body, config });
  }

  /** A request as the plugin sends it, without the plugin. */
  request(command: 'ADD' | 'DEL', pod: NodePod): Promise<void> {
    const { containerId, netns } = pod;
    const body = { command, containerId, netns, ifname: 'eth0', args: argsOf(pod), path: '', config: this.#config };
    return post(this.socket, '/cni', JSON.stringify(body));
  }

  /** The reference of one ADD: two `ip -batch` and one `ovs-vsctl`, until the flows are installed. */
  async reference(pod: NodePod): Promise<void> {
    const node = `ip -n ${this.netns} -batch ${pod.nodeBatch}`;
    const inside = `ip -n ${pod.netns.replace('/run/netns/', '')} -batch ${pod.podBatch}`;
    const port = `ovs-vsctl ${this.#database} ${addPort(pod).join(' ')}`;
    await succeed(['/bin/sh', '-c', `${node} && ${inside} && exec ${port}`], process.env);
    await this.#interfaces.installed(pod.referenceLink);
  }

  /** The reference of many: one `ip -batch` and one `ovs-vsctl` for all of them. */
  async referenceAll(pods: readonly NodePod[]): Promise<void> {
    const input = pods.map(({ nodeBatch }) => readFileSync(nodeBatch, 'utf8')).join('');
    await succeed(['ip', '-n', this.netns, '-batch', '-'], process.env, input);
    const commands = pods.flatMap((pod) => ['--', ...addPort(pod)]);
    await succeed(['ovs-vsctl', this.#database, ...commands], process.env);
    await Promise.all(pods.map((pod) => this.#interfaces.installed(pod.referenceLink)));
  }

  /** Takes away what the reference made. */
  async removeReference(pods: readonly NodePod[]): Promise<void> {
    const commands = pods.flatMap(({ referenceLink }) => ['--', 'del-port', 'br-int', referenceLink]);
    await run(['ovs-vsctl', this.#database, ...commands]);
    const input = pods.map(({ referenceLink }) => `link delete dev ${referenceLink}\n`).join('');
    await run(['ip', '-n', this.netns, '-batch', '-'], { input });
  }

  /** Starts the reference's server; returns its socket and how to end it. */
  async startReferenceServer(directory: string): Promise<{ socket: string; stop: () => Promise<void> }> {
    const socket = join(directory, 'reference.sock');
    const script = join(import.meta.dirname, 'reference-server.ts');
    const args = [script, socket, this.netns, this.#lab.layout.node(this.#node).db];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    return {
      socket,
      stop: async () => {
        child.stdin.end();
        await ended;
      },
    };
  }

  /** One request of the reference's plugin. */
  async referencePlugin(socket: string, pod: NodePod): Promise<void> {
    const { referenceLink: link, nodeBatch, uid } = pod;
    await this.curl(socket, '/add', { link, nodeBatch, ifaceId: `${pod.name}.${pod.namespace}`, uid });
  }

  /** POSTs by curl. @throws Error unless the answer is a success */
  async curl(socket: string, path: string, body: unknown): Promise<void> {
    const data = ['-H', 'Content-Type: application/json', '-d', '@-'];
    const argv = ['curl', '-sS', '--fail-with-body', '--unix-socket', socket, ...data, `http://localhost${path}`];
    await succeed(argv, process.env, JSON.stringify(body));
  }

  /** Waits until OVN and the switch have dealt with all that was done. */
  async settle(): Promise<void> {
    await this.#lab.nbctl('--wait=hv', 'sync');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#interfaces[Symbol.asyncDispose]();
  }
}

/** CNI_ARGS as kubelet's runtimes give them. */
function argsOf(pod: NodePod): Readonly<Record<string, string>> {
  return {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: pod.namespace,
    K8S_POD_NAME: pod.name,
    K8S_POD_INFRA_CONTAINER_ID: pod.containerId,
    K8S_POD_UID: pod.uid,
  };
}

function addPort({ referenceLink, name, namespace, uid }: NodePod): readonly string[] {
  const ids = [`external_ids:iface-id=${name}.${namespace}`, `external_ids:iface-id-ver=${uid}`];
  return ['add-port', 'br-int', referenceLink, '--', 'set', 'Interface', referenceLink, ...ids];
}

/** POSTs from this process. @throws Error unless the answer is a success */
function post(socketPath: string, path: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = request({ socketPath, path, method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(text))));
    });
    asked.once('error', reject);
    asked.end(body);
  });
}
