import { layoutOf } from './layout.ts';
import { ProcessManager } from './process.ts';
import { RecordDirectory } from './record.ts';
import { readState } from './state.ts';

/** The process manager of a lab. */
export function managerOf(directory: string): ProcessManager {
  return new ProcessManager(new RecordDirectory(layoutOf(directory).run));
}

/** Whether a lab was brought up there and something of it still runs. */
export function isUp(directory: string): boolean {
  if (readState(directory)?.phase !== 'up') return false;
  const manager = managerOf(directory);
  return manager.records.all().some((record) => manager.state(record.name) === 'running');
}
