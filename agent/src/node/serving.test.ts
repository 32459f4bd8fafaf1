import { beforeEach, describe, expect, test } from 'vitest';
import { Serving } from './serving.ts';

describe('whether a node is in service', () => {
  let now = 0;
  let problem: string | undefined;
  let did: string[] = [];
  const make = (installed: boolean): Serving =>
    new Serving({
      installed,
      problem: () => problem,
      graceMs: 1000,
      install: () => Promise.resolve(void did.push('install')),
      uninstall: () => Promise.resolve(void did.push('uninstall')),
      again: () => {},
      onChange: (reason) => did.push(reason ?? 'serves'),
      log: { info: () => {}, warn: () => {} },
      now: () => now,
    });

  beforeEach(() => {
    now = 0;
    problem = undefined;
    did = [];
  });

  test('is put into service once', async () => {
    const serving = make(false);
    await serving.reconcile();
    await serving.reconcile();
    expect(did).toEqual(['install', 'serves']);
    expect(serving.serves).toBe(true);
  });

  test('a short problem changes nothing; a lasting one takes it out, a new reason is told, the end puts it back', async () => {
    const serving = make(false);
    await serving.reconcile();
    did = [];
    problem = 'no vswitchd';
    await serving.reconcile();
    now = 900;
    problem = undefined;
    await serving.reconcile();
    problem = 'no vswitchd';
    await serving.reconcile();
    now = 1899;
    await serving.reconcile();
    expect(did).toEqual([]);
    now = 1900;
    await serving.reconcile();
    await serving.reconcile();
    problem = 'no ovn-controller';
    await serving.reconcile();
    problem = undefined;
    await serving.reconcile();
    expect(did).toEqual(['uninstall', 'no vswitchd', 'no ovn-controller', 'install', 'serves']);
  });

  test('what an earlier agent installed stays for the grace time', async () => {
    problem = 'the agent is starting';
    const serving = make(true);
    await serving.reconcile();
    expect(serving.serves).toBeUndefined();
    now = 1000;
    await serving.reconcile();
    expect(did).toEqual(['uninstall', 'the agent is starting']);
  });
});
