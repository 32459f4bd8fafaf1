import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestLab } from '../src/lab.ts';

/** USER_HZ, which is 100 on every Linux that Node runs on (proc(5)). */
const ticksPerSecond = 100;

/** User and system time of a process and of the children it waited for, seconds; 0 for one that has ended. */
export function processorTime(pid: number): { readonly own: number; readonly children: number } {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return { own: 0, children: 0 };
  }
  // The name of the program, in brackets, may hold blanks; what follows begins with field 3.
  const fields = text.slice(text.lastIndexOf(') ') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]) / ticksPerSecond;
  return { own: field(14) + field(15), children: field(16) + field(17) };
}

/** Process ids of a lab, the one that does the work where there is a monitor, by the names of `ovenbird lab ps`. */
function labProcesses(lab: TestLab): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const file of readdirSync(lab.layout.run)) {
    if (!file.endsWith('.json')) continue;
    const { pid } = JSON.parse(readFileSync(join(lab.layout.run, file), 'utf8')) as { pid: number };
    found.set(file.slice(0, -'.json'.length), worker(lab, file) ?? pid);
  }
  return found;
}

/** ovs-vswitchd runs below a monitor. */
function worker(lab: TestLab, file: string): number | undefined {
  const [, node] = /^(.*)\.vswitchd\.json$/.exec(file) ?? [];
  return node === undefined
    ? undefined
    : Number(readFileSync(join(lab.layout.node(node).run, 'ovs-vswitchd.pid'), 'utf8'));
}

/** Processor seconds of each kind of process of a lab (`agent`, `vswitchd` ..., all nodes together) since some moment. */
export function stopwatch(lab: TestLab): () => ReadonlyMap<string, number> {
  const processes = labProcesses(lab);
  const read = (): Map<string, number> => {
    const times = new Map<string, number>();
    const add = (kind: string, seconds: number): void => void times.set(kind, (times.get(kind) ?? 0) + seconds);
    for (const [name, pid] of processes) {
      const kind = name.slice(name.indexOf('.') + 1);
      const { own, children } = processorTime(pid);
      add(kind, own);
      if (children > 0) add(`${kind}-children`, children);
    }
    return times;
  };
  const before = read();
  return () => new Map([...read()].map(([kind, seconds]) => [kind, seconds - (before.get(kind) ?? 0)]));
}
