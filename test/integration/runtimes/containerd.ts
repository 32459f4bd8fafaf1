import { existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { exec, must, until } from '../agent/exec.ts';
import type { NodeUnderTest } from '../agent/node-under-test.ts';
import { Cri } from './cri.ts';
import { buildImage, IMAGE } from './image.ts';

/** Debian's containerd on a node, with the network configuration and the plugin that the agent installs. */
export class Containerd {
  readonly #node: NodeUnderTest;
  cri: Cri;

  constructor(node: NodeUnderTest) {
    this.#node = node;
    this.cri = new Cri(this.#socket);
  }

  get #socket(): string {
    return this.#node.path('containerd.sock');
  }

  /** Where it keeps its pods' network namespaces: apart from those of other containerds on the machine. */
  get netnsDir(): string {
    return this.#node.path('containerd/state/io.containerd.grpc.v1.cri/netns');
  }

  /** Puts the stock plugins where the agent will find `portmap`; call before the agent starts. */
  prepare(): void {
    mkdirSync(this.#node.path('bin'), { recursive: true });
    mkdirSync(this.#node.path('net.d'), { recursive: true });
    for (const name of ['loopback', 'portmap']) symlinkSync(`/usr/lib/cni/${name}`, this.#node.path(`bin/${name}`));
    const config = `version = 2
root = "${this.#node.path('containerd/root')}"
state = "${this.#node.path('containerd/state')}"
[grpc]
  address = "${this.#socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${this.#node.path('containerd/opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${this.#node.path('bin')}"
    conf_dir = "${this.#node.path('net.d')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`;
    writeFileSync(this.#node.path('containerd.toml'), config);
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    this.#node.daemon('containerd', ['containerd', '--config', this.#node.path('containerd.toml')]);
    this.cri.close();
    this.cri = new Cri(this.#socket);
    await until('containerd answers', async () => (await this.cri.networkReady()).message !== undefined);
  }

  /** Ends the daemon; containers go on. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#node.kill('containerd', signal);
  }

  /** Makes the image known. */
  async importImage(): Promise<void> {
    mkdirSync(this.#node.path('build'));
    const { image } = await buildImage(this.#node.path('build'));
    await must(['ctr', '--address', this.#socket, '--namespace', 'k8s.io', 'images', 'import', image]);
  }

  /** Removes all sandboxes and ends everything, also when a test left it in any state. */
  async clean(): Promise<void> {
    try {
      for (const id of await this.cri.sandboxes()) await this.cri.removeSandbox(id);
    } catch {
      // What is left is removed below, by what containerd recorded.
    }
    this.cri.close();
    await this.stop();
    for (const file of globSync(this.#node.path('containerd/state/io.containerd.runtime.v2.task/*/*/*.pid'))) {
      const pid = Number(readFileSync(file, 'utf8'));
      if (existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '')
        process.kill(pid, 'SIGKILL');
    }
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${this.#node.directory}/`));
    for (const path of mounts.toReversed()) await exec(['umount', '--lazy', path]);
  }
}
