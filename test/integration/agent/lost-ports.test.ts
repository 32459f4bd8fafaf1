import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { exec, must, until } from './exec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { announcedPod, cni, leftovers, podObject, type TestPod } from './pods.ts';

/** Somebody takes the ports of running pods from br-int, by hand or with the whole database. */
const node = new NodeUnderTest();
const schema = fileURLToPath(new URL('../../../ovsdb/schemas/23.03/vswitch.ovsschema', import.meta.url));
let pod: TestPod;
let other: TestPod;
let link = '';
const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-5000)));
const reaches = async (from: TestPod, address: string): Promise<boolean> =>
  (await exec(['nsenter', `--net=${from.netns}`, 'ping', '-c1', '-W1', address])).status === 0;
const works = async (): Promise<void> => {
  for (const one of [pod, other]) {
    for (const address of ['10.16.0.1', 'fd00:10:16::1'])
      await until(`${one.name} reaches ${address}`, () => reaches(one, address), 30_000);
  }
  await until('the gateways are recorded', async () =>
    (await node.vsctl('get', 'Interface', link, 'external_ids:gateways')).includes('10.16.0.1/16'),
  );
};
const row = async (): Promise<string[]> => {
  const text = await node.vsctl('get', 'Interface', link, 'external_ids');
  return text
    .trim()
    .slice(1, -1)
    .split(', ')
    .filter((entry) => !/^(ovn-installed|gateways)/.test(entry))
    .sort();
};

beforeAll(async () => {
  await node.start();
  await node.startAgent();
  pod = await announcedPod(node, 1);
  expect((await cni(node, 'ADD', pod)).status).toBe(0);
  [link = ''] = (await leftovers(node)).links;
  other = await announcedPod(node, 2);
  expect((await cni(node, 'ADD', other)).status).toBe(0);
});
afterAll(() => node.stop());

/** A conf.db as `ovs-ctl` makes it where there is none. */
async function newDatabase(): Promise<void> {
  await node.kill('conf');
  rmSync(node.path('conf.db'));
  rmSync(node.path('conf.sock'));
  await must(['ovsdb-tool', 'create', node.path('conf.db'), schema]);
  node.startDatabase('conf');
  await until('the database answers', async () => (await node.vsctl('init')) === '');
}

const losses: readonly [what: string, lose: () => Promise<unknown>][] = [
  ['del-port', () => node.vsctl('del-port', 'br-int', link)],
  ['del-br', () => node.vsctl('del-br', 'br-int')],
  ['a conf.db made anew', newDatabase],
];

test.each(losses)('%s while the agent runs', async (_what, lose) => {
  showLog();
  const [before, links] = [await row(), await leftovers(node)];
  await lose();
  await until('the ports are back', async () => (await leftovers(node)).ports.length === 2, 20_000);
  await works();
  expect(await row()).toEqual(before);
  expect((await leftovers(node)).links).toEqual(links.links);
});

// Without a database there is no br-int either.
const unseen = losses.filter(([what]) => what !== 'del-br');
test.each(unseen)('%s while the agent is away', async (_what, lose) => {
  showLog();
  const before = await row();
  await node.kill('agent');
  const ends = async (): Promise<unknown> =>
    (JSON.parse(await must(node.inNode('ip', '-json', 'link', 'show', link))) as { ifindex: number }[])[0]?.ifindex;
  const end = await ends();
  await lose();
  await node.startAgent();
  await works();
  expect(await row()).toEqual(before);
  expect(await ends()).toBe(end);
});

test('what cannot be connected again is told, not removed; DEL removes it', async () => {
  showLog();
  const third = await announcedPod(node, 3);
  const { interfaces } = JSON.parse((await cni(node, 'ADD', third)).stdout) as { interfaces: { name: string }[] };
  const newest = interfaces[0]?.name ?? '';
  await node.kill('agent');
  await must(node.inNode('ip', 'link', 'set', newest, 'alias', 'ovenbird'));
  await node.vsctl('del-port', 'br-int', newest);
  await node.startAgent();
  await until('an Event names it', async () => JSON.stringify(await node.list('Event')).includes(newest));
  expect((await leftovers(node)).links).toContain(newest);
  expect((await cni(node, 'DEL', third)).status).toBe(0);
  expect((await leftovers(node)).links).not.toContain(newest);
});

test('one whose announcement is away is told, and connected again when it is back', async () => {
  showLog();
  const fourth = await announcedPod(node, 4);
  const { interfaces } = JSON.parse((await cni(node, 'ADD', fourth)).stdout) as { interfaces: { name: string }[] };
  const newest = interfaces[0]?.name ?? '';
  await node.put('Pod', podObject(fourth, false, 'Running'));
  await node.vsctl('del-port', 'br-int', newest);
  await until('an Event names it', async () => JSON.stringify(await node.list('Event')).includes(newest));
  expect((await leftovers(node)).ports).not.toContain(newest);
  await node.put('Pod', podObject(fourth, true, 'Running'));
  await until('its port is back', async () => (await leftovers(node)).ports.includes(newest));
  await until('it reaches its gateway', () => reaches(fourth, '10.16.0.1'), 30_000);
  expect((await cni(node, 'DEL', fourth)).status).toBe(0);
});

test('of a pod that is gone nothing stays, and DEL leaves nothing', async () => {
  showLog();
  await node.kill('agent');
  await node.vsctl('del-port', 'br-int', link);
  await node.remove('Pod', pod.name, 'default');
  await node.startAgent();
  await until('its pair is gone', async () => !(await leftovers(node)).links.includes(link));
  expect((await cni(node, 'DEL', other)).status).toBe(0);
  expect(await leftovers(node)).toEqual({ ports: [], links: [] });
});
