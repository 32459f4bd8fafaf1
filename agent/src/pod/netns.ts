import { open, stat, statfs } from 'node:fs/promises';
import { posix } from 'node:path';
import { AgentError } from '../error.ts';

/** `f_type` of a namespace file (NSFS_MAGIC, linux/magic.h). */
const NSFS_MAGIC = 0x6e736673;

/** A pod's network namespace, held open: it stays the same one even if its path is unmounted or reused meanwhile. */
export interface PodNetns extends AsyncDisposable {
  /** As the runtime named it. */
  readonly path: string;
  /** Open descriptor of it. */
  readonly fd: number;
}

/**
 * Whether a path is one where runtimes keep namespaces: a direct child of a listed directory, or `/proc/<pid>/ns/net`
 * when `/proc` is listed (cri-dockerd; off by default because a pid is reused sooner than a name).
 */
export function isNetnsPath(path: string, dirs: readonly string[]): boolean {
  if (posix.normalize(path) !== path) return false;
  if (dirs.includes('/proc') && /^\/proc\/[1-9]\d*\/ns\/net$/.test(path)) return true;
  return dirs.includes(posix.dirname(path)) && posix.basename(path) !== '';
}

/**
 * Opens a pod's network namespace.
 * @param path as in CNI_NETNS
 * @param dirs where runtimes keep namespaces
 * @throws AgentError `invalid-netns`: outside of `dirs`, missing, not a namespace, or the node's own (everything the
 *   agent does "in the pod" would then happen to the node).
 */
export async function openNetns(path: string, dirs: readonly string[]): Promise<PodNetns> {
  if (!isNetnsPath(path, dirs)) {
    throw new AgentError(
      'invalid-netns',
      `CNI_NETNS ${JSON.stringify(path)} is not directly inside ${dirs.join(', ')}; add its directory to netnsDirs if your runtime keeps namespaces there`,
    );
  }
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new AgentError('invalid-netns', `cannot open the network namespace ${path}: ${String(cause)}`, { cause });
  });
  try {
    const opened = await file.stat();
    const filesystem = await statfs(`/proc/self/fd/${file.fd}`);
    if (filesystem.type !== NSFS_MAGIC) {
      throw new AgentError('invalid-netns', `${path} is not a namespace (a plain file: was it unmounted?)`);
    }
    const own = await stat('/proc/self/ns/net');
    if (opened.ino === own.ino && opened.dev === own.dev) {
      throw new AgentError('invalid-netns', `${path} is the node's own network namespace, not a pod's`);
    }
    return { path, fd: file.fd, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
