import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** An example that goes on until it is interrupted. */
export interface ExampleProcess {
  /** What it has printed. */
  readonly lines: readonly string[];
  /** Interrupts it and returns its exit code. */
  readonly end: () => Promise<unknown>;
}

const children: ChildProcess[] = [];

/** Starts a program of an `examples/` folder. @param argv file and arguments */
export function startExample(...argv: readonly string[]): ExampleProcess {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const exited = once(child, 'exit');
  const lines: string[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return {
    lines,
    end: async () => {
      child.kill('SIGTERM');
      return (await exited)[0] as unknown;
    },
  };
}

/** Ends those that a test left running. */
export async function endExamples(): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}
