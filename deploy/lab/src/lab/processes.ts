import { northboundServer, northd, southboundServer } from '../fabric/central.ts';
import { nodeController, nodeDatabase, nodeSwitch } from '../fabric/node.ts';
import { LabError } from './error.ts';
import { agent, apiServer, controller, kubelet } from './kubernetes.ts';
import { type LabState, layoutOf } from './layout.ts';
import type { ProcessSpec } from './process.ts';

/** All processes of a lab, in an order in which they can be started one by one. A pure function of `lab.json`. */
export function processesOf(state: LabState): readonly ProcessSpec[] {
  const layout = layoutOf(state.directory);
  const cluster = state.options.fabricOnly
    ? []
    : [
        apiServer(state, layout),
        kubelet(state, layout),
        controller(state, layout),
        ...state.nodes.map((node) => agent(state, layout, node)),
      ];
  return [
    northboundServer(state, layout),
    southboundServer(state, layout),
    northd(state, layout),
    ...state.nodes.flatMap((node) => [
      nodeDatabase(layout, node),
      nodeSwitch(layout, node),
      nodeController(layout, node),
    ]),
    ...cluster,
  ];
}

/**
 * The process of that name.
 * @throws LabError `unknown-name`
 */
export function processOf(state: LabState, name: string): ProcessSpec {
  const all = processesOf(state);
  const found = all.find((spec) => spec.name === name);
  if (found === undefined)
    throw new LabError('unknown-name', `no process ${name}; this lab has ${all.map((spec) => spec.name).join(', ')}`);
  return found;
}

/** Whether `lab up --without` leaves the process out: by its name, or by its kind (the part after the node). */
export function leftOut(without: readonly string[], name: string): boolean {
  return without.includes(name) || without.includes(name.slice(name.indexOf('.') + 1));
}

/**
 * Checks that `lab up --without` names processes that the lab would have.
 * @throws LabError `bad-option`
 */
export function checkWithout(state: LabState): void {
  const names = processesOf(state).map((spec) => spec.name);
  for (const wanted of state.options.without) {
    if (names.some((name) => leftOut([wanted], name))) continue;
    throw new LabError('bad-option', `--without ${wanted}: no such process; this lab has ${names.join(', ')}`);
  }
}
