import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LabState, Layout } from '../lab/layout.ts';
import type { ProcessSpec } from '../lab/process.ts';
import { accepts } from '../lab/wait.ts';
import { underlay } from './addresses.ts';
import { identity } from './pki.ts';
import { run } from './run.ts';

/** Name of the southbound server's certificate. */
export const southboundIdentity = 'ovnsb';

/** Longest start of a daemon, in milliseconds: far more than it takes, since a busy machine is no error. */
export const daemonDeadline = 30_000;

/**
 * On a machine that runs a cluster, compilers and tests at once a healthy peer may be silent for longer than OVSDB's
 * default of 5 s; a probe that fires then would cut the connection and make the load worse.
 */
export const probeMs = 60_000;

/** The options that every Open vSwitch and OVN daemon of the lab gets: quiet on stderr, all else into its log file. */
export function daemonOptions(logFile: string, pidFile: string): readonly string[] {
  return ['-vconsole:off', '-vsyslog:off', '-vfile:info', `--log-file=${logFile}`, `--pidfile=${pidFile}`];
}

/** Ready when the socket accepts connections: ovsdb-server listens after it has loaded its database. */
export async function socketReady(path: string): Promise<true | string> {
  if (!existsSync(path)) return `${path} does not exist`;
  return (await accepts({ path })) || `nobody listens on ${path}`;
}

/**
 * On a cluster northd, the southbound server and each ovn-controller have cores of their own. Here they share a few with
 * everything else, and what they do follows a pod's announcement: it must not hold that up.
 */
export const laterNiceness = 10;

function databaseServer(
  state: LabState,
  layout: Layout,
  server: {
    readonly name: string;
    readonly socket: string;
    readonly file: string;
    readonly options: readonly string[];
    readonly niceness?: number;
  },
): ProcessSpec {
  const logFile = join(layout.log, `${server.name}.log`);
  const pidFile = join(layout.central.directory, `${server.name}.pid`);
  return {
    name: server.name,
    namespace: state.namespaces.fabric,
    logFile,
    argv: [
      'ovsdb-server',
      ...daemonOptions(logFile, pidFile),
      `--unixctl=${join(layout.central.directory, `${server.name}.ctl`)}`,
      `--remote=punix:${server.socket}`,
      ...server.options,
      server.file,
    ],
    env: { OVN_RUNDIR: layout.central.directory, OVS_RUNDIR: layout.central.directory },
    stale: [server.socket, pidFile],
    ready: () => socketReady(server.socket),
    deadline: daemonDeadline,
    ...(server.niceness !== undefined && { niceness: server.niceness }),
  };
}

/** The northbound database: a unix socket only. */
export function northboundServer(state: LabState, layout: Layout): ProcessSpec {
  const { northbound: socket, northboundFile: file } = layout.central;
  return databaseServer(state, layout, { name: 'ovnnb', socket, file, options: [] });
}

/** The southbound database: a unix socket, and mutual TLS for the nodes. */
export function southboundServer(state: LabState, layout: Layout): ProcessSpec {
  const { southbound: socket, southboundFile: file } = layout.central;
  const { key, cert, ca } = identity(layout.pki, southboundIdentity);
  const options = [
    '--remote=db:OVN_Southbound,SB_Global,connections',
    `--private-key=${key}`,
    `--certificate=${cert}`,
    `--ca-cert=${ca}`,
  ];
  return databaseServer(state, layout, { name: 'ovnsb', socket, file, options, niceness: laterNiceness });
}

/** Opens the southbound database for the nodes. */
export async function openSouthbound(layout: Layout, signal?: AbortSignal): Promise<void> {
  const { southboundPort, ipv4 } = underlay;
  const db = `--db=unix:${layout.central.southbound}`;
  const connection = ['set-connection', `pssl:${southboundPort}:${ipv4}`];
  const probe = ['set', 'connection', '.', `inactivity_probe=${probeMs}`];
  await run(['ovn-sbctl', db, '--timeout=20', ...connection, '--', ...probe], { signal });
}

/** What the nodes put into `ovn-remote`. */
export const southboundRemote: string = `ssl:${underlay.ipv4}:${underlay.southboundPort}`;

/** ovn-northd. */
export function northd(state: LabState, layout: Layout): ProcessSpec {
  const logFile = join(layout.log, 'northd.log');
  const { directory } = layout.central;
  const pidFile = join(directory, 'ovn-northd.pid');
  const control = join(directory, 'ovn-northd.ctl');
  return {
    name: 'northd',
    namespace: state.namespaces.fabric,
    logFile,
    argv: [
      'ovn-northd',
      ...daemonOptions(logFile, pidFile),
      `--unixctl=${control}`,
      `--ovnnb-db=unix:${layout.central.northbound}`,
      `--ovnsb-db=unix:${layout.central.southbound}`,
    ],
    env: { OVN_RUNDIR: directory, OVS_RUNDIR: directory },
    stale: [control, pidFile],
    ready: () => socketReady(control),
    deadline: daemonDeadline,
    niceness: laterNiceness,
  };
}
