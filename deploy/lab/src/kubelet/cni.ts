import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A network configuration list (CNI spec 1.1, section 1). */
export interface NetworkList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfig[];
  readonly disableCheck?: boolean | undefined;
}

/** One plugin's object in the list; its other keys are passed through. */
export interface PluginConfig {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** What an ADD answers (CNI spec 1.1, section 5), as far as a kubelet reads it. */
export interface CniResult {
  readonly ips?: readonly { readonly address: string; readonly interface?: number | undefined }[] | undefined;
  readonly routes?: readonly { readonly dst: string; readonly gw?: string | undefined }[] | undefined;
  readonly interfaces?: readonly { readonly name: string; readonly sandbox?: string | undefined }[] | undefined;
  readonly [key: string]: unknown;
}

/** The sandbox an operation is about. */
export interface CniTarget {
  readonly containerId: string;
  /** Path of the network namespace. */
  readonly netns: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  /** `eth0` when absent. */
  readonly ifname?: string | undefined;
  /** Multus calls: what it adds to CNI_ARGS of ADD (`KEY=value`) beside what it repeats. */
  readonly multus?: readonly string[] | undefined;
  /** Given to plugins as far as they declare the capability (CONVENTIONS.md). */
  readonly runtimeConfig?: Readonly<Record<string, unknown>> | undefined;
}

/** A plugin refused or could not be run. `code` is the CNI error code, where the plugin gave one. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number | undefined;
  constructor(message: string, code?: number) {
    super(message);
    this.code = code;
  }
}

/** A pod's first interface. */
export const IFNAME = 'eth0';
/** The CRI's runtime request timeout is of this order; an agent gives up earlier, with a better message. */
const PLUGIN_TIMEOUT_MS = 120_000;

/** The first `*.conflist` of the directory by name, as libcni picks it; undefined when there is none. */
export function findConflist(dir: string): string | undefined {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return undefined;
  }
  const [first] = names.filter((name) => name.endsWith('.conflist')).sort();
  return first === undefined ? undefined : join(dir, first);
}

/** Reads and checks the conflist of `dir`. @throws CniError */
export function loadConflist(dir: string): NetworkList {
  const path = findConflist(dir);
  if (path === undefined) throw new CniError(`no *.conflist in ${dir}: the node's agent has not started serving`);
  return parseConflist(readFileSync(path, 'utf8'), path);
}

/** Checks the text of a conflist. @throws CniError that names `path`. */
export function parseConflist(text: string, path: string): NetworkList {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const list = value as Partial<NetworkList> | null;
  const plugins: unknown = list?.plugins;
  const usable =
    typeof list?.name === 'string' &&
    typeof list.cniVersion === 'string' &&
    Array.isArray(plugins) &&
    plugins.length > 0 &&
    plugins.every((plugin) => typeof (plugin as PluginConfig | null)?.type === 'string');
  if (!usable) throw new CniError(`${path}: needs cniVersion, name and plugins with a type each (CNI spec, section 1)`);
  return list as NetworkList;
}

/** Addresses of the pod's own interface, without prefix length, in the order of the result. */
export function podAddresses(result: CniResult): string[] {
  const inside = (index: number | undefined): boolean =>
    index === undefined || Boolean(result.interfaces?.[index]?.sandbox ?? !result.interfaces);
  return (result.ips ?? []).filter((ip) => inside(ip.interface)).map((ip) => ip.address.split('/')[0] ?? ip.address);
}

/** Where and how plugins are executed. */
export interface CniRunnerOptions {
  readonly binDir: string;
  /** Words put before the plugin's path, to run it inside the node's network namespace. */
  readonly enter: readonly string[];
}

/** Executes the plugins of a list, as libcni does. */
export class CniRunner {
  readonly #options: CniRunnerOptions;

  constructor(options: CniRunnerOptions) {
    this.#options = options;
  }

