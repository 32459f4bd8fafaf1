import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from './error.ts';

/** A held lock. Dispose of it to let go. */
export interface Lock extends Disposable {
  readonly path: string;
}

/** Whether the open file still is what its name points to: a holder that ended may have removed the name meanwhile. */
function current(fd: number, path: string): boolean {
  try {
    const mine = fstatSync(fd);
    const named = statSync(path);
    return mine.ino === named.ino && mine.dev === named.dev;
  } catch {
    return false;
  }
}

/**
 * Takes an advisory file lock (flock(2)), which the kernel drops when this process ends, however it ends.
 * flock(1) locks the open file description that it inherits as descriptor 3, which is ours too, so the lock outlives it.
 * @param path the lock file; removed when the lock is let go
 * @param options.wait longest time to wait for another holder, in milliseconds
 * @param options.onWait called once when there is something to wait for, with what the holder wrote
 * @throws LabError `locked`
 */
export async function takeLock(
  path: string,
  options: { readonly wait: number; readonly onWait?: (holder: string) => void; readonly signal?: AbortSignal },
): Promise<Lock> {
  mkdirSync(dirname(path), { recursive: true });
  const end = performance.now() + options.wait;
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const fd = openSync(path, 'a+', 0o600);
    const result = spawnSync('flock', ['--exclusive', '--nonblock', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd],
    });
    if (result.error !== undefined) {
      closeSync(fd);
      throw new LabError('missing-program', `cannot run flock (${result.error.message}); install util-linux`);
    }
    if (result.status === 0 && current(fd, path)) {
      writeFileSync(path, `process ${process.pid}: ${process.argv.slice(2).join(' ')}\n`);
      return {
        path,
        [Symbol.dispose]: () => {
          rmSync(path, { force: true });
          closeSync(fd);
        },
      };
    }
    closeSync(fd);
    if (result.status !== 0) {
      const holder = readHolder(path);
      if (performance.now() >= end)
        throw new LabError(
          'locked',
          `another command works on this lab (${holder}); wait until it ends (lock ${path})`,
        );
      if (!told) options.onWait?.(holder);
      told = true;
      await sleep(100, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim() || 'unknown holder';
  } catch {
    return 'unknown holder';
  }
}
