import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import { convert, type Imported } from '../import/convert.ts';
import type { Manifest } from '../import/report.ts';
import { table } from '../table.ts';
import { UsageError } from '../usage.ts';

/** Longest time for reading a cluster, in milliseconds. */
const deadline = 60_000;

/**
 * `ovenbird import kube-ovn FILE...|--kubeconfig FILE`: manifests of Kube-OVN, or what a cluster has, as ours on standard
 * output; what has no counterpart, and why, on standard error.
 */
export async function importKubeOvn(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { kubeconfig: { type: 'string' } },
    allowPositionals: true,
  });
  const [source, ...files] = positionals;
  if (source !== 'kube-ovn' || (files.length === 0) === (values.kubeconfig === undefined))
    throw new UsageError('ovenbird import kube-ovn FILE... or --kubeconfig FILE; - is standard input');
  const manifests = values.kubeconfig === undefined ? await readFiles(files) : await readLive(values.kubeconfig);
  const imported = convert(manifests);
  process.stdout.write(render(imported));
  process.stderr.write(renderNotes(imported));
  return 0;
}

async function readLive(kubeconfig: string): Promise<readonly Manifest[]> {
  const { readCluster } = await import('../import/live.ts');
  return await readCluster(kubeconfig, AbortSignal.timeout(deadline));
}

async function readFiles(files: readonly string[]): Promise<readonly Manifest[]> {
  const manifests: Manifest[] = [];
  for (const file of files) manifests.push(...parse(file, await read(file)));
  return manifests;
}

async function read(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Objects of a YAML or JSON file. @throws UsageError when it is neither */
export function parse(file: string, content: string): readonly Manifest[] {
  return parseAllDocuments(content).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw new UsageError(`${file}: ${problem.message}`);
    const object = document.toJS() as unknown;
    if (object === null || object === undefined) return [];
    if (typeof object !== 'object' || !('kind' in object))
      throw new UsageError(`${file}: a document without kind is no manifest`);
    return [object as Manifest];
  });
}

/** What can be applied, as YAML. */
export const render = ({ objects }: Imported): string =>
  objects.map((object) => `---\n${stringify(object, { lineWidth: 0 })}`).join('');

/** What is written, and what has no counterpart. */
export function renderNotes({ objects, notes }: Imported): string {
  const counts = new Map<string, number>();
  for (const { kind } of objects) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const written = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  const head = `written: ${written === '' ? 'nothing' : written}\n`;
  if (notes.length === 0) return `${head}everything has a counterpart\n`;
  return `${head}\n${table(
    ['OBJECT', 'FIELD', 'WHY'],
    notes.map(({ object, field, why }) => [object, field === '' ? '-' : field, why]),
  )}`;
}
