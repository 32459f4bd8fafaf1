import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { maxNodes, nodeAddresses } from '../fabric/addresses.ts';
import { labNames, nodeName, nodeNamespace } from '../fabric/names.ts';
import { LabError } from './error.ts';
import { type LabOptions, type LabState, layoutOf } from './layout.ts';

/**
 * The state of a lab to be: all its names and addresses follow from the directory and the options.
 * @throws LabError `bad-option`
 */
export function planState(directory: string, options: LabOptions): LabState {
  if (!Number.isInteger(options.nodes) || options.nodes < 1 || options.nodes > maxNodes)
    throw new LabError('bad-option', `--nodes must be a number from 1 to ${maxNodes}`);
  // sockaddr_un(7) holds 107 bytes; Open vSwitch gets around that for its own sockets, others do not.
  const longest = layoutOf(directory).node(nodeName(options.nodes)).querySocket;
  if (Buffer.byteLength(longest) > 107)
    throw new LabError('bad-option', `OVENBIRD_LAB=${directory} is too long for unix sockets; use a shorter directory`);
  const names = labNames(directory);
  return {
    version: 1,
    directory,
    phase: 'starting',
    options,
    namespaces: { fabric: names.fabric, podPrefix: names.podPrefix },
    nodes: Array.from({ length: options.nodes }, (_, at) => {
      const name = nodeName(at + 1);
      return { name, namespace: nodeNamespace(names, name), addresses: nodeAddresses(at + 1, options.dualStack) };
    }),
  };
}

/** Reads `lab.json`; `undefined` when there is no lab, or none that this version wrote. */
export function readState(directory: string): LabState | undefined {
  try {
    const state = JSON.parse(readFileSync(layoutOf(directory).state, 'utf8')) as LabState;
    return state.version === 1 ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Reads `lab.json`. @throws LabError `not-running` */
export function requireState(directory: string): LabState {
  const state = readState(directory);
  if (state === undefined)
    throw new LabError(
      'not-running',
      `no lab in ${directory}; start one with \`ovenbird lab up\`, or set OVENBIRD_LAB`,
    );
  return state;
}

/** Writes `lab.json`. */
export function writeState(state: LabState): void {
  const file = layoutOf(state.directory).state;
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}
