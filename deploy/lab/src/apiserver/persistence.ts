/**
 * Optional state on disk: a snapshot and an append-only log of changes after it, both one JSON text a line. A last line
 * that was cut off by a crash is dropped; anything else that cannot be read is an error that names the file and line.
 */
import { closeSync, createReadStream, existsSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { KubeObject } from './json.ts';
import type { Entry, Store } from './store.ts';

/** State that is being kept. */
export interface StateFiles {
  /** Writes a fresh snapshot. */
  close: () => Promise<void>;
}

/** One line: an object as it was at revision `v`, or (without `r`) just the revision that the server had reached. */
interface Line {
  /** Resource: `pods`, `deployments.apps`. */
  readonly r?: string;
  readonly v: number;
  /** True for a deletion. */
  readonly d?: true;
  readonly o?: KubeObject;
}

/** Log size in bytes after which a new snapshot replaces it. */
const LOG_LIMIT = 64 * 1024 * 1024;

function encode(resource: string, entry: Entry, deleted: boolean): string {
  return `{"r":${JSON.stringify(resource)},"v":${entry.revision},${deleted ? '"d":true,' : ''}"o":${entry.json}}\n`;
}

/** Adds the lines of a file to `latest`, the newest line of each object. Returns the highest revision seen. */
async function replay(path: string, latest: Map<string, Line>): Promise<number> {
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  let bad: number | undefined;
  let revision = 0;
  for await (const text of lines) {
    number++;
    if (bad !== undefined) {
      lines.close();
      throw new Error(`${path}: line ${bad} cannot be read; remove the state directory to start without its objects`);
    }
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      bad = number;
      continue;
    }
    revision = Math.max(revision, line.v);
    if (line.r === undefined || line.o === undefined) continue;
    const key = `${line.r} ${line.o.metadata.namespace ?? ''}/${line.o.metadata.name}`;
    if ((latest.get(key)?.v ?? -1) <= line.v) latest.set(key, line);
  }
  return revision;
}

class State implements StateFiles {
  readonly #store: Store;
  readonly #snapshot: string;
  readonly #log: string;
  readonly #nextLog: string;
  #descriptor: number | undefined;
  #bytes = 0;
  #rewriting: Promise<void> = Promise.resolve();

  constructor(directory: string, store: Store) {
    this.#store = store;
    this.#snapshot = join(directory, 'objects.snapshot');
    this.#log = join(directory, 'objects.log');
    this.#nextLog = join(directory, 'objects.log.next');
  }

  async load(): Promise<void> {
    const latest = new Map<string, Line>();
    // A crash can leave all three; the revision in each line decides, not the file.
    for (const path of [this.#snapshot, this.#log, this.#nextLog]) {
      if (existsSync(path)) this.#store.revision = Math.max(this.#store.revision, await replay(path, latest));
    }
    for (const { r, v, d, o } of latest.values()) {
      if (d === true || r === undefined || o === undefined) continue;
      const { namespace = '', name } = o.metadata;
      this.#store.collection(r).restore({ namespace, name, object: o, json: JSON.stringify(o), revision: v });
    }
    for (const collection of this.#store.collections()) collection.compact();
    await this.#rewrite();
    this.#store.log = ({ resource, entry, deleted }) => this.#append(encode(resource, entry, deleted));
  }

  async close(): Promise<void> {
    this.#store.log = () => {};
    await this.#rewriting;
    await this.#rewrite();
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /**
   * Writes a change before anybody hears of it: of one that was answered and then lost with the process, the revision would be
   * given again, and a watch that goes on from there would miss what happened.
   */
  #append(line: string): void {
    if (this.#descriptor === undefined) return;
    this.#bytes += writeSync(this.#descriptor, line);
    if (this.#bytes <= LOG_LIMIT) return;
    this.#bytes = 0;
    this.#rewriting = this.#rewriting.then(() => this.#rewrite());
  }

  /** Writes a snapshot beside the old one, then replaces that and goes on with an empty log. */
  async #rewrite(): Promise<void> {
    const lines = [`{"v":${this.#store.revision}}\n`];
    for (const collection of this.#store.collections()) {
      for (const entry of collection.values()) lines.push(encode(collection.resource, entry, false));
    }
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = openSync(this.#nextLog, 'w', 0o600);
    this.#bytes = 0;
    const temporary = `${this.#snapshot}.new`;
    const file = await open(temporary, 'w', 0o600);
    for (let i = 0; i < lines.length; i += 500) await file.write(lines.slice(i, i + 500).join(''));
    await file.sync();
    await file.close();
    renameSync(temporary, this.#snapshot);
    rmSync(this.#log, { force: true });
    renameSync(this.#nextLog, this.#log);
  }
}

/** Reads the state in `directory` (made where missing) into an empty store, and records every change from then on. */
export async function openState(directory: string, store: Store): Promise<StateFiles> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const state = new State(directory, store);
  await state.load();
  return state;
}
