import { join } from 'node:path';
import { type RunResult, repository, run, runAny } from '@ovenbird/deploy';
import type { TestLab } from './lab.ts';

/** An answer of the CNI plugin: a result of ADD, or an error. */
export interface CniAnswer {
  readonly code?: number;
  readonly msg?: string;
  readonly ips?: readonly { readonly address: string; readonly gateway: string }[];
  readonly interfaces?: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
}

/** A container outside of Kubernetes, as `cnitool` makes them: a network namespace and calls of the plugin. */
export class TestContainer implements AsyncDisposable {
  readonly name: string;
  readonly #lab: TestLab;
  readonly #node: string;

  private constructor(lab: TestLab, node: string, name: string) {
    this.#lab = lab;
    this.#node = node;
    this.name = name;
  }

  static async create(lab: TestLab, node: string, id: string): Promise<TestContainer> {
    const container = new TestContainer(lab, node, `${lab.state.namespaces.podPrefix}-${id}`);
    await run(['ip', 'netns', 'add', container.name]);
    return container;
  }

  get netns(): string {
    return `/run/netns/${this.name}`;
  }

  /** Executes the plugin. @param config over `{ subnet: 'ovn-default' }` */
  async call(
    command: string,
    options: { readonly ifname?: string; readonly args?: string; readonly config?: object } = {},
  ): Promise<RunResult> {
    const { ifname = 'eth0', args = '', config = {} } = options;
    const variables = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: this.name,
      CNI_NETNS: this.netns,
      CNI_IFNAME: ifname,
      CNI_PATH: '/usr/lib/cni',
      CNI_ARGS: args,
    };
    const input = JSON.stringify({
      cniVersion: '1.0.0',
      name: 'plain',
      type: 'ovenbird',
      subnet: 'ovn-default',
      socket: this.#lab.layout.node(this.#node).cniSocket,
      ...config,
    });
    const words = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
    return await runAny(['env', ...words, join(repository, 'cni', 'dist', 'ovenbird')], { input });
  }

  async add(options: Parameters<TestContainer['call']>[1] = {}): Promise<CniAnswer> {
    return JSON.parse((await this.call('ADD', options)).stdout) as CniAnswer;
  }

  /** DEL. @throws Error with what it said */
  async del(options: Parameters<TestContainer['call']>[1] = {}): Promise<void> {
    const { code, stdout, stderr } = await this.call('DEL', options);
    if (code !== 0 || stdout !== '') throw new Error(`DEL: exit ${code} ${stdout}${stderr}`);
  }

  /** Runs a command inside. */
  async inside(...argv: readonly string[]): Promise<RunResult> {
    return await runAny(['ip', 'netns', 'exec', this.name, ...argv]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runAny(['ip', 'netns', 'delete', this.name]);
  }
}
