import { createReadStream, type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';

/** Which part of a log is wanted (core/v1, PodLogOptions). */
export interface LogOptions {
  /** Last lines only. */
  readonly tailLines?: number | undefined;
  /** At most so many bytes. */
  readonly limitBytes?: number | undefined;
  /** Go on until `ended` resolves or the reader goes. */
  readonly follow: boolean;
  /** Resolves when nothing will be written any more. */
  readonly ended: AbortSignal;
}

/** Reads PodLogOptions from a query. @throws Error for numbers that are none */
export function parseLogQuery(query: URLSearchParams): Omit<LogOptions, 'ended'> {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^\d+$/.test(text)) throw new Error(`${name} must be a number of at least 0, not '${text}'`);
    return Number(text);
  };
  return {
    tailLines: number('tailLines'),
    limitBytes: number('limitBytes'),
    follow: /^(1|true)$/i.test(query.get('follow') ?? ''),
  };
}

/** Streams a log file; an absent one is empty. */
export async function readLog(path: string, options: LogOptions): Promise<Readable> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return Readable.from([]);
  }
  const { size } = await file.stat();
  const start = options.tailLines === undefined ? 0 : await tailStart(file, size, options.tailLines);
  if (!options.follow) {
    await file.close();
    const wanted = Math.min(size, start + (options.limitBytes ?? size)) - 1;
    return wanted < start ? Readable.from([]) : createReadStream(path, { start, end: wanted });
  }
  return Readable.from(follow(path, file, start, options));
}

/** Position of the first of the last `lines` lines. Reads backwards, so a long log costs no more than its tail. */
async function tailStart(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines === 0) return size;
  const block = Buffer.alloc(65_536);
  let seen = 0;
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - block.length);
    const { bytesRead } = await file.read(block, 0, end - from, from);
    for (let index = bytesRead - 1; index >= 0; index -= 1) {
      // The newline that ends the last line starts no further one.
      if (block[index] !== 10 || from + index === size - 1) continue;
      seen += 1;
      if (seen === lines) return from + index + 1;
    }
    end = from;
  }
  return 0;
}

async function* follow(path: string, file: FileHandle, start: number, options: LogOptions): AsyncGenerator<Buffer> {
  let wake = Promise.withResolvers<void>();
  const look = (): void => wake.resolve();
  const watcher: FSWatcher = watch(path, look);
  watcher.on('error', look);
  options.ended.addEventListener('abort', look, { once: true });
  const block = Buffer.alloc(65_536);
  let [position, left] = [start, options.limitBytes ?? Number.POSITIVE_INFINITY];
  try {
    while (left > 0) {
      wake = Promise.withResolvers<void>();
      const last = options.ended.aborted;
      const { bytesRead } = await file.read(block, 0, Math.min(block.length, left), position);
      if (bytesRead > 0) {
        position += bytesRead;
        left -= bytesRead;
        yield Buffer.from(block.subarray(0, bytesRead));
      } else if (last) {
        return;
      } else {
        await wake.promise;
      }
    }
  } finally {
    watcher.close();
    options.ended.removeEventListener('abort', look);
    await file.close();
  }
}