  /** ADD: the plugins in order, each with the result of the one before. @throws CniError; then DEL is due. */
  async add(list: NetworkList, target: CniTarget, signal: AbortSignal): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of list.plugins) {
      const text = await this.#execute('ADD', list, plugin, target, result, signal);
      try {
        result = JSON.parse(text) as CniResult;
      } catch {
        throw new CniError(`plugin ${plugin.type} printed no JSON result: ${text.slice(0, 200)}`);
      }
    }
    return result ?? {};
  }

  /** DEL: the plugins in reverse order, each with the cached result of ADD. @throws CniError; then try again. */
  async del(list: NetworkList, target: CniTarget, result: CniResult | undefined, signal: AbortSignal): Promise<void> {
    for (const plugin of list.plugins.toReversed()) await this.#execute('DEL', list, plugin, target, result, signal);
  }

  /**
   * CHECK: the plugins in order, each with the cached result of ADD; nothing where the list's version has no CHECK.
   * @throws CniError
   */
  async check(list: NetworkList, target: CniTarget, result: CniResult | undefined, signal: AbortSignal): Promise<void> {
    if (list.disableCheck === true || /^0\.[0-3]\./.test(list.cniVersion)) return;
    for (const plugin of list.plugins) await this.#execute('CHECK', list, plugin, target, result, signal);
  }

  async #execute(
    command: 'ADD' | 'DEL' | 'CHECK',
    list: NetworkList,
    plugin: PluginConfig,
    target: CniTarget,
    previous: CniResult | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    if (!/^[\w.-]+$/.test(plugin.type)) throw new CniError(`'${plugin.type}' cannot be the name of a plugin`);
    const declared = (plugin['capabilities'] ?? {}) as Readonly<Record<string, unknown>>;
    const asked = Object.entries(target.runtimeConfig ?? {}).filter(([key]) => declared[key] === true);
    const config = {
      ...plugin,
      ...(asked.length === 0 ? {} : { runtimeConfig: Object.fromEntries(asked) }),
      cniVersion: list.cniVersion,
      name: list.name,
      ...(previous === undefined ? {} : { prevResult: previous }),
    };
    const env = {
      PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: command,
      CNI_CONTAINERID: target.containerId,
      CNI_NETNS: target.netns,
      CNI_IFNAME: target.ifname ?? IFNAME,
      CNI_PATH: this.#options.binDir,
      CNI_ARGS: argsOf(command, target).join(';'),
    };
    const words = [...this.#options.enter, join(this.#options.binDir, plugin.type)];
    const { code, stdout, stderr } = await execute(words, env, JSON.stringify(config), signal);
    if (code === 0) return stdout;
    throw pluginError(plugin.type, command, code, stdout, stderr);
  }
}

/** CNI_ARGS as a runtime has them; Multus puts its own before those that it was called with (multus-cni, pkg/types/conf.go). */
function argsOf(command: string, target: CniTarget): readonly string[] {
  const pod = [
    `K8S_POD_NAMESPACE=${target.podNamespace}`,
    `K8S_POD_NAME=${target.podName}`,
    `K8S_POD_INFRA_CONTAINER_ID=${target.containerId}`,
    `K8S_POD_UID=${target.podUid}`,
  ];
  const runtime = ['IgnoreUnknown=1', ...pod];
  if (target.multus === undefined) return runtime;
  return ['IgnoreUnknown=true', ...pod, ...runtime, ...(command === 'ADD' ? target.multus : [])];
}

function pluginError(type: string, command: string, code: number | null, stdout: string, stderr: string): CniError {
  try {
    // CNI spec, section 5, "Error": { cniVersion, code, msg, details }
    const error = JSON.parse(stdout) as { code?: number; msg?: string; details?: string } | null;
    if (typeof error?.msg === 'string') {
      const details = error.details ? `: ${error.details}` : '';
      return new CniError(
        `plugin type="${type}" failed (${command.toLowerCase()}): ${error.msg}${details}`,
        error.code,
      );
    }
  } catch {
    // fall through to what it wrote
  }
  const said = `${stdout}${stderr}`.trim().slice(0, 500) || 'nothing written';
  return new CniError(`plugin type="${type}" failed (${command.toLowerCase()}), exit ${code ?? 'by signal'}: ${said}`);
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(
  words: readonly string[],
  env: Record<string, string>,
  input: string,
  signal: AbortSignal,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [program, ...rest] = words;
    if (program === undefined) throw new CniError('no program to run');
    // SIGKILL: a plugin that is aborted (its pod is gone) gets its DEL right afterwards anyway.
    const child = spawn(program, rest, { env, signal, killSignal: 'SIGKILL', timeout: PLUGIN_TIMEOUT_MS });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('error', (cause) => reject(new CniError(`cannot run ${words.join(' ')}: ${cause.message}`)));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
