import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabNode, Layout } from '../lab/layout.ts';
import type { ProcessSpec } from '../lab/process.ts';
import { nodeLinks } from './addresses.ts';
import { daemonDeadline, daemonOptions, laterNiceness, probeMs, socketReady, southboundRemote } from './central.ts';
import { identity } from './pki.ts';
import { run } from './run.ts';
import { addressNode } from './underlay.ts';

function nodeEnvironment(layout: Layout, node: LabNode): Record<string, string> {
  const { run: directory } = layout.node(node.name);
  return { OVS_RUNDIR: directory, OVN_RUNDIR: directory };
}

/** Ready when the daemon answers on its control socket, `<program>.<pid>.ctl` beside its `<program>.pid`. */
async function controlReady(pidFile: string): Promise<true | string> {
  let pid: string;
  try {
    pid = readFileSync(pidFile, 'utf8').trim();
  } catch {
    return `${pidFile} does not exist`;
  }
  return await socketReady(pidFile.replace(/\.pid$/, `.${pid}.ctl`));
}

/** The node's Open_vSwitch database. */
export function nodeDatabase(layout: Layout, node: LabNode): ProcessSpec {
  const files = layout.node(node.name);
  const logFile = join(layout.log, `${node.name}.ovsdb.log`);
  const pidFile = join(files.run, 'ovsdb-server.pid');
  return {
    name: `${node.name}.ovsdb`,
    namespace: node.namespace,
    logFile,
    argv: ['ovsdb-server', ...daemonOptions(logFile, pidFile), `--remote=punix:${files.db}`, files.dbFile],
    env: nodeEnvironment(layout, node),
    stale: [files.db, pidFile],
    ready: () => socketReady(files.db),
    deadline: daemonDeadline,
  };
}

/** The node's switch, with the userspace datapath. Its monitor starts it again after a crash, as on a real machine. */
export function nodeSwitch(layout: Layout, node: LabNode): ProcessSpec {
  const files = layout.node(node.name);
  const logFile = join(layout.log, `${node.name}.vswitchd.log`);
  const pidFile = join(files.run, 'ovs-vswitchd.pid');
  return {
    name: `${node.name}.vswitchd`,
    namespace: node.namespace,
    logFile,
    argv: ['ovs-vswitchd', '--monitor', ...daemonOptions(logFile, pidFile), `unix:${files.db}`],
    env: nodeEnvironment(layout, node),
    workerPidFile: pidFile,
    stale: [pidFile],
    ready: () => controlReady(pidFile),
    deadline: daemonDeadline,
  };
}

/** The node's ovn-controller. It waits by itself for an `ovn-remote` in the node's database. */
export function nodeController(layout: Layout, node: LabNode): ProcessSpec {
  const files = layout.node(node.name);
  const logFile = join(layout.log, `${node.name}.ovn-controller.log`);
  const pidFile = join(files.run, 'ovn-controller.pid');
  return {
    name: `${node.name}.ovn-controller`,
    namespace: node.namespace,
    logFile,
    argv: ['ovn-controller', ...daemonOptions(logFile, pidFile), `unix:${files.db}`],
    env: nodeEnvironment(layout, node),
    stale: [pidFile],
    ready: () => controlReady(pidFile),
    deadline: daemonDeadline,
    niceness: laterNiceness,
  };
}

/** Runs ovs-vsctl commands, joined into one transaction, on a node's database. */
async function vsctl(
  layout: Layout,
  node: LabNode,
  commands: readonly (readonly string[])[],
  signal?: AbortSignal,
): Promise<void> {
  const joined = commands.flatMap((command, at) => (at === 0 ? command : ['--', ...command]));
  await run(['ovs-vsctl', `--db=unix:${layout.node(node.name).db}`, '--timeout=30', ...joined], { signal });
}

/**
 * The part of the node's configuration that belongs to the machine rather than to Ovenbird: the uplink bridge with the
 * node's address and the certificates. Repeatable.
 */
export async function configureNode(layout: Layout, node: LabNode, signal?: AbortSignal): Promise<void> {
  const { key, cert, ca } = identity(layout.pki, node.name);
  const { bridge, nic } = nodeLinks;
  const hwaddr = `other_config:hwaddr="${node.addresses.mac}"`;
  await vsctl(
    layout,
    node,
    [
      ['set-ssl', key, cert, ca],
      ['--may-exist', 'add-br', bridge],
      ['set', 'Bridge', bridge, 'datapath_type=netdev', 'fail_mode=standalone', hwaddr],
      ['--may-exist', 'add-port', bridge, nic],
      ['set', 'Open_vSwitch', '.', `external_ids:ovn-remote-probe-interval=${probeMs}`],
    ],
    signal,
  );
  await addressNode(node, signal);
}

/** Makes the node an OVN chassis, in a lab without agents, which otherwise do this. Repeatable. */
export async function configureChassis(layout: Layout, node: LabNode, signal?: AbortSignal): Promise<void> {
  const values = {
    'system-id': node.name,
    hostname: node.name,
    'ovn-remote': southboundRemote,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': node.addresses.ipv4,
    'ovn-bridge-datapath-type': 'netdev',
  };
  const columns = Object.entries(values).map(([key, value]) => `external_ids:${key}=${value}`);
  await vsctl(layout, node, [['set', 'Open_vSwitch', '.', ...columns]], signal);
}
