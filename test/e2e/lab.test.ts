import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down, type LabOptions, managerOf, ownNamespaces, up } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** The lab itself, in a directory of its own: what it leaves where, what survives, and that it goes without a trace. */
describe('the lab', () => {
  const options: LabOptions = { nodes: 2, dualStack: true, fabricOnly: false, keepState: true, without: [] };
  const silent = (): void => undefined;
  const ns = 'lab';
  let directory: string;
  let lab: TestLab;

  const open = async (): Promise<TestLab> => {
    await up(directory, options, silent);
    return new TestLab(directory, () => Promise.resolve());
  };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ovenbird-lab-'));
    lab = await open();
  });

  afterAll(async () => {
    await down(directory, silent, false);
    rmSync(directory, { recursive: true, force: true });
  });

  test('listens in the root namespace on the loopback address only', () => {
    const server = /https:\/\/127\.0\.0\.1:(\d+)/.exec(readFileSync(lab.layout.kubeconfig, 'utf8'))?.[1];
    expect(statSync(lab.layout.kubeconfig).mode & 0o777).toBe(0o600);
    // proc(5), /proc/net/tcp: local address and port in hexadecimal, state 0A = listening.
    const listeners = ['tcp', 'tcp6'].flatMap((file) => readFileSync(`/proc/net/${file}`, 'utf8').split('\n'));
    const port = Number(server).toString(16).toUpperCase().padStart(4, '0');
    const own = listeners
      .map((line) => line.trim().split(/\s+/))
      .filter((at) => at[1]?.endsWith(`:${port}`) && at[3] === '0A');
    expect(own.map((at) => at[1])).toEqual([`0100007F:${port}`]);
  });

  test('gives pods, with and without the network of their node, what they ask for', async () => {
    const command = ['sleep', '100000'];
    await lab.apply(
      namespace(ns),
      pod(ns, 'one', { node: 'node-1' }),
      pod(ns, 'two', { node: 'node-2', command }),
      hostNetwork(pod(ns, 'three', { node: 'node-2', command })),
    );
    await lab.podsReady(ns);
    expect([...(await lab.podNamespaces()).keys()].sort()).toEqual([`${ns}/one`, `${ns}/two`]);
    const gateways = ['10.16.0.1', 'fd00:10:16::1'];
    await everyPing([`${ns}/one`, `${ns}/two`], gateways);
  });

  async function everyPing(from: readonly string[], to: readonly string[]): Promise<void> {
    await lab.waitFor(
      'all pings are answered',
      async () => (await lab.pingMatrix(from, to)).join('\n') || true,
      30_000,
    );
  }

  test('a killed API server comes back on the same port', async () => {
    await lab.killProcess('apiserver');
    expect((await lab.kubectlAny(['get', 'nodes'])).code).not.toBe(0);
    await lab.startProcess('apiserver');
    expect(await lab.kubectl(['get', 'pods', '-n', ns])).toContain('one');
  });

  test('pods keep their addresses over down and up with --keep-state', async () => {
    const before = addressesOf(await lab.get<PodObject>('pod', 'one', '-n', ns));
    await down(directory, silent);
    expect(ownNamespaces(directory)).toEqual([]);
    lab = await open();
    await lab.waitFor(
      'pods are attached again',
      async () => ((await lab.podNamespaces()).size === 2 ? true : [...(await lab.podNamespaces()).keys()].join(', ')),
      30_000,
    );
    expect(addressesOf(await lab.get<PodObject>('pod', 'one', '-n', ns))).toEqual(before);
    await everyPing([`${ns}/two`], before);
  });

  test('down leaves nothing, whatever runs', async () => {
    const records = managerOf(directory).records.all();
    await down(directory, silent, false);
    expect(ownNamespaces(directory)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
    expect(records.filter((record) => existsSync(`/proc/${record.pid}`)).map((record) => record.name)).toEqual([]);
  });
});

function hostNetwork(manifest: ReturnType<typeof pod>): ReturnType<typeof pod> {
  return { ...manifest, spec: { ...(manifest['spec'] as object), hostNetwork: true } };
}
