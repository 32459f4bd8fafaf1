import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunResult, repository, run, runAny } from '@ovenbird/deploy';
import { buildImage, IMAGE } from '../integration/runtimes/image.ts';
import type { TestLab } from './lab.ts';

/** podman on a node of the lab, with its CNI backend, storage of its own, and one network `ovn` that is Ovenbird's. */
export class Podman implements AsyncDisposable {
  readonly #directory: string;
  readonly #namespace: string;

  private constructor(directory: string, namespace: string) {
    this.#directory = directory;
    this.#namespace = namespace;
  }

  /** @param subnet of the network `ovn` */
  static async start(lab: TestLab, nodeName: string, subnet: string): Promise<Podman> {
    const node = lab.state.nodes.find(({ name }) => name === nodeName);
    if (node === undefined) throw new Error(`no node ${nodeName}`);
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-podman-'));
    const podman = new Podman(directory, node.namespace);
    const plugins = join(directory, 'plugins');
    const networks = join(directory, 'net.d');
    for (const path of [plugins, networks]) mkdirSync(path);
    symlinkSync(join(repository, 'cni', 'dist', 'ovenbird'), join(plugins, 'ovenbird'));
    const list = {
      cniVersion: '0.4.0',
      name: 'ovn',
      plugins: [
        {
          type: 'ovenbird',
          subnet,
          socket: lab.layout.node(nodeName).cniSocket,
          capabilities: { ips: true, mac: true, portMappings: true },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    };
    writeFileSync(join(networks, '10-ovn.conflist'), JSON.stringify(list));
    writeFileSync(
      join(directory, 'containers.conf'),
      `[network]
network_backend = "cni"
cni_plugin_dirs = ["${plugins}", "/usr/lib/cni"]
network_config_dir = "${networks}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
`,
    );
    const { rootfs } = await buildImage(directory);
    await podman.must('import', rootfs, IMAGE);
    return podman;
  }

  /** Runs a podman command, whatever its exit code. */
  async call(...args: readonly string[]): Promise<RunResult> {
    const options = ['--runtime', 'runc', '--storage-driver', 'vfs'];
    for (const name of ['root', 'runroot', 'tmpdir']) options.push(`--${name}`, join(this.#directory, name));
    return await runAny(['podman', ...options, ...args], {
      namespace: this.#namespace,
      env: { CONTAINERS_CONF: join(this.#directory, 'containers.conf') },
    });
  }

  /** Runs a podman command. @returns its output. @throws Error with what it said */
  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: exit ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  /** `podman run` of a container that sleeps, or runs `command`. @returns what podman said */
  async run(
    name: string,
    options: readonly string[],
    command: readonly string[] = ['/bin/sleep', '100000'],
  ): Promise<RunResult> {
    return await this.call('run', '--detach', '--name', name, '--network', 'ovn', ...options, IMAGE, ...command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call('rm', '--all', '--force', '--time', '0');
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${this.#directory}/`));
    for (const path of mounts.toReversed()) await run(['umount', '--lazy', path]);
    if (existsSync(this.#directory)) rmSync(this.#directory, { recursive: true, force: true });
  }
}
