import { fileURLToPath } from 'node:url';
import { managerOf, run } from '@ovenbird/deploy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Burst } from '../src/burst.ts';
import { startController } from '../src/interruption.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { type NorthboundRows, ourRows, settledRows } from '../src/northbound-rows.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';
import { ProcessLog } from '../src/process-log.ts';
import { SecondController } from '../src/second-controller.ts';

const cli = fileURLToPath(new URL('../../cli/bin/ovenbird.mjs', import.meta.url));

/** What keeps a controller from doing damage: of two only one writes, and a list that lacks many pods is not believed. */
describe('guards of the controller', () => {
  let lab: TestLab;
  const ns = 'guard';
  const many = 'guard-many';
  const count = 30;

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), pod(ns, 'witness', { node: 'node-1' }));
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns), namespace(many)], '--wait=true', '--timeout=60s');
  });

  const portsOf = async (space: string): Promise<number> =>
    (await ourRows(lab)).find('Logical_Switch_Port', `"pod","${space}/`).length;

  /** Deletes all pods of a namespace while no controller runs, and waits until nodes and API server are rid of them. */
  const deleteUnseen = async (burst: Burst): Promise<void> => {
    await lab.stopProcess('controller');
    await lab.kubectl(['delete', 'pod', '--all', '-n', many, '--force', '--grace-period=0', '--wait=false']);
    await lab.waitFor('no pod object is left', () => burst.pods.length === 0 || `${burst.pods.length} left`, 60_000);
    expect(await portsOf(many)).toBe(count);
  };

  it('delete by themselves the ports of pods that were deleted while no controller ran', async () => {
    using burst = await Burst.prepare(lab, many, count);
    await burst.create();
    await burst.ready();
    await deleteUnseen(burst);
    const log = new ProcessLog(lab, 'controller');
    await startController(lab);
    await log.waitFor('every one of these pods was asked for by name and is gone');
    await burst.gone();
  });

  it('keep the ports when the API server lost the records of the addresses too, until somebody confirms', async () => {
    using burst = await Burst.prepare(lab, many, count);
    await burst.create();
    await burst.ready();
    await lab.waitFor(
      'IP objects',
      async () => {
        const names = (await lab.kubectl(['get', 'ips', '-o', 'name'])).split('\n');
        const mine = names.filter((name) => name.endsWith(`.${many}`)).length;
        return mine === count || `${mine} of ${count}`;
      },
      30_000,
    );
    await deleteUnseen(burst);
    await lab.kubectl(['delete', 'ips', '-l', 'ovenbird.io/managed=true', '--wait=false']);
    const log = new ProcessLog(lab, 'controller');
    await startController(lab);
    const stop = await log.waitFor('ports that a list no longer holds');
    expect(stop).toMatchObject({ count });
    expect(await portsOf(many)).toBe(count);
    // The rest of the network goes on meanwhile.
    await lab.apply(pod(ns, 'meanwhile', { node: 'node-2' }));
    await lab.podsReady(ns, 30, 'meanwhile');
    expect(await portsOf(many)).toBe(count);

    const confirm = async (token: string): Promise<string> =>
      await run([process.execPath, cli, 'confirm-deletion', token], { env: { OVENBIRD_LAB: lab.state.directory } });
    await confirm('000000000000');
    await lab.apply(pod(ns, 'later', { node: 'node-3' }));
    await lab.podsReady(ns, 30, 'later');
    expect(await portsOf(many), 'another token confirms nothing').toBe(count);
    await confirm(String(stop['token']));
    await lab.kubectl(['delete', 'pod', 'meanwhile', 'later', '-n', ns]);
    await burst.gone();
  });

  it('fence off a leader that slept while another took over', async () => {
    const log = new ProcessLog(lab, 'controller');
    await using second = await SecondController.start(lab);
    await second.log.waitFor('northbound database');
    await lab.killProcess('controller', 'SIGSTOP');
    let before: NorthboundRows;
    try {
      await lab.apply(pod(ns, 'between', { node: 'node-2' }));
      // It may lead when the Lease was not renewed for 15 s.
      await second.log.waitFor('in control', 60_000);
      await lab.podsReady(ns, 30, 'between');
      before = await settledRows(lab);
    } finally {
      await lab.killProcess('controller', 'SIGCONT');
    }
    await lab.waitFor(
      'the first controller ends',
      () => managerOf(lab.state.directory).state('controller') === 'dead' || 'runs',
      30_000,
    );
    expect(before.difference(await ourRows(lab))).toEqual([]);
    expect(log.find('ended')?.level).toBe(60);
    const global = await lab.nbctl('get', 'NB_Global', '.', 'external_ids');
    expect(global).toContain('"ovenbird/leader"="second-controller/');
    await lab.apply(pod(ns, 'after', { node: 'node-3' }));
    await lab.podsReady(ns, 30, 'after');
    const pods = await Promise.all(
      ['witness', 'between', 'after'].map((name) => lab.get<PodObject>('pod', name, '-n', ns)),
    );
    const addresses = pods.flatMap((object) => addressesOf(object));
    expect(new Set(addresses).size).toBe(6);
    await lab.waitFor(
      'all reach each other',
      async () =>
        (
          await lab.pingMatrix(
            pods.map(({ metadata }) => `${ns}/${metadata.name}`),
            addresses,
          )
        ).join('\n') || true,
      30_000,
    );
    await second.stop();
    await startController(lab);
  });
});
