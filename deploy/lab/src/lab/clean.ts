import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { labNames } from '../fabric/names.ts';
import { listNamespaces, removeNamespaces } from '../fabric/namespaces.ts';
import { layoutOf } from './layout.ts';
import { ProcessManager } from './process.ts';
import { RecordDirectory } from './record.ts';

/** What {@link cleanUp} found and removed. */
export interface Removed {
  readonly processes: readonly string[];
  readonly namespaces: readonly string[];
  /** The processes that did not heed SIGTERM. */
  readonly killed: readonly string[];
}

/** The entries of a state directory that hold what users made: API objects, northbound rows, and what they rely on. */
export const userState: readonly string[] = ['api', 'central', 'pki', 'config'];

/** Namespaces of this lab: the names that follow from its directory. */
export function ownNamespaces(directory: string): readonly string[] {
  const names = labNames(directory);
  const own = new RegExp(`^${names.prefix}-(fabric|node-\\d+|pod-.+)$`);
  return listNamespaces().filter((name) => own.test(name));
}

/**
 * Ends the lab's processes (by record), removes its namespaces with what runs in them, and its files.
 * Works on a lab that runs, on what a dead one left, and on nothing.
 * @param options.keep entries of the state directory to leave; nothing left = the directory goes too
 */
export async function cleanUp(directory: string, options: { readonly keep: readonly string[] }): Promise<Removed> {
  const layout = layoutOf(directory);
  const records = new RecordDirectory(layout.run);
  const manager = new ProcessManager(records);
  const all = records.all();
  // What decides comes down before what it decides about, so that nobody reacts to the end of the others.
  const rank = (name: string): number => {
    if (name === 'kubelet') return 0;
    if (name === 'controller' || name.endsWith('.agent')) return 1;
    if (name.endsWith('.ovn-controller') || name === 'northd') return 2;
    return name.endsWith('.vswitchd') || name === 'apiserver' ? 3 : 4;
  };
  const killed: string[] = [];
  for (const step of [0, 1, 2, 3, 4]) {
    const now = all.filter((record) => rank(record.name) === step);
    const ended = await Promise.all(now.map((record) => manager.stop(record.name)));
    killed.push(...now.filter((_, at) => ended[at] === false).map((record) => record.name));
  }
  const namespaces = ownNamespaces(directory);
  await removeNamespaces(namespaces);
  if (existsSync(directory)) {
    for (const entry of readdirSync(directory))
      if (!options.keep.includes(entry)) rmSync(join(directory, entry), { recursive: true, force: true });
    if (readdirSync(directory).length === 0) rmSync(directory, { recursive: true });
  }
  return { processes: all.map((record) => record.name), namespaces, killed };
}
