/** The keeper against a real switch: drift, restarts, rounds, flows of others. */
import {
  type Connection,
  connect,
  FlowKeeper,
  type KeeperEvent,
  type KeptFlow,
  OpenFlowError,
  parseFlow,
} from '@ovenbird/openflow';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestSwitch, until } from './switch.ts';

let ovs: TestSwitch;
let sw: Connection;
let events: KeeperEvent[] = [];
const keepers: FlowKeeper[] = [];

beforeEach(async () => {
  ovs = await TestSwitch.start('br0');
  sw = connect({ remote: ovs.remote('br0') });
  await sw.connected();
  events = [];
});

afterEach(async () => {
  await Promise.all(keepers.splice(0).map((keeper) => keeper.close()));
  await sw.close();
  await ovs[Symbol.asyncDispose]();
});

function keep(round: number, categories: readonly number[] = [3]): FlowKeeper {
  const keeper = new FlowKeeper({ connection: sw, categories, round, onEvent: (event) => events.push(event) });
  keepers.push(keeper);
  return keeper;
}

/** A flow in ovs-ofctl's syntax; its cookie is the object. */
function flow(text: string): KeptFlow {
  const { tableId, priority, match, cookie = 0n, flags, actions } = parseFlow(text);
  return { tableId, priority, match, object: Number(cookie), flags, actions };
}

const installed = (): readonly KeeperEvent[] => events.filter((event) => event.type === 'installed');

const WANTED = [
  flow('cookie=1,table=0,priority=10,tcp,tp_dst=80,actions=output:1'),
  flow('cookie=2,table=0,priority=0,actions=NORMAL'),
  flow('cookie=3,table=1,send_flow_rem,ip,nw_src=10.0.0.0/8,actions=set_field:7->reg3,resubmit(,2)'),
  flow('cookie=4,table=2,reg3=7,actions=drop'),
];
const PRINTED = [
  'cookie=0x1030000000001, priority=10,tcp,tp_dst=80 actions=output:1',
  'cookie=0x1030000000002, priority=0 actions=NORMAL',
  'cookie=0x1030000000003, table=1, send_flow_rem ip,nw_src=10.0.0.0/8 actions=set_field:0x7->reg3,resubmit(,2)',
  'cookie=0x1030000000004, table=2, reg3=0x7 actions=drop',
];

