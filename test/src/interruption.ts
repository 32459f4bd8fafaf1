import type { TestLab } from './lab.ts';
import { ProcessLog } from './process-log.ts';

/** Names of all processes of the product in a lab: the controller and the agents. */
function ourProcesses(lab: TestLab): readonly string[] {
  return ['controller', ...lab.nodes.map((node) => `${node}.agent`)];
}

/** kill -9 of the controller and all agents. */
export async function killOurs(lab: TestLab): Promise<void> {
  await Promise.all(ourProcesses(lab).map((name) => lab.killProcess(name)));
}

/** SIGTERM to the controller and all agents; returns when they are gone. */
export async function stopOurs(lab: TestLab): Promise<void> {
  await Promise.all(ourProcesses(lab).map((name) => lab.stopProcess(name)));
}

/** Starts the controller and all agents; returns when the controller has compared everything and the agents serve. */
export async function startOurs(lab: TestLab): Promise<void> {
  const log = new ProcessLog(lab, 'controller');
  await Promise.all(ourProcesses(lab).map((name) => lab.startProcess(name)));
  await log.waitFor('in control', 60_000);
}

/** Starts the controller alone; returns when it has compared everything. */
export async function startController(lab: TestLab): Promise<void> {
  const log = new ProcessLog(lab, 'controller');
  await lab.startProcess('controller');
  await log.waitFor('in control', 60_000);
}
