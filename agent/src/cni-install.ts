import { existsSync, type Stats, watch } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '@ovenbird/kube';
import type { AgentConfig } from './config.ts';

const SHIM_NAME = 'ovenbird';
/** The stock plugin behind ours. */
const PORTMAP = 'portmap';

/** Sorts before what distributions ship (podman: 87-podman-bridge.conflist); runtimes take the first name. */
const CONFLIST_NAME = '10-ovenbird.conflist';

const hasPortmap = (cniBinDir: string | undefined): boolean =>
  cniBinDir !== undefined && existsSync(join(cniBinDir, PORTMAP));

/**
 * What to tell about a pod that asks for a port of its node where nothing gives it one: the runtime hands the wish to
 * nobody, and the pod runs. undefined when all is well, or when another agent than this one installs the configuration.
 */
export function lacksPortmap(pod: Pod, { cniBinDir }: Pick<AgentConfig, 'cniBinDir'>): string | undefined {
  if (cniBinDir === undefined || pod.spec.hostNetwork === true || hasPortmap(cniBinDir)) return undefined;
  const ports = (pod.spec.containers ?? []).flatMap((one) => one.ports ?? []).map(({ hostPort = 0 }) => hostPort);
  const asked = ports.filter((port) => port > 0);
  if (asked.length === 0) return undefined;
  return `hostPort ${asked.join(', ')} is not reached from outside: ${cniBinDir} of this node has no plugin ${PORTMAP} (package containernetworking-plugins); put it there and delete the pod`;
}

/**
 * The network configuration for runtimes. Version 1.0.0 because containerd 1.6 hands a 1.1.0 configuration to plugins
 * that refuse it, and 1.7 cannot read a 1.1.0 result. Where the node has the stock `portmap` plugin it comes behind ours:
 * it is what makes `hostPort` work.
 * @param cniBinDir where the runtime finds plugins
 */
function conflist(cniSocket: string, cniBinDir: string | undefined): string {
  const own = { type: 'ovenbird', socket: cniSocket, capabilities: { bandwidth: true } };
  const portmap = { type: PORTMAP, capabilities: { portMappings: true } };
  const list = { cniVersion: '1.0.0', name: 'ovenbird', plugins: hasPortmap(cniBinDir) ? [own, portmap] : [own] };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

async function contentOf(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined);
}

/**
 * Copies the shim and then writes the configuration, each by rename: a runtime that sees the configuration takes the node
 * for ready at that moment, and may already be executing an older shim.
 */
export async function installCni(
  config: Pick<AgentConfig, 'cniBinDir' | 'cniConfDir' | 'cniShim' | 'cniSocket'>,
): Promise<void> {
  if (config.cniBinDir !== undefined) await copyShim(config.cniShim, config.cniBinDir);
  await writeConflist(config);
}

async function copyShim(cniShim: string, cniBinDir: string): Promise<void> {
  await mkdir(cniBinDir, { recursive: true });
  const temporary = join(cniBinDir, `.${SHIM_NAME}.${process.pid}`);
  await copyFile(cniShim, temporary);
  await chmod(temporary, 0o755);
  // By which it is known again.
  const seconds = wholeSeconds(await stat(cniShim));
  await utimes(temporary, seconds, seconds);
  await rename(temporary, join(cniBinDir, SHIM_NAME));
}

/** A file's time of modification as every file system keeps it: some have no fractions, and none rounds up. */
const wholeSeconds = ({ mtimeMs }: Stats): number => Math.floor(mtimeMs / 1000);

/** Copies the shim where it is missing or another one, then writes the configuration likewise. @returns whether one of both was wrong */
export async function mendCni(
  config: Pick<AgentConfig, 'cniBinDir' | 'cniConfDir' | 'cniShim' | 'cniSocket'>,
): Promise<boolean> {
  const { cniBinDir, cniShim } = config;
  let wrong = false;
  if (cniBinDir !== undefined) {
    const [own, there] = await Promise.all([
      stat(cniShim),
      stat(join(cniBinDir, SHIM_NAME)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      }),
    ]);
    wrong = there?.size !== own.size || wholeSeconds(there) !== wholeSeconds(own) || (there.mode & 0o111) === 0;
    if (wrong) await copyShim(cniShim, cniBinDir);
  }
  return (await writeConflist(config)) || wrong;
}

/** Writes the configuration where it is not what it should be. @returns whether it was not */
async function writeConflist(config: Pick<AgentConfig, 'cniBinDir' | 'cniConfDir' | 'cniSocket'>): Promise<boolean> {
  if (config.cniConfDir === undefined) return false;
  await mkdir(config.cniConfDir, { recursive: true });
  const path = join(config.cniConfDir, CONFLIST_NAME);
  const wanted = conflist(config.cniSocket, config.cniBinDir);
  if ((await contentOf(path)) === wanted) return false;
  // Runtimes load every *.conflist in the directory: the temporary name must not end so.
  const temporary = join(config.cniConfDir, `.${CONFLIST_NAME}.${process.pid}`);
  await writeFile(temporary, wanted, { mode: 0o644 });
  await rename(temporary, path);
  return true;
}

/**
 * Calls `changed` when somebody, this agent included, writes or removes the configuration or a plugin of it (inotify(7)).
 * @param failed called when it cannot be told any more
 */
export async function watchConflist(
  { cniConfDir, cniBinDir }: Pick<AgentConfig, 'cniConfDir' | 'cniBinDir'>,
  changed: () => void,
  failed: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const [directory, names] of [
    [cniConfDir, [CONFLIST_NAME]],
    [cniBinDir, [SHIM_NAME, PORTMAP]],
  ] as const) {
    if (directory === undefined) continue;
    await mkdir(directory, { recursive: true });
    const watcher = watch(directory, { signal, persistent: false }, (_event, name) => {
      if (names.some((one) => one === name)) changed();
    });
    watcher.on('error', failed);
  }
}

/** Whether a configuration of ours is where runtimes look. */
export function cniInstalled({ cniConfDir }: Pick<AgentConfig, 'cniConfDir'>): boolean {
  return cniConfDir !== undefined && existsSync(join(cniConfDir, CONFLIST_NAME));
}

/** Removes the configuration: the runtime takes the node for not ready. The plugin stays, for DEL. */
export async function uninstallCni({ cniConfDir }: Pick<AgentConfig, 'cniConfDir'>): Promise<void> {
  if (cniConfDir !== undefined) await rm(join(cniConfDir, CONFLIST_NAME), { force: true });
}

/** When the system booted, milliseconds since the epoch (proc(5), /proc/stat, btime). */
async function bootTime(): Promise<number> {
  return Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1]) * 1000;
}

/**
 * Removes a configuration that was written before this boot: nothing of what it promises runs yet, and the runtime would
 * take the node for ready and start pods. One of this boot stays, so that a restart of the agent does not take the node
 * out of service.
 * @returns whether there was one
 */
export async function removeStaleConflist(config: Pick<AgentConfig, 'cniConfDir'>): Promise<boolean> {
  if (config.cniConfDir === undefined) return false;
  const path = join(config.cniConfDir, CONFLIST_NAME);
  const written = await stat(path).catch(() => undefined);
  if (written === undefined || written.mtimeMs >= (await bootTime())) return false;
  await unlink(path);
  return true;
}