describe('a keeper', () => {
  it('installs what is wanted, and then only what changes', async () => {
    const keeper = keep(1);
    keeper.set(WANTED);
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual(PRINTED);
    expect(installed()).toEqual([{ type: 'installed', why: 'connected', added: 4, modified: 0, deleted: 0 }]);

    keeper.set([...WANTED.slice(1), flow('cookie=5,table=3,actions=drop')]);
    keeper.put([flow('cookie=2,table=0,priority=0,actions=drop')]);
    keeper.remove([flow('table=2,reg3=7,actions=drop')]);
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual([
      'cookie=0x1030000000002, priority=0 actions=drop',
      PRINTED[2],
      'cookie=0x1030000000005, table=3, actions=drop',
    ]);
    expect(installed().slice(1)).toEqual([{ type: 'installed', why: 'wanted', added: 1, modified: 1, deleted: 2 }]);
    keeper.set([]);
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual([]);
    expect(keeper.size).toBe(0);
  });

  it('heals what others delete, change and add under its category, and leaves what is theirs', async () => {
    await ovs.ofctl('br0', 'add-flow', 'cookie=0xdeff105,table=9,actions=NORMAL');
    await ovs.ofctl('br0', 'add-flow', 'table=9,priority=1,actions=drop');
    await ovs.ofctl('br0', 'add-flow', 'cookie=0x1040000000001,table=9,priority=2,actions=drop');
    const foreign = await ovs.flows('br0', 'table=9');
    const keeper = keep(1);
    keeper.set(WANTED);
    keeper.complete();
    await keeper.installed();
    const all = [...PRINTED, ...foreign].sort();
    expect(await ovs.flows('br0')).toEqual(all);

    for (const attack of [
      ['del-flows', 'table=2'],
      ['del-flows', 'cookie=0x1030000000000/0xffff00000000'],
      ['mod-flows', 'table=0,actions=drop'],
      ['add-flow', 'table=0,priority=0,actions=drop'],
      ['add-flow', 'cookie=0x1030000000009,table=7,actions=drop'],
      ['add-flow', 'cookie=0x7030000000009,table=7,actions=drop'],
    ] as const) {
      events = [];
      await ovs.ofctl('br0', attack[0], attack[1]);
      await until(
        `healing of ${attack.join(' ')}`,
        () => installed().length > 0,
        () => keeper.state,
      );
      await keeper.installed();
      expect(await ovs.flows('br0'), attack.join(' ')).toEqual(all);
      expect(installed()[0]).toMatchObject({ why: 'drift' });
    }
    events = [];
    await ovs.ofctl('br0', 'del-flows', 'table=9');
    await sw.barrier();
    expect(await ovs.flows('br0')).toEqual(PRINTED);
    expect(installed()).toEqual([]);
  });

  it('brings the flows back after a restart of the switch', async () => {
    const keeper = keep(1);
    keeper.set(WANTED);
    await keeper.installed();
    await ovs.stopSwitch();
    await until(
      'the outage to be noticed',
      () => keeper.state === 'waiting',
      () => keeper.state,
    );
    keeper.remove([flow('table=2,reg3=7,actions=drop')]);
    await ovs.startSwitch();
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual(PRINTED.slice(0, 3));
    // With the same flows on the switch, a new connection writes nothing.
    events = [];
    const [other] = [connect({ remote: ovs.remote('br0') })];
    await other.connected();
    const second = new FlowKeeper({
      connection: other,
      categories: [3],
      round: 2,
      onEvent: (event) => events.push(event),
    });
    keepers.push(second);
    second.set(WANTED.slice(0, 3));
    await second.installed();
    expect(events).toEqual([]);
    await second.close();
    await other.close();
  });

  it('takes over from the run before: keeps what is wanted with its counters, the rest until all is said', async () => {
    const before = keep(1);
    before.set(WANTED);
    await before.installed();
    await before.close();
    await ovs.addPort('br0', 'p1', 1);
    await ovs.receive('p1', 'in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)');
    await until('the packet to be counted', async () => (await ovs.ofctl('br0', 'dump-flows')).includes('n_packets=1'));
    const keeper = keep(2);
    keeper.set([...WANTED.slice(1, 2), flow('cookie=9,table=4,actions=drop')]);
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual([...PRINTED, 'cookie=0x2030000000009, table=4, actions=drop'].sort());
    // What this run wrote itself goes at once.
    keeper.set(WANTED.slice(1, 2));
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual(PRINTED);
    keeper.complete();
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual([PRINTED[1]]);
    expect(await ovs.ofctl('br0', 'dump-flows')).toMatch(/n_packets=1.*actions=NORMAL/);
  });

  it('changes nothing when the switch refuses a flow, says which, and goes on when it is good', async () => {
    const keeper = keep(1);
    keeper.set(WANTED);
    await keeper.installed();
    const bad = flow('cookie=6,table=5,ip,actions=group:7');
    keeper.put([bad, flow('cookie=7,table=6,actions=drop')]);
    const error = await keeper.installed().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(OpenFlowError);
    expect(error).toMatchObject({ code: 'bundle_failed', offending: { tableId: 5 } });
    expect(await ovs.flows('br0')).toEqual(PRINTED);
    await ovs.ofctl('br0', 'add-group', 'group_id=7,type=all,bucket=output:1');
    await until(
      'another try',
      () => keeper.state === 'installed',
      () => keeper.state,
    );
    expect(await ovs.flows('br0')).toHaveLength(6);
    keeper.remove([bad]);
    await keeper.installed();
    expect(await ovs.flows('br0')).toHaveLength(5);
  });

  it('refuses flows that it could not keep', async () => {
    const keeper = keep(1, [3, 4]);
    keeper.set(WANTED);
    expect(() => keeper.set([...WANTED, ...WANTED])).toThrow(/same table, priority and match/);
    expect(() => keeper.put([{ ...flow('actions=drop'), category: 5 }])).toThrow(/category 5/);
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual(PRINTED);
    expect(() => keep(0x1_0000)).toThrow(/round 65536/);
    expect(() => keep(1, [0])).toThrow(/category 0/);
  });
});
