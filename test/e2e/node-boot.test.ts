import { rebootNode } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

/** A node that starts again finds its database as it was, and nothing of what that speaks of. */
describe('a reboot of a node', () => {
  let lab: TestLab;
  const ns = 'boot';
  const names = ['one', 'two', 'away'];

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      ...names.map((name) => pod(ns, name, { node: name === 'away' ? 'node-2' : 'node-1' })),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  interface Row {
    readonly name: string;
    readonly uuid: string;
    readonly pod: string;
    readonly installed: boolean;
    readonly ofport: number;
  }
  /** Interfaces of pods of this test on the node. */
  const interfaces = async (): Promise<readonly Row[]> => {
    const text = await lab.vsctl(
      'node-1',
      '--format=json',
      '--columns=name,_uuid,external_ids,ofport',
      'list',
      'Interface',
    );
    const { data } = JSON.parse(text) as { data: [string, [string, string], [string, [string, string][]], number][] };
    return data
      .map(([name, [, uuid], [, pairs], ofport]) => ({ name, uuid, ids: new Map(pairs), ofport }))
      .filter(({ ids }) => ids.get('pod_namespace') === ns)
      .map(({ name, uuid, ids, ofport }) => ({
        name,
        uuid,
        ofport,
        pod: ids.get('pod_name') ?? '',
        installed: ids.get('ovn-installed') === 'true',
      }));
  };

  it('gives its pods their addresses again, on ports of their own, and takes the old ports away', async () => {
    const before = await interfaces();
    expect(before.map(({ pod: name, installed }) => `${name} ${installed}`).sort()).toEqual(['one true', 'two true']);
    const transient = await lab.vsctl(
      'node-1',
      '--bare',
      '--columns=name',
      'find',
      'Port',
      'other_config:transient=true',
    );
    for (const { name } of before) expect(transient.split('\n')).toContain(name);
    const held = new Map<string, readonly string[]>();
    for (const name of names) held.set(name, addressesOf(await lab.get<PodObject>('pod', name, '-n', ns)));

    await rebootNode(lab.layout.directory, 'node-1');

    await lab.waitFor(
      'the ports of before the boot are gone, and new ones are installed',
      async () => {
        const now = await interfaces();
        const old = now.filter(({ uuid }) => before.some((row) => row.uuid === uuid));
        const isNew =
          now.length === 2 && old.length === 0 && now.every(({ installed, ofport }) => installed && ofport > 0);
        return isNew || JSON.stringify(now);
      },
      60_000,
    );
    await lab.podsReady(ns);
    for (const name of names)
      expect(addressesOf(await lab.get<PodObject>('pod', name, '-n', ns))).toEqual(held.get(name));
    const from = names.map((name) => `${ns}/${name}`);
    const to = [...[...held.values()].flat(), '10.16.0.1', 'fd00:10:16::1', '172.30.1.1', '172.30.1.2'];
    await lab.waitFor(
      'all pings are answered',
      async () => (await lab.pingMatrix(from, to)).join('\n') || true,
      30_000,
    );
    await lab.onNode('node-1', 'ping', '-c1', '-W2', '-n', held.get('away')?.[0] ?? '');
    await lab.onNode('node-2', 'ping', '-c1', '-W2', '-n', held.get('one')?.[1] ?? '');
  });
});
