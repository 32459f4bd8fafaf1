import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { must, until } from './exec.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { announcedPod, cni } from './pods.ts';

const node = new NodeUnderTest();
const conflist = node.path('net.d/10-ovenbird.conflist');
/** Short, so that what happens after it happens soon. */
const grace = { outOfServiceAfter: 300 };
const showLog = (): void => onTestFailed(() => console.log(node.log('agent').slice(-5000)));

interface NodeObject {
  readonly status: { readonly conditions?: readonly { type: string; status: string; message: string }[] };
}

/** Daemons that lost a database look for it again after up to 8 s. */
const patience = 60_000;

/** Waits until the Node says that the network is unavailable, or available; the message has the text. */
async function told(status: 'True' | 'False', text = ''): Promise<void> {
  await until(
    `NetworkUnavailable is ${status}: ${text}`,
    async () => {
      const conditions = ((await node.list('Node')) as NodeObject[])[0]?.status.conditions;
      const condition = conditions?.find(({ type }) => type === 'NetworkUnavailable');
      if (condition?.status === status && condition.message.includes(text)) return true;
      throw new Error(JSON.stringify(conditions));
    },
    patience,
  );
}

beforeAll(() => node.start());
afterAll(() => node.stop());

const late = node.path('late.sock');
const apart = `ovn-controller is not connected to the southbound database unix:${late}`;

test('a node enters service when ovn-controller has reached the southbound database', async () => {
  showLog();
  node.configureAgent({ ...grace, ovnRemote: `unix:${late}` });
  node.launchAgent();
  await told('True', apart);
  expect(existsSync(conflist)).toBe(false);
  symlinkSync(node.path('sb.sock'), late);
  await told('False');
  expect(existsSync(conflist)).toBe(true);
  await node.agentReady();
}, 180_000);

test('the local database is away: requests say what to do, an agent that starts takes the node out of service', async () => {
  showLog();
  const [pod, attached] = await Promise.all([announcedPod(node, 1), announcedPod(node, 2)]);
  if (pod === undefined || attached === undefined) throw new Error('two pods');
  const added = await cni(node, 'ADD', attached);
  expect(added).toMatchObject({ status: 0, stderr: '' });
  const config = node.cniConfig('1.0.0', { prevResult: JSON.parse(added.stdout) as unknown });
  const count = (text: string): number => node.log('agent').slice(before).split(text).length - 1;
  await node.kill('agent');
  await node.kill('conf');
  const before = node.log('agent').length;
  // As one leaves it that had just served.
  writeFileSync(conflist, '{}');
  node.configureAgent({ ...grace, ovnRemote: `unix:${late}`, installTimeout: 500 });
  node.launchAgent();
  await told('True', node.path('conf.sock'));
  expect(existsSync(conflist)).toBe(false);
  const said = { code: 11, msg: expect.stringMatching(`${node.path('conf.sock')}.*does ovsdb-server run`) as unknown };
  const answers = await Promise.all([cni(node, 'ADD', pod), cni(node, 'CHECK', attached, { config })]);
  for (const { stdout } of answers) expect(JSON.parse(stdout)).toMatchObject(said);
  const links = await must(node.inNode('ip', '-o', 'link', 'show', 'type', 'veth'));
  expect(links.match(/: h[0-9a-f]{12}@/g)).toHaveLength(1);
  expect(count('neither attached nor detached')).toBe(1);
  node.startDatabase('conf');
  await told('False');
  await node.agentReady();
  expect(count('database answers on')).toBe(1);
  for (const one of [pod, attached]) {
    await until(`${one.name} is attached`, async () => (await cni(node, 'ADD', one)).status === 0);
    expect((await cni(node, 'DEL', one)).status).toBe(0);
  }
}, 180_000);

test('a node that serves does so without the southbound database', async () => {
  showLog();
  await node.kill('sb');
  await until('the agent knows', async () => (await node.query('/readyz')).body.includes(apart));
  // Looked at again, the node serves.
  rmSync(conflist);
  await until('the configuration is back', async () => existsSync(conflist));
});
