import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../fabric/run.ts';
import type { LabState, Layout } from './layout.ts';
import { repository, shim } from './repository.ts';

/** Builds the CNI shim; does nothing when it is current. */
export async function ensureShim(signal?: AbortSignal): Promise<void> {
  await run([process.execPath, join(repository, 'cni', 'build.mjs')], { signal });
}

/** Plugins of Debian's containernetworking-plugins that pods' further networks may be made with. */
const stockPlugins = ['bridge', 'ipvlan', 'macvlan', 'tuning', 'vlan'];

/**
 * Puts the shim into every node's plugin directory, by a link: the state directory usually is below /run, which Debian
 * mounts noexec. The conflist beside it is the agent's to write, once it can serve.
 */
export function installShim(state: LabState, layout: Layout): void {
  for (const node of state.nodes) {
    const { cniBin, cniConf } = layout.node(node.name);
    mkdirSync(cniBin, { recursive: true });
    mkdirSync(cniConf, { recursive: true });
    const link = join(cniBin, 'ovenbird');
    rmSync(link, { force: true });
    symlinkSync(shim, link);
    for (const name of stockPlugins) {
      const file = join('/usr/lib/cni', name);
      const to = join(cniBin, name);
      rmSync(to, { force: true });
      if (existsSync(file)) symlinkSync(file, to);
    }
  }
}
