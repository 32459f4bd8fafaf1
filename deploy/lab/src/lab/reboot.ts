import { utimesSync } from 'node:fs';
import { addNamespaces, listNamespaces, removeNamespaces } from '../fabric/namespaces.ts';
import { replugNode } from '../fabric/underlay.ts';
import { findConflist } from '../kubelet/cni.ts';
import { RecordStore } from '../kubelet/pod-record.ts';
import { startProcess, stopProcess } from './control.ts';
import { LabError } from './error.ts';
import { layoutOf } from './layout.ts';
import { managerOf } from './manager.ts';
import { requireState } from './state.ts';

/** A node's processes, in an order in which they can be started. */
const parts = ['ovsdb', 'vswitchd', 'ovn-controller', 'agent'] as const;

/**
 * Takes a node's power away and gives it back: its processes are killed, its network namespace and those of its pods go, and
 * only its disk stays (the Open_vSwitch database, the CNI configuration). The kubelet, which serves all nodes, starts again and
 * makes the node's pods anew.
 * @throws LabError `unknown-name`, `not-ready`
 */
export async function rebootNode(directory: string, name: string): Promise<void> {
  const state = requireState(directory);
  const node = state.nodes.find((candidate) => candidate.name === name);
  if (node === undefined)
    throw new LabError(
      'unknown-name',
      `no node ${name}; this lab has ${state.nodes.map((candidate) => candidate.name).join(', ')}`,
    );
  const layout = layoutOf(directory);
  const manager = managerOf(directory);
  await stopProcess(directory, 'kubelet');
  for (const part of [...parts].reverse()) {
    const process = `${name}.${part}`;
    if (manager.worker(process) !== undefined) await manager.kill(process, 'SIGKILL');
    await stopProcess(directory, process);
  }
  const pods = new RecordStore(layout.kubelet)
    .load((problem) => {
      throw new LabError('not-ready', problem);
    })
    .filter((record) => record.node === name && !record.hostNetwork)
    .map((record) => record.netns);
  const there = new Set(listNamespaces());
  await removeNamespaces([node.namespace, ...pods.filter((netns) => there.has(netns))]);
  // What stands on the disk is older than this boot.
  const conflist = findConflist(layout.node(name).cniConf);
  if (conflist !== undefined) utimesSync(conflist, 0, 0);

  await addNamespaces([node.namespace]);
  await replugNode(state.namespaces.fabric, node);
  for (const part of parts) await startProcess(directory, `${name}.${part}`);
  await startProcess(directory, 'kubelet');
}
