import { configureNode } from '../fabric/node.ts';
import { layoutOf } from './layout.ts';
import { managerOf } from './manager.ts';
import { processOf } from './processes.ts';
import { requireState } from './state.ts';

/**
 * Starts one process of a lab and waits until it is ready.
 * @throws LabError `unknown-name`, `not-running` (no lab), `not-ready`
 */
export async function startProcess(directory: string, name: string): Promise<void> {
  const state = requireState(directory);
  await managerOf(directory).start(processOf(state, name));
  // The uplink bridge is a tap device of vswitchd: when it went away with the process, so did its addresses.
  const node = state.nodes.find((candidate) => `${candidate.name}.vswitchd` === name);
  if (node !== undefined) await configureNode(layoutOf(directory), node);
}

/** Ends one process of a lab in good order. No error when it does not run. @throws LabError `unknown-name` */
export async function stopProcess(directory: string, name: string): Promise<void> {
  await managerOf(directory).stop(processOf(requireState(directory), name).name);
}

/** {@link stopProcess}, then {@link startProcess}. */
export async function restartProcess(directory: string, name: string): Promise<void> {
  await stopProcess(directory, name);
  await startProcess(directory, name);
}
