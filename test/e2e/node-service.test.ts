import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';

interface NodeObject {
  readonly status: {
    readonly conditions: readonly { type: string; status: string; reason: string; message: string }[];
  };
}

/** A node is in service while pods can be attached, and not otherwise. */
describe('a node in and out of service', () => {
  let lab: TestLab;
  const node = 'node-2';

  beforeAll(async () => {
    lab = await openLab();
  });
  afterEach(async () => {
    for (const name of ['vswitchd', 'ovn-controller']) await lab.startProcess(`${node}.${name}`);
  });

  const condition = async (type: string): Promise<NodeObject['status']['conditions'][number] | undefined> =>
    (await lab.get<NodeObject>('node', node)).status.conditions.find((one) => one.type === type);
  const isInstalled = (): boolean => existsSync(join(lab.layout.node(node).cniConf, '10-ovenbird.conflist'));
  /** @param reports whether the node can reach the API server */
  const until = async (serves: boolean, reports = true): Promise<void> => {
    const wanted = `conflist ${serves}, Ready ${serves ? 'True' : 'False'}`;
    const unavailable = `NetworkUnavailable ${serves ? 'False' : 'True'}`;
    await lab.waitFor(
      `${node} is ${serves ? 'in' : 'out of'} service`,
      async () => {
        const [ready, network] = [await condition('Ready'), await condition('NetworkUnavailable')];
        const state = [`conflist ${isInstalled()}, Ready ${ready?.status}`, `NetworkUnavailable ${network?.status}`];
        return (state[0] === wanted && (!reports || state[1] === unavailable)) || state.join(', ');
      },
      30_000,
    );
  };

  it('leaves service while ovn-controller does not run, and says so', async () => {
    const message = 'ovn-controller does not run on this node';
    await until(true);
    await lab.killProcess(`${node}.ovn-controller`);
    await until(false);
    expect(await condition('NetworkUnavailable')).toMatchObject({
      reason: 'OvenbirdCannotServe',
      message: expect.stringContaining(message) as unknown,
    });
    const events = await lab.kubectl(['get', 'events', '-A', '--field-selector', `involvedObject.name=${node}`]);
    expect(events).toContain(message);
    await lab.startProcess(`${node}.ovn-controller`);
    await until(true);
  });

  it('leaves service while ovs-vswitchd does not run', async () => {
    // The node's own address is on a bridge of this vswitchd: only the runtime on the node can be told.
    await lab.killProcess(`${node}.vswitchd`);
    await until(false, false);
    await lab.startProcess(`${node}.vswitchd`);
    await until(true);
  });

  it('puts back the configuration that somebody removes or changes', async () => {
    await until(true);
    const path = join(lab.layout.node(node).cniConf, '10-ovenbird.conflist');
    const before = readFileSync(path, 'utf8');
    const now = (): string => (existsSync(path) ? readFileSync(path, 'utf8') : 'no file');
    rmSync(path);
    await lab.waitFor('it is back', () => now() === before || now(), 10_000);
    writeFileSync(path, '{}');
    await lab.waitFor('it is as before', () => now() === before || now(), 10_000);
    await until(true);
  });

  it('clears what a cloud provider says of a new node', async () => {
    const type = 'NetworkUnavailable';
    const status = { conditions: [{ type, status: 'True', reason: 'NoRouteCreated', message: 'a cloud said so' }] };
    await lab.kubectl([
      'patch',
      'node',
      node,
      '--subresource=status',
      '--type=strategic',
      '-p',
      JSON.stringify({ status }),
    ]);
    await until(true);
    expect(await condition(type)).toMatchObject({ status: 'False', reason: 'OvenbirdServes' });
  });
});
