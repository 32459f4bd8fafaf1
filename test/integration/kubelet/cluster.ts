import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient, Reflector, Store } from '@ovenbird/kube';
import { pino } from 'pino';
import { type ApiServer, createApiServer } from '../../../deploy/lab/src/apiserver/server.ts';
import { identity, issue } from '../../../deploy/lab/src/fabric/pki.ts';
import { removePods } from '../../../deploy/lab/src/kubelet/cleanup.ts';
import type { KubeletConfig } from '../../../deploy/lab/src/kubelet/config.ts';
import { runKubelet } from '../../../deploy/lab/src/kubelet/kubelet.ts';
import { startWorkloads } from '../../../deploy/lab/src/workloads/index.ts';
import { LAB_NODES, LAB_PODS, type LabPod, type LabPodStatus } from '../../../deploy/lab/src/workloads/objects.ts';

/**
 * A network plugin for tests: pods of all nodes on one bridge in the first node's namespace, addresses counted up in a
 * file. It logs its calls, and refuses while a file `refuse` lies beside it.
 */
const PLUGIN = `#!/bin/bash
dir=$(dirname "$0")/..
exec 9>>"$dir/lock"; flock 9
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_ARGS" >> "$dir/calls"
if [ -e "$dir/refuse" ]; then echo '{"cniVersion":"1.0.0","code":11,"msg":"no address yet","details":"test"}'; exit 1; fi
pod=$(basename "$CNI_NETNS"); host=h\${CNI_CONTAINERID:0:12}
if [ "$CNI_COMMAND" = CHECK ]; then ip -n "$pod" link show eth0 >&2; exit; fi
if [ "$CNI_COMMAND" = DEL ]; then ip link del "$host" 2>/dev/null; exit 0; fi
n=$(( $(cat "$dir/count" 2>/dev/null || echo 1) + 1 )); echo $n > "$dir/count"
ip link add "$host" type veth peer name eth0 netns "$pod" || exit 1
ip link set "$host" master br0 up
ip -n "$pod" -batch - <<END
link set eth0 up
addr add 198.18.0.$n/24 dev eth0
addr add fd00:18::$n/64 dev eth0 nodad
END
echo "{\\"cniVersion\\":\\"1.0.0\\",\\"interfaces\\":[{\\"name\\":\\"$host\\"},{\\"name\\":\\"eth0\\",\\"sandbox\\":\\"$CNI_NETNS\\"}],\\"ips\\":[{\\"address\\":\\"198.18.0.$n/24\\",\\"interface\\":1},{\\"address\\":\\"fd00:18::$n/64\\",\\"interface\\":1}]}"
`;

const TOKEN = 'test-admin';

/** An API server, the workload controllers and a kubelet of two nodes, in this process and a directory of their own. */
export class Cluster {
  readonly dir: string;
  readonly prefix: string;
  readonly nodes: readonly string[] = ['node-1', 'node-2'];
  readonly #over = new AbortController();
  #kubeletOver = new AbortController();
  #kubelet: Promise<void> = Promise.resolve();
  server: ApiServer | undefined;
  #client: KubeClient | undefined;
  readonly warnings: string[] = [];

  constructor(name: string) {
    this.dir = mkdtempSync(join(tmpdir(), `ovenbird-${name}-`));
    this.prefix = `wl${name.slice(0, 2)}${process.pid.toString(36)}`;
  }

  /** The namespace that holds the nodes' network (both nodes share it). */
  get netns(): string {
    return `${this.prefix}-node`;
  }

