import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { managerOf, run, runAny, underlay } from '@ovenbird/deploy';
import type { TestLab } from '../lab.ts';
import type { SmallDisk } from './small-disk.ts';

/** Something that breaks, until it is mended. */
export interface Fault {
  /** For people: `kill ovnnb`. */
  readonly name: string;
  /** What it breaks: no two faults of a round break the same. */
  readonly target: string;
  /** Whether the API server answers meanwhile. */
  readonly apiAnswers: boolean;
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/** A process dies, and is started again. */
function killed(lab: TestLab, process: string): Fault {
  return {
    name: `kill ${process}`,
    target: process,
    apiAnswers: process !== 'apiserver',
    begin: () => lab.killProcess(process),
    end: () => lab.startProcess(process),
  };
}

/** A process is there but does nothing: its peers' sockets stay open and silent. */
function stopped(lab: TestLab, process: string): Fault {
  return {
    name: `stall ${process}`,
    target: process,
    apiAnswers: true,
    begin: () => lab.killProcess(process, 'SIGSTOP'),
    end: () => lab.killProcess(process, 'SIGCONT'),
  };
}

/** A central database server drops all its connections (ovsdb-server(1), `ovsdb-server/reconnect`). */
function databaseCut(name: string, control: string): Fault {
  return {
    name: `cut the connections of ${name}`,
    target: name,
    apiAnswers: true,
    begin: async () => {
      await run(['ovs-appctl', '--timeout=10', '-t', control, 'ovsdb-server/reconnect']);
    },
    end: nothing,
  };
}

/** Every TCP connection to a port of the fabric's address is reset at its next packet, and none can be made. */
function portCut(lab: TestLab, what: string, port: number): Fault {
  const table = `faults_${port}`;
  const ruleset = [
    `add table inet ${table}`,
    `add chain inet ${table} input { type filter hook input priority -10; }`,
    `add rule inet ${table} input tcp dport ${port} reject with tcp reset`,
  ];
  return {
    name: `reset connections to ${what}`,
    target: what,
    // People's listener on the loopback address is another one.
    apiAnswers: true,
    begin: async () => {
      await lab.outside('nft', ruleset.join('; '));
    },
    end: async () => {
      await lab.outside('nft', 'delete', 'table', 'inet', table);
    },
  };
}

/** A node's cable is pulled: what it sends is lost or late. */
function unplugged(lab: TestLab, node: string): Fault {
  const link = async (state: string): Promise<void> => {
    await lab.outside('ip', 'link', 'set', node, state);
  };
  return { name: `unplug ${node}`, target: node, apiAnswers: true, begin: () => link('down'), end: () => link('up') };
}

/** A node's database server drops all its connections: those of its agent, ovn-controller and ovs-vswitchd. */
function nodeDatabaseCut(lab: TestLab, node: string): Fault {
  const target = `${node}.ovsdb`;
  return {
    name: `cut the connections of ${target}`,
    target,
    apiAnswers: true,
    begin: async () => {
      const directory = lab.layout.node(node).run;
      const pid = readFileSync(join(directory, 'ovsdb-server.pid'), 'utf8').trim();
      const control = join(directory, `ovsdb-server.${pid}.ctl`);
      await run(['ovs-appctl', '--timeout=10', '-t', control, 'ovsdb-server/reconnect']);
    },
    end: nothing,
  };
}

/**
 * What is sent to a node crawls, and what waits longer than a second is lost (tc-tbf(8); the delays of tc-netem(8) are a module
 * that not every kernel has).
 */
function delayed(lab: TestLab, node: string): Fault {
  const discipline = async (verb: string, ...more: readonly string[]): Promise<void> => {
    await lab.outside('tc', 'qdisc', verb, 'dev', node, 'root', ...more);
  };
  return {
    name: `delay ${node}`,
    target: node,
    apiAnswers: true,
    begin: () => discipline('add', 'tbf', 'rate', '128kbit', 'burst', '2kb', 'latency', '1s'),
    end: () => discipline('del'),
  };
}

/** Control socket of a database server (ovsdb-server(8), `--unixctl`). */
const controlOf = (lab: TestLab, name: string): string => `${lab.layout.central.directory}/${name}.ctl`;

/** Nothing more can be written where the central databases are. */
function diskFull(lab: TestLab, disk: SmallDisk): Fault {
  // More than what is left of the last pages of the two files.
  const value = 'x'.repeat(16_384);
  const refused = async (
    server: string,
    write: (...argv: string[]) => Promise<string>,
    table: string,
  ): Promise<void> => {
    // One that another fault of the round has stalled or killed refuses nothing.
    const answer = await runAny(['ovs-appctl', '--timeout=5', '-t', controlOf(lab, server), 'version']);
    if (answer.code !== 0) return;
    const said = await write('set', table, '.', `external_ids:faults=${value}`).then(
      () => 'it was written',
      (error: unknown) => String(error),
    );
    if (!said.includes('No space left on device')) throw new Error(`${table} on a full disk: ${said.slice(0, 300)}`);
  };
  return {
    name: 'fill the disk of the central databases',
    target: 'disk',
    apiAnswers: true,
    begin: async () => {
      await disk.fill();
      await refused('ovnnb', (...argv) => lab.nbctl(...argv), 'NB_Global');
      await refused('ovnsb', (...argv) => lab.sbctl(...argv), 'SB_Global');
    },
    end: () => disk.free(),
  };
}

/** Everything that can break in a lab. @param disk where its central databases are, when that can be filled */
export function faultsOf(lab: TestLab, disk?: SmallDisk): readonly Fault[] {
  const { nodes } = lab;
  const daemons = nodes.flatMap((node) => [`${node}.agent`, `${node}.ovn-controller`]);
  const central = ['controller', 'northd', 'ovnnb', 'ovnsb'];
  return [
    ...[...central, 'apiserver', ...daemons].map((name) => killed(lab, name)),
    ...[...central, ...daemons].map((name) => stopped(lab, name)),
    ...['ovnnb', 'ovnsb'].map((name) => databaseCut(name, controlOf(lab, name))),
    portCut(lab, 'apiserver', underlay.apiPort),
    portCut(lab, 'ovnsb', underlay.southboundPort),
    ...nodes.flatMap((node) => [unplugged(lab, node), delayed(lab, node), nodeDatabaseCut(lab, node)]),
    ...(disk === undefined ? [] : [diskFull(lab, disk)]),
  ];
}

/** Starts what ended by itself, as the cluster would: a controller that could not renew its Lease ends (docs/operations.md). */
export async function supervise(lab: TestLab): Promise<void> {
  if (managerOf(lab.layout.directory).state('controller') === 'dead') await lab.startProcess('controller');
}
