import { spawn } from 'node:child_process';
import { AgentError } from '../error.ts';

/** How {@link run} starts a program. */
export interface RunOptions {
  /** Text for standard input (default: empty). */
  readonly input?: string;
  /** Aborting kills the program. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which a hanging program is killed (default 20 s: none of ours takes more than some ms). */
  readonly timeoutMs?: number;
}

/** How a program ended. */
export interface RunResult {
  /** Exit status, or -1 when a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program without a shell and collects its output.
 * @throws AgentError `host-command` when it cannot be started (not installed, no permission) or was killed.
 */
export function runRaw(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? 20_000);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], signal });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (cause) => {
      reject(new AgentError('host-command', `cannot run ${file} ${args.join(' ')}: ${cause.message}`, { cause }));
    });
    child.on('close', (status) => {
      resolve({ status: status ?? -1, stdout, stderr });
    });
    // A program that ends before reading its input breaks the pipe; its exit status says more than EPIPE would.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

/**
 * Runs a program that must succeed and returns its standard output.
 * @throws AgentError `host-command` with what the program wrote on stderr. For `ip -batch -` the message quotes the
 *   line that failed (ip prints `Command failed -:LINE`).
 */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await runRaw(file, args, options);
  if (result.status === 0) return result.stdout;
  const line = /Command failed -:(\d+)/.exec(result.stderr)?.[1];
  const command =
    line === undefined
      ? `${file} ${args.join(' ')}`
      : `ip ${(options.input ?? '').split('\n')[Number(line) - 1] ?? ''}`;
  const reason = result.stderr.replace(/Command failed -:\d+/g, '').trim();
  throw new AgentError('host-command', `${command}: ${reason === '' ? `exit status ${result.status}` : reason}`);
}