  get client(): KubeClient {
    if (!this.#client) throw new Error('the cluster has not been started');
    return this.#client;
  }

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  get socket(): string {
    return join(this.dir, 'kubelet.sock');
  }

  async start(options: { readonly kubelet: boolean }): Promise<void> {
    // kubectl sends tokens over TLS only.
    const pki = join(this.dir, 'pki');
    await issue(pki, [{ name: 'api', dns: ['localhost'], ips: ['127.0.0.1'] }]);
    const tls = identity(pki, 'api');
    this.server = await createApiServer({
      listen: [{ host: '127.0.0.1', port: 0 }],
      tls: { key: tls.key, cert: tls.cert },
      tokens: [{ token: TOKEN, user: 'admin', groups: ['system:masters'] }],
      kubeletSocket: this.socket,
      serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'],
      onError: (error) => this.warnings.push(`api: ${String(error)}`),
    });
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: this.server.urls[0], 'certificate-authority': tls.ca } }],
      users: [{ name: 'u', user: { token: TOKEN } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'default' } }],
      'current-context': 'x',
    };
    writeFileSync(this.kubeconfig, JSON.stringify(config), { mode: 0o600 });
    this.#client = await KubeClient.load({ kubeconfig: this.kubeconfig });
    await startWorkloads({
      client: this.client,
      signal: this.#over.signal,
      onError: (what, error) => this.warnings.push(`${what}: ${String(error)}`),
    });
    if (!options.kubelet) return;
    execFileSync('ip', ['netns', 'add', this.netns]);
    execFileSync('ip', ['-n', this.netns, '-batch', '-'], {
      input:
        'link add br0 type bridge\nlink set br0 up\nlink set lo up\naddr add 198.18.0.1/24 dev br0\naddr add fd00:18::1/64 dev br0 nodad\n',
    });
    mkdirSync(join(this.dir, 'bin'));
    writeFileSync(join(this.dir, 'bin/fake'), PLUGIN);
    chmodSync(join(this.dir, 'bin/fake'), 0o755);
    for (const node of this.nodes) mkdirSync(join(this.dir, node), { recursive: true });
    this.startKubelet();
  }

  /** Nodes without a kubelet: their pods become Ready at once, and go when they are told to. */
  async pretendNodes(names: readonly string[]): Promise<void> {
    const status = { conditions: [{ type: 'Ready', status: 'True', reason: 'Test', message: '' }] };
    for (const name of names) {
      await this.client.resource(LAB_NODES).create({ metadata: { name, labels: { 'kubernetes.io/hostname': name } } });
      await this.client.resource(LAB_NODES).patchStatus({ name }, { status });
    }
    const store = new Store<LabPod>();
    let address = 1;
    store.onChange((changes) => {
      for (const { new: pod } of changes) {
        if (!pod?.spec.nodeName || !names.includes(pod.spec.nodeName)) continue;
        const ref = { namespace: pod.metadata.namespace, name: pod.metadata.name };
        const pods = this.client.resource(LAB_PODS);
        const ignore = (error: unknown): void => void this.warnings.push(`pretend: ${String(error)}`);
        if (pod.metadata.deletionTimestamp !== undefined) {
          pods.delete(ref, { uid: pod.metadata.uid, gracePeriodSeconds: 0 }).catch(ignore);
        } else if (!pod.status?.podIP && pod.metadata.annotations?.['test/hold'] === undefined) {
          address += 1;
          const ips = [`10.0.${address >> 8}.${address & 255}`, `fd00::${address.toString(16)}`];
          pods.patchStatus(ref, { status: runningStatus(ips) }).catch(ignore);
        }
      }
    });
    const reflector = new Reflector({ client: this.client, kind: LAB_PODS, sink: store, signal: this.#over.signal });
    reflector.start();
    await reflector.synced;
  }

  /** Writes the conflist of a node: it becomes Ready. */
  allowNode(node: string): void {
    const list = { cniVersion: '1.0.0', name: 'test', plugins: [{ type: 'fake' }] };
    writeFileSync(join(this.dir, node, '10-test.conflist'), JSON.stringify(list));
  }

  /** Whether the plugin refuses to work. */
  refuse(yes: boolean): void {
    const path = join(this.dir, 'refuse');
    if (yes) writeFileSync(path, '');
    else rmSync(path, { force: true });
  }

  /** Calls of the plugin so far. */
  calls(): string[] {
    const path = join(this.dir, 'calls');
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  }

  startKubelet(): void {
    this.#kubeletOver = new AbortController();
    const config: KubeletConfig = {
      kubeconfig: this.kubeconfig,
      nodes: this.nodes.map((name, index) => ({
        name,
        netns: this.netns,
        cniBin: join(this.dir, 'bin'),
        cniConf: join(this.dir, name),
        addresses: [`192.0.2.${index + 1}`, `2001:db8::${index + 1}`],
      })),
      socket: this.socket,
      stateDir: join(this.dir, 'kubelet'),
      podNetnsPrefix: this.prefix,
      cniConcurrency: 8,
      logLevel: 'warn',
    };
    this.#kubelet = runKubelet({
      config,
      client: this.client,
      log: pino({ level: 'warn' }, { write: (line: string) => void this.warnings.push(line) }),
      signal: this.#kubeletOver.signal,
      warn: (pod, reason, message) => this.warnings.push(`${pod.metadata.name} ${reason} ${message}`),
    });
    this.#kubelet.catch((error: unknown) => this.warnings.push(`kubelet: ${String(error)}`));
  }

  async stopKubelet(): Promise<void> {
    this.#kubeletOver.abort();
    await this.#kubelet;
  }

  async stop(): Promise<void> {
    await this.stopKubelet();
    this.#over.abort();
    await removePods(join(this.dir, 'kubelet'));
    if (existsSync(`/run/netns/${this.netns}`)) execFileSync('ip', ['netns', 'del', this.netns]);
    await this.#client?.close();
    await this.server?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async pod(name: string, spec: Partial<LabPod['spec']>, metadata: Partial<LabPod['metadata']> = {}): Promise<LabPod> {
    return await this.client.resource(LAB_PODS).create({
      metadata: { name, namespace: 'default', ...metadata },
      spec: {
        ...spec,
        containers: (spec.containers ?? [{ name: 'main' }]).map((container) => ({ image: 'test', ...container })),
        ...(spec.initContainers
          ? { initContainers: spec.initContainers.map((container) => ({ image: 'test', ...container })) }
          : {}),
      },
    });
  }

  async pods(namespace = 'default'): Promise<LabPod[]> {
    return (await this.client.resource(LAB_PODS).list({ namespace })).items;
  }

  /** Runs kubectl; its server is in this process, so nothing here may wait synchronously. */
  async kubectl(...words: string[]): Promise<string> {
    return await run('kubectl', ['--kubeconfig', this.kubeconfig, ...words]);
  }

  /** Waits until `look` gives something else than undefined. The message shows what it saw last. */
  async until<T>(what: string, look: () => Promise<T | undefined> | T | undefined, last?: () => unknown): Promise<T> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const seen = await look();
      if (seen !== undefined) return seen;
      if (performance.now() > deadline) {
        const state = last ? JSON.stringify(await last(), null, 1) : '';
        throw new Error(`not within 20 s: ${what}\n${state}\n${this.warnings.slice(-20).join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for a pod in this phase. */
  async phase(name: string, phase: string): Promise<LabPod> {
    return await this.until(
      `pod ${name} ${phase}`,
      async () => {
        const pod = await this.client.resource(LAB_PODS).find({ namespace: 'default', name });
        return pod?.status?.phase === phase ? pod : undefined;
      },
      () => this.pods(),
    );
  }

  /** Waits until the pod is gone. */
  async gone(name: string): Promise<void> {
    await this.until(
      `pod ${name} gone`,
      async () =>
        (await this.client.resource(LAB_PODS).find({ namespace: 'default', name })) === undefined ? true : undefined,
      () => this.pods(),
    );
  }
}

/** The status of a pod that runs and is ready. */
function runningStatus(ips: readonly string[]): LabPodStatus {
  const now = '2020-01-01T00:00:00Z';
  return {
    phase: 'Running',
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }],
  };
}

/** Runs a program with this input. @returns what it prints; rejects with the exit status in `code` */
export function run(program: string, words: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, words, { maxBuffer: 1 << 24 }, (error, stdout, stderr) =>
      error ? reject(Object.assign(error, { message: `${error.message}\n${stdout}${stderr}` })) : resolve(stdout),
    );
    child.stdin?.end(input);
  });
}

/** Runs a program whose output is read while it runs. */
export function follow(
  program: string,
  words: readonly string[],
): { readonly output: () => string; readonly ended: Promise<string> } {
  let output = '';
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
  return { output: () => output, ended };
}
