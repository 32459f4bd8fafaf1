import { existsSync, watch } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfig } from './config.ts';

/** Sorts before what distributions ship (podman: 87-podman-bridge.conflist); runtimes take the first name. */
export const CONFLIST_NAME = '10-ovenbird.conflist';

/**
 * The network configuration for runtimes. Version 1.0.0 because containerd 1.6 hands a 1.1.0 configuration to plugins
 * that refuse it, and 1.7 cannot read a 1.1.0 result. Where the node has the stock `portmap` plugin it comes behind ours:
 * it is what makes `hostPort` work.
 * @param cniBinDir where the runtime finds plugins
 */
export function conflist(cniSocket: string, cniBinDir: string | undefined): string {
  const own = { type: 'ovenbird', socket: cniSocket, capabilities: { bandwidth: true } };
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  const hasPortmap = cniBinDir !== undefined && existsSync(join(cniBinDir, 'portmap'));
  const list = { cniVersion: '1.0.0', name: 'ovenbird', plugins: hasPortmap ? [own, portmap] : [own] };
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
  if (config.cniBinDir !== undefined) {
    await mkdir(config.cniBinDir, { recursive: true });
    const temporary = join(config.cniBinDir, `.ovenbird.${process.pid}`);
    await copyFile(config.cniShim, temporary);
    await chmod(temporary, 0o755);
    await rename(temporary, join(config.cniBinDir, 'ovenbird'));
  }
  await writeConflist(config);
}

/** Writes the configuration where it is not what it should be. @returns whether it was not */
export async function writeConflist(
  config: Pick<AgentConfig, 'cniBinDir' | 'cniConfDir' | 'cniSocket'>,
): Promise<boolean> {
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
 * Calls `changed` when somebody, this agent included, writes or removes the configuration (inotify(7)).
 * @param failed called when it cannot be told any more
 */
export async function watchConflist(
  { cniConfDir }: Pick<AgentConfig, 'cniConfDir'>,
  changed: () => void,
  failed: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  if (cniConfDir === undefined) return;
  await mkdir(cniConfDir, { recursive: true });
  const watcher = watch(cniConfDir, { signal, persistent: false }, (_event, name) => {
    if (name === CONFLIST_NAME) changed();
  });
  watcher.on('error', failed);
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
