/** What a container runtime does with a CNI plugin, in the terms of the specification (containernetworking/cni, SPEC.md). */
import { expect } from 'vitest';
import { type Ended, exec, must } from '../agent/exec.ts';
import { type NodeUnderTest, SHIM } from '../agent/node-under-test.ts';
import { argsOf, type TestPod } from '../agent/pods.ts';

/** Versions that the plugin speaks. */
export const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** A result of ADD. */
export interface Result {
  readonly cniVersion: string;
  readonly interfaces: readonly { name: string; mac?: string; sandbox?: string; mtu?: number }[];
  readonly ips: readonly { version?: string; address: string; gateway?: string; interface?: number }[];
  readonly routes?: readonly { dst: string; gw?: string }[];
  readonly dns?: unknown;
}

/** Executes the built plugin with exactly these variables. */
export function plugin(env: NodeJS.ProcessEnv, input: unknown): Promise<Ended> {
  return exec([SHIM], { env, input: typeof input === 'string' ? input : JSON.stringify(input) });
}

/** The variables of a call for a pod. */
export function variables(node: NodeUnderTest, command: string, pod: TestPod, ifname = 'eth0'): NodeJS.ProcessEnv {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: pod.netns,
    CNI_IFNAME: ifname,
    CNI_PATH: node.path('bin'),
    CNI_ARGS: argsOf(pod),
  };
}

/** A result of ADD that succeeded: exit 0 and one JSON object, nothing on stderr (check 1). */
export function resultOf(ended: Ended): Result {
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  return JSON.parse(ended.stdout) as Result;
}

/** Exit 0 and no output. */
export function expectSilent(ended: Ended): void {
  expect(ended).toEqual({ status: 0, stdout: '', stderr: '' });
}

/** Error JSON on stdout, of this code and version, whose message names the trouble (checks 2 and 3). */
export function expectError(ended: Ended, code: number | readonly number[], word = '', cniVersion?: string): string {
  expect(ended.status).not.toBe(0);
  const error = JSON.parse(ended.stdout) as { cniVersion: unknown; code: unknown; msg: unknown };
  expect(error).toMatchObject({ cniVersion: expect.any(String) as unknown, msg: expect.any(String) as unknown });
  if (typeof code === 'number') expect(error, String(error.msg)).toMatchObject({ code });
  else expect(code).toContain(error.code);
  expect(String(error.msg)).toContain(word);
  if (cniVersion !== undefined) expect(error.cniVersion).toBe(cniVersion);
  return String(error.msg);
}

/** Runs a program inside a network namespace. */
export function inside(netns: string, ...argv: readonly string[]): Promise<Ended> {
  return exec(['nsenter', `--net=${netns}`, ...argv]);
}

/** Output of `ip -json` inside a network namespace. */
export async function ipJson<T>(netns: string, ...args: readonly string[]): Promise<T[]> {
  const text = await must(['nsenter', `--net=${netns}`, 'ip', '-json', ...args]);
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
}

/** Whether a namespace reaches an address. */
export async function reaches(netns: string, address: string): Promise<boolean> {
  return (await inside(netns, 'ping', '-c1', '-W2', address)).status === 0;
}

/** One plugin's entry of a network configuration list. */
export type PluginConfig = Readonly<Record<string, unknown>> & { readonly type: string };

/** A network configuration list, executed as libcni does. */
export class Chain {
  readonly #node: NodeUnderTest;
  readonly #plugins: readonly PluginConfig[];
  readonly #cniVersion: string;
  readonly #runtimeConfig: Readonly<Record<string, unknown>>;
  /** The last plugin's result of ADD. */
  result: unknown;

  constructor(
    node: NodeUnderTest,
    cniVersion: string,
    plugins: readonly PluginConfig[],
    runtimeConfig: Readonly<Record<string, unknown>> = {},
  ) {
    this.#node = node;
    this.#cniVersion = cniVersion;
    this.#plugins = plugins;
    this.#runtimeConfig = runtimeConfig;
  }

  /** ADD of every plugin in order, each with the result of the one before. */
  async add(pod: TestPod): Promise<Result> {
    this.result = undefined;
    for (const one of this.#plugins) {
      const ended = await this.#run('ADD', one, pod);
      if (ended.status !== 0) throw new Error(`${one.type}: ${ended.stdout}${ended.stderr}`);
      this.result = JSON.parse(ended.stdout) as unknown;
    }
    return this.result as Result;
  }

  /** DEL of every plugin in reverse order. */
  async delete(pod: TestPod): Promise<void> {
    for (const one of this.#plugins.toReversed()) {
      expect(await this.#run('DEL', one, pod), one.type).toEqual({ status: 0, stdout: '', stderr: '' });
    }
  }

  /** CHECK of every plugin but those named. */
  async check(pod: TestPod, except: readonly string[] = []): Promise<void> {
    for (const one of this.#plugins.filter(({ type }) => !except.includes(type))) {
      expect(await this.#run('CHECK', one, pod), one.type).toEqual({ status: 0, stdout: '', stderr: '' });
    }
  }

  #run(command: string, one: PluginConfig, pod: TestPod): Promise<Ended> {
    const { capabilities = {}, ...config } = one as { capabilities?: Record<string, boolean> } & PluginConfig;
    const runtimeConfig = Object.fromEntries(
      Object.entries(this.#runtimeConfig).filter(([key]) => capabilities[key] === true),
    );
    const input = {
      cniVersion: this.#cniVersion,
      name: 'ovenbird',
      ...config,
      ...(this.result === undefined ? {} : { prevResult: this.result }),
      ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
    };
    const file = config.type === 'ovenbird' ? SHIM : `/usr/lib/cni/${config.type}`;
    // Stock plugins run in the node, whose PATH holds iptables.
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      ...variables(this.#node, command, pod),
      CNI_PATH: '/usr/lib/cni',
    };
    return exec(this.#node.inNode(file), { env, input: JSON.stringify(input) });
  }
}
