import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

/** How long a daemon may take to answer, milliseconds. */
const ANSWER_MS = 2000;

/** What came of asking a daemon. */
export type DaemonAnswer =
  /** It said so. */
  | { readonly state: 'answered'; readonly text: string }
  /** It runs but is busy: vswitchd while it reconfigures, ovn-controller while it computes. */
  | { readonly state: 'silent' }
  /** No control socket, or nobody behind it. */
  | { readonly state: 'absent' };

/** One request and its reply in the JSON-RPC of ovs-appctl(8); a command that fails answers with its error text. */
function ask(socket: string, command: string, deadlineMs: number): Promise<DaemonAnswer> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    let text = '';
    const settle = (answer: DaemonAnswer): void => {
      clearTimeout(timer);
      connection.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle({ state: 'silent' }), deadlineMs);
    connection.on('connect', () => connection.write(JSON.stringify({ id: 0, method: command, params: [] })));
    connection.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      try {
        const { result, error } = JSON.parse(text) as { result: unknown; error: unknown };
        settle({ state: 'answered', text: String(result ?? error).trim() });
      } catch {
        // Not complete yet.
      }
    });
    connection.on('error', () => settle({ state: 'absent' }));
    connection.on('close', () => settle({ state: 'absent' }));
  });
}

/**
 * Asks a daemon of Open vSwitch or OVN on its control socket `<directory>/<program>.<pid>.ctl`. Sockets left by processes
 * that were killed are passed over.
 * @param command as for ovs-appctl(8), without arguments
 */
export async function askDaemon(
  directory: string,
  program: string,
  command: string,
  deadlineMs: number = ANSWER_MS,
): Promise<DaemonAnswer> {
  const names = await readdir(directory).catch(() => []);
  const sockets = names.filter(
    (name) => name.startsWith(`${program}.`) && /^\d+\.ctl$/.test(name.slice(program.length + 1)),
  );
  const answers = await Promise.all(sockets.map((name) => ask(join(directory, name), command, deadlineMs)));
  return (
    answers.find(({ state }) => state === 'answered') ??
    answers.find(({ state }) => state === 'silent') ?? { state: 'absent' }
  );
}
