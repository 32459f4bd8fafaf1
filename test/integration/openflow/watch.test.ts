/** Flow monitors on a real switch, through reconnections. */
import { type FlowUpdate, formatMatch, match, OF13, OF14, OF15, parseFlow, parseFlows } from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Connections, rejected } from './support.ts';
import { TestSwitch, until } from './switch.ts';

let ovs: TestSwitch;
const connections = new Connections();

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

afterEach(async () => {
  await connections.close();
  await ovs.ofctl('br0', 'del-flows');
});

function text(update: FlowUpdate): string {
  if (!('match' in update)) return update.event;
  return `${update.event} ${update.tableId} ${formatMatch(update.match)} ${update.actions.length}`;
}

describe.each([
  { version: OF13, name: '1.3' },
  { version: OF14, name: '1.4' },
  { version: OF15, name: '1.5' },
] as const)('a watch over OpenFlow $name', ({ version }) => {
  it('tells what there is and what changes, by others in full and by itself in short', async () => {
    const sw = await connections.open(ovs, 'br0', { versions: [version] });
    await sw.send(parseFlows('table=1,tcp,actions=output:1\ntable=2,udp,actions=drop'));
    const log: string[] = [];
    const watch = await sw.watchFlows({
      onStart: () => log.push('start'),
      onSynced: () => log.push('synced'),
      onUpdates: (updates) => log.push(...updates.map(text)),
    });
    expect(log.toSorted()).toEqual(['initial 1 tcp 1', 'initial 2 udp 0', 'start', 'synced']);
    expect([log[0], log[3]]).toEqual(['start', 'synced']);
    log.length = 0;
    await ovs.ofctl('br0', 'add-flow', 'table=3,arp,actions=drop');
    await ovs.ofctl('br0', 'mod-flows', 'table=1,tcp,actions=output:1,output:2');
    await ovs.ofctl('br0', 'del-flows', 'table=2');
    await until(
      'three changes',
      () => log.length === 3,
      () => log,
    );
    expect(log).toEqual(['added 3 arp 0', 'modified 1 tcp 2', 'removed 2 udp 0']);
    log.length = 0;
    await sw.send([parseFlow('table=4,actions=drop')]);
    await sw.bundle([parseFlow('table=5,actions=drop')]);
    await until(
      'the changes of its own',
      () => log.length === 2,
      () => log,
    );
    expect(log).toEqual(['abbrev', 'abbrev']);
    watch.close();
    await sw.barrier();
    await ovs.ofctl('br0', 'del-flows');
    await sw.barrier();
    expect(log).toHaveLength(2);
  });

  it('begins anew with every connection', async () => {
    const sw = await connections.open(ovs, 'br0', { versions: [version] });
    const log: string[] = [];
    await sw.watchFlows({
      onStart: () => log.push('start'),
      onSynced: () => log.push('synced'),
      onUpdates: (updates) => log.push(...updates.map(text)),
    });
    await sw.send([parseFlow('table=1,actions=drop')]);
    log.length = 0;
    await ovs.restartSwitch();
    await until(
      'the new start',
      () => sw.state === 'connected' && log.includes('synced'),
      () => log,
    );
    await ovs.ofctl('br0', 'add-flow', 'table=7,actions=drop');
    await until(
      'a change',
      () => log.includes('added 7  0'),
      () => log,
    );
    // An interrupted attempt or two may have begun before the bridge was there.
    expect(log.slice(-3)).toEqual(['start', 'synced', 'added 7  0']);
  });
});

it('several watches on one connection get each what they asked for', async () => {
  const sw = await connections.open(ovs);
  const [first, second]: [string[], string[]] = [[], []];
  await sw.watchFlows({ tableId: 1, initial: false, onUpdates: (updates) => first.push(...updates.map(text)) });
  await sw.watchFlows({
    match: match({ eth_type: 0x800, ip_src: '10.0.0.0/8' }),
    actions: false,
    onUpdates: (updates) => second.push(...updates.map(text)),
  });
  await ovs.ofctl('br0', 'add-flow', 'table=1,ip,nw_src=10.1.0.0/16,actions=output:1');
  await ovs.ofctl('br0', 'add-flow', 'table=1,ip,actions=output:1');
  await ovs.ofctl('br0', 'add-flow', 'table=2,ip,nw_src=10.2.0.0/16,actions=output:1');
  await ovs.ofctl('br0', 'add-flow', 'table=2,ip,nw_src=11.2.0.0/16,actions=output:1');
  await until(
    'all',
    () => first.length >= 2 && second.length >= 2,
    () => [...first, '/', ...second],
  );
  await sw.barrier();
  const start = (line: string): string => line.slice(0, -2);
  expect(first.map(start)).toEqual(['added 1 ip,nw_src=10.1.0.0/16', 'added 1 ip']);
  expect(second.map(start)).toEqual(['added 1 ip,nw_src=10.1.0.0/16', 'added 2 ip,nw_src=10.2.0.0/16']);
});

it('a watch that the switch refuses says so, though the error of Open vSwitch has no transaction id', async () => {
  const sw = await connections.open(ovs);
  const options = { own: 'full', onUpdates: () => undefined } as const;
  const error = await rejected(sw.watchFlows(options));
  expect(error.code).toBe('switch_error');
  await sw.barrier();
});
