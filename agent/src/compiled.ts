import { flushCompileCache, getCompileCacheDir } from 'node:module';

/** Set in a process that was started by {@link startCompiled}, which tries once: a cache may be read-only. */
const mark = 'OVENBIRD_AGENT_COMPILED';

/**
 * Starts this process anew, under its process id, when it had to strip types from its modules and a compile cache
 * (NODE_COMPILE_CACHE) saves the next process from that. What strips types stays in memory for good, 15 MB of it, and only
 * the first start on a node, or after an upgrade, needs it.
 *
 * Call it when all modules are loaded and nothing was opened yet. Returns when there is nothing to gain.
 */
export function startCompiled(): void {
  // Not documented, and harmless when it is gone: nothing is gained then.
  const { moduleLoadList = [] } = process as { readonly moduleLoadList?: readonly string[] };
  const strips = moduleLoadList.some((name) => name.includes('deps/amaro'));
  if (!strips || getCompileCacheDir() === undefined || process.env[mark] !== undefined) return;
  flushCompileCache();
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    [mark]: '1',
  });
}
