import { describe, expect, test } from 'vitest';
import { parseConfig } from './config.ts';
import { exitStatus, parseExecQuery } from './exec.ts';
import { netnsName } from './pod-record.ts';
import { parseResults } from './prober.ts';
import { exitOf, isAlive, startTicks } from './process.ts';
import { Semaphore } from './semaphore.ts';

describe('exec', () => {
  test('query: a terminal has no separate error stream', () => {
    const query = new URLSearchParams('command=sh&command=-c&command=x&stdin=true&stdout=1&stderr=true&tty=true');
    expect(parseExecQuery(query)).toEqual({
      command: ['sh', '-c', 'x'],
      stdin: true,
      stdout: true,
      stderr: false,
      tty: true,
    });
    expect(() => parseExecQuery(new URLSearchParams())).toThrow(/at least one command/);
  });

  test('the exit code travels in the causes', () => {
    expect(exitStatus(0)).toEqual({ metadata: {}, status: 'Success' });
    expect(exitStatus(3)).toMatchObject({ details: { causes: [{ reason: 'ExitCode', message: '3' }] } });
    expect(exitOf(null, 'SIGKILL')).toEqual({ exitCode: 137, signal: 9 });
  });
});

test('prober results keep the order of the probes', () => {
  const results = parseResults('2 closed 1.5 ECONNREFUSED\n1 open 0.3 web 0\n', 2);
  expect(results).toEqual([
    { verdict: 'open', ms: 0.3, text: 'web 0' },
    { verdict: 'closed', ms: 1.5, text: 'ECONNREFUSED' },
  ]);
  expect(() => parseResults('1 open 1 \n', 2)).toThrow('no answer to probe 2 of 2');
  expect(() => parseResults('1 maybe 1 \n', 1)).toThrow(/maybe/);
});

test('a semaphore lets so many in, in order', async () => {
  const places = new Semaphore(2);
  const releases = [await places.acquire(), await places.acquire()];
  const order: number[] = [];
  const third = places.acquire().then((release) => (order.push(3), release));
  const fourth = places.acquire().then((release) => (order.push(4), release));
  expect(order).toEqual([]);
  releases[0]?.();
  releases[0]?.(); // a second call gives nothing back
  const release = await third;
  expect(order).toEqual([3]);
  release();
  await fourth;
  expect(order).toEqual([3, 4]);
});

test('processes are told apart by their start', () => {
  const ticks = startTicks(process.pid) ?? '';
  expect(ticks).toMatch(/^\d+$/);
  expect(isAlive({ pid: process.pid, startTicks: ticks })).toBe(true);
  expect(isAlive({ pid: process.pid, startTicks: '1' })).toBe(false);
  expect(startTicks(2 ** 22 + 1)).toBeUndefined();
});

test('namespace names are short and depend on the UID only', () => {
  expect(netnsName('ovenbird-pod', 'a')).toMatch(/^ovenbird-pod-[0-9a-f]{12}$/);
  expect(netnsName('ovenbird-pod', 'a')).not.toBe(netnsName('ovenbird-pod', 'b'));
});

test('configuration: defaults, and every mistake is named', () => {
  const node = { name: 'n', netns: 'x', cniBin: '/b', cniConf: '/c', addresses: ['192.0.2.1'] };
  const good = { kubeconfig: '/k', nodes: [node], socket: '/s', stateDir: '/d', podNetnsPrefix: 'p' };
  expect(parseConfig(good)).toMatchObject({ cniConcurrency: 16, logLevel: 'info' });
  expect(() => parseConfig({ ...good, nodes: [], podNetnsPrefix: 'a/b', extra: 1 })).toThrow(
    /nodes[\s\S]*podNetnsPrefix|podNetnsPrefix[\s\S]*nodes/,
  );
});
