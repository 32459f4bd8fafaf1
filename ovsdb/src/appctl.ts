/** The control dialect of OVS and OVN daemons: what `ovs-appctl` speaks (unixctl: JSON-RPC 1.0 over a unix socket, texts in and out). */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { OvsdbError } from './error.ts';
import { openSession } from './protocol.ts';

/** How `appctl` finds and reaches a daemon. */
export interface AppctlOptions {
  /** Where daemons that are named, not given by path, keep pid file and socket. Default `$OVS_RUNDIR`, else /var/run/openvswitch. */
  readonly rundir?: string;
  /** Ends the wait for an answer. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the connection must stand. Default 5,000. */
  readonly timeoutMs?: number;
}

/**
 * Has a daemon carry out a command, as `ovs-appctl -t TARGET COMMAND ARGUMENTS...` does.
 * @param target path of the control socket (`/run/ovn/ovnnb_db.ctl`), or the daemon's name (`ovs-vswitchd`).
 * @returns what the command prints.
 * @throws OvsdbError `connect_failed`, `server_error` with the daemon's words in `serverError`, `disconnected`, `closed`.
 */
export async function appctl(
  target: string,
  command: string,
  args: readonly string[] = [],
  options: AppctlOptions = {},
): Promise<string> {
  const { signal, timeoutMs } = options;
  const path = await socketPath(target, options.rundir ?? process.env['OVS_RUNDIR'] ?? '/var/run/openvswitch');
  // A daemon may think for long, and knows no echo.
  const session = await openSession(`unix:${path}`, {
    probeIntervalMs: 0,
    ...(signal !== undefined && { signal }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  const stop = (): void => session.close(new OvsdbError('closed', `${command} was given up`));
  signal?.addEventListener('abort', stop);
  try {
    if (signal?.aborted === true) {
      stop();
    }
    const result = await session.call(command, args);
    if (typeof result !== 'string') {
      throw new OvsdbError('protocol_error', `the answer to ${command} is not a text`);
    }
    return result;
  } finally {
    signal?.removeEventListener('abort', stop);
    session.close(new OvsdbError('closed', 'done'));
  }
}

async function socketPath(target: string, rundir: string): Promise<string> {
  if (isAbsolute(target)) {
    return target;
  }
  const pidFile = join(rundir, `${target}.pid`);
  let pid: string;
  try {
    pid = (await readFile(pidFile, 'utf8')).trim();
  } catch (error) {
    throw new OvsdbError(
      'connect_failed',
      `${pidFile} cannot be read: is ${target} running? Else give the path of its control socket`,
      { cause: error },
    );
  }
  return join(rundir, `${target}.${pid}.ctl`);
}
