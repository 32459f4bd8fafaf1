import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '@ovenbird/deploy';

/** More than the databases of a few dozen pods need between two compactions, and quickly filled. */
const size = '24m';
const chunk = Buffer.alloc(64 * 1024);

/** A file system of a few megabytes (tmpfs), on which the central databases of a lab are put. */
export class SmallDisk implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Mounts it where a lab's state directory, that is not in use yet, has its central databases. */
  static async below(labDirectory: string): Promise<SmallDisk> {
    const directory = mkdtempSync(join(tmpdir(), 'ovenbird-disk-'));
    await run(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]);
    mkdirSync(labDirectory, { recursive: true });
    symlinkSync(directory, join(labDirectory, 'central'));
    return new SmallDisk(directory);
  }

  /** Takes all the room that is left. */
  fill(): Promise<void> {
    const file = openSync(join(this.#directory, 'filler'), 'w');
    try {
      for (let pieces = chunk; pieces.length > 0; ) {
        try {
          writeSync(file, pieces);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
          pieces = pieces.subarray(0, Math.floor(pieces.length / 2));
        }
      }
    } finally {
      closeSync(file);
    }
    return Promise.resolve();
  }

  /** Gives it back. */
  free(): Promise<void> {
    rmSync(join(this.#directory, 'filler'), { force: true });
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(['umount', this.#directory]);
    rmSync(this.#directory, { recursive: true });
  }
}
