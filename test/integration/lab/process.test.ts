import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { liveProcess, ProcessManager, type ProcessSpec, RecordDirectory, waitFor } from '@ovenbird/deploy';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let directory: string;
let manager: ProcessManager;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ovenbird-process-'));
  manager = new ProcessManager(new RecordDirectory(join(directory, 'run')));
});

afterEach(async () => {
  for (const record of manager.records.all()) await manager.stop(record.name, 100);
  rmSync(directory, { recursive: true, force: true });
});

function shell(name: string, script: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    name,
    argv: ['sh', '-c', script],
    logFile: join(directory, `${name}.log`),
    ready: () => true,
    deadline: 10_000,
    ...more,
  };
}

function alive(pid: number): boolean {
  return liveProcess(pid) !== undefined;
}

describe('start', () => {
  test('records the process, waits until it is ready, and a second start leaves it alone', async () => {
    const file = join(directory, 'here');
    const spec = shell('a', `sleep 0.05; echo yes > ${file}; exec sleep 1000`, {
      ready: () => {
        try {
          return readFileSync(file, 'utf8') === 'yes\n';
        } catch {
          return 'no file yet';
        }
      },
    });
    await manager.start(spec);
    expect(readFileSync(file, 'utf8')).toBe('yes\n');
    const record = manager.records.get('a');
    expect(record).toMatchObject({ name: 'a', argv: spec.argv, logFile: spec.logFile });
    expect(manager.state('a')).toBe('running');
    await manager.start(spec);
    expect(manager.records.get('a')).toEqual(record);
  });

  test('a process that ends while starting is an error with the end of its log', async () => {
    const spec = shell('b', 'echo no such luck >&2; exit 3', { ready: () => 'not ready' });
    await expect(manager.start(spec)).rejects.toThrow(/b ended while starting \(exit 3\)[^]*no such luck/);
    expect(manager.state('b')).toBe('dead');
  });

  test('a deadline that passes is an error that names the last state', async () => {
    const spec = shell('c', 'exec sleep 1000', { ready: () => 'still cold', deadline: 50 });
    await expect(manager.start(spec)).rejects.toThrow(/start of c: not after 0.1 s \(last state: still cold\)/);
  });

  test('the variables that point tools at a lab do not reach the process', async () => {
    process.env['OVN_NB_DB'] = 'unix:/elsewhere';
    try {
      const file = join(directory, 'env');
      const spec = shell('d', `env > ${file}.new; mv ${file}.new ${file}; exec sleep 1000`, {
        env: { OVS_RUNDIR: '/x' },
      });
      await manager.start(spec);
      const text = await waitFor('the environment', () => readIfThere(file), { deadline: 10_000 });
      expect(text.lines).not.toContain('OVN_NB_DB=unix:/elsewhere');
      expect(text.lines).toContain('OVS_RUNDIR=/x');
    } finally {
      delete process.env['OVN_NB_DB'];
    }
  });
});

function readIfThere(file: string): { readonly lines: readonly string[] } | undefined {
  try {
    return { lines: readFileSync(file, 'utf8').split('\n') };
  } catch {
    return undefined;
  }
}

describe('stop and kill', () => {
  test('stop ends a process that ignores SIGTERM, and forgets it', async () => {
    await manager.start(shell('a', `trap '' TERM; while :; do sleep 0.05; done`));
    const pid = manager.records.get('a')?.pid ?? 0;
    await manager.stop('a', 100);
    expect(alive(pid)).toBe(false);
    expect(manager.state('a')).toBe('stopped');
    await manager.stop('a');
  });

  test('kill leaves the record, so that the process shows as dead', async () => {
    await manager.start(shell('a', 'exec sleep 1000'));
    await manager.kill('a', 'SIGKILL');
    expect(manager.state('a')).toBe('dead');
    await expect(manager.kill('a', 'SIGKILL')).rejects.toThrow('a does not run');
  });

  test('a used-again process id is somebody else: neither shown as running nor ended', async () => {
    await manager.start(shell('a', 'exec sleep 1000'));
    const record = manager.records.get('a');
    expect(record).toBeDefined();
    if (record === undefined) return;
    manager.records.put({ ...record, name: 'b', startTime: record.startTime - 1 });
    expect(manager.state('b')).toBe('dead');
    await manager.stop('b');
    expect(alive(record.pid)).toBe(true);
  });

  test('a pid file that names a foreign process is not believed', async () => {
    await manager.start(shell('a', 'exec sleep 1000'));
    const record = manager.records.get('a');
    expect(record).toBeDefined();
    if (record === undefined) return;
    const workerPidFile = join(directory, 'worker.pid');
    writeFileSync(workerPidFile, `${record.pid}\n`);
    manager.records.put({ ...record, name: 'b', pid: 1 << 22, workerPidFile });
    await manager.stop('b');
    expect(alive(record.pid)).toBe(true);
  });
});
