import { beforeEach, describe, expect, test } from 'vitest';
import { Serving } from './serving.ts';

describe('whether a node is in service', () => {
  let now = 0;
  let problem: string | undefined;
  let unproven: string | undefined;
  let did: string[] = [];
  let changed = false;
  const make = (installed: boolean | (() => boolean)): Serving =>
    new Serving({
      installed: typeof installed === 'boolean' ? () => installed : installed,
      problem: () => problem,
      unproven: () => Promise.resolve(unproven),
      graceMs: 1000,
      install: () => Promise.resolve(void did.push('install')),
      uninstall: () => Promise.resolve(void did.push('uninstall')),
      mend: () => Promise.resolve(changed),
      again: () => {},
      onChange: (reason) => did.push(reason ?? 'serves'),
      log: {
        info: () => {},
        warn: (said: unknown) => void did.push(typeof said === 'string' ? said : 'out of service'),
      },
      now: () => now,
    });

  beforeEach(() => {
    now = 0;
    problem = undefined;
    unproven = undefined;
    did = [];
    changed = false;
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
    expect(did.filter((line) => !line.startsWith('out of service'))).toEqual([
      'uninstall',
      'no vswitchd',
      'no ovn-controller',
      'install',
      'serves',
    ]);
  });

  test('what somebody else changed is mended, while the node serves', async () => {
    const serving = make(false);
    changed = true;
    await serving.reconcile();
    expect(did).toEqual(['install', 'serves']);
    await serving.reconcile();
    expect(did.slice(2)).toEqual(['somebody changed or removed the CNI configuration or plugin: written anew']);
    problem = 'no vswitchd';
    await serving.reconcile();
    expect(did).toHaveLength(3);
  });

  test('is put into service when OVN is proven to work; one that serves needs no proof', async () => {
    unproven = 'not connected';
    const serving = make(false);
    await serving.reconcile();
    expect(did).toEqual([]);
    now = 1000;
    await serving.reconcile();
    expect(did).toEqual(['out of service', 'not connected']);
    unproven = undefined;
    await serving.reconcile();
    unproven = 'not connected';
    await serving.reconcile();
    expect(did.slice(2)).toEqual(['install', 'serves']);
    did = [];
    await make(true).reconcile();
    expect(did).toEqual(['install', 'serves']);
  });

  test('a configuration of before the boot, removed at the start, spares no proof', async () => {
    let stands = true;
    const serving = make(() => stands);
    stands = false;
    unproven = 'not connected';
    await serving.reconcile();
    expect(did).toEqual([]);
    unproven = undefined;
    await serving.reconcile();
    expect(did).toEqual(['install', 'serves']);
  });

  test('what an earlier agent installed stays for the grace time', async () => {
    problem = 'the agent is starting';
    const serving = make(true);
    await serving.reconcile();
    expect(serving.serves).toBeUndefined();
    now = 1000;
    await serving.reconcile();
    expect(did.filter((line) => !line.startsWith('out of service'))).toEqual(['uninstall', 'the agent is starting']);
  });
});
