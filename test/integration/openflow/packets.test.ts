/** Packets to the controller and from it, on a real switch, and what must be set for them per connection. */
import { type Connection, formatMatch, type Message, match, PORTS, parseActions, parseFlow } from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Connections, PACKET, sent, tcp } from './support.ts';
import { TestSwitch, until } from './switch.ts';

let ovs: TestSwitch;
const connections = new Connections();

beforeAll(async () => {
  ovs = await TestSwitch.start();
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await ovs.addBridge('br0');
  await ovs.addPort('br0', 'p1', 1);
  await ovs.addPort('br0', 'p2', 2);
});

afterEach(async () => {
  await connections.close();
  await ovs.configure('del-br', 'br0');
});

const toController = (actions: string): ReturnType<typeof parseFlow> => parseFlow(`in_port=1,actions=${actions}`);

async function next(sw: Connection): Promise<Message> {
  for await (const packet of sw.packetIns()) return packet;
  throw new Error('the connection was closed');
}

describe('packets to the controller', () => {
  it('come only to connections that ask for them, with their controller id', async () => {
    const silent = await connections.open(ovs);
    const other = await connections.open(ovs, 'br0', { async: { controllerId: 5 } });
    const sw = await connections.open(ovs, 'br0', { async: { controllerId: 7 } });
    const wrong: Message[] = [];
    silent.onMessage((message) => wrong.push(message));
    other.onMessage((message) => wrong.push(message));
    await sw.send([toController('set_field:9->reg2,controller(id=7,userdata=01.02.ff)')]);
    const packet = next(sw);
    await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
    const got = await packet;
    if (got.type !== 'packet_in2') throw new Error(got.type);
    expect(formatMatch(got.metadata)).toBe('reg2=0x9,in_port=1');
    expect([...(got.userdata ?? [])]).toEqual([1, 2, 255]);
    expect(got).toMatchObject({ reason: 'action', tableId: 0 });
    expect(got.continuation).toBeUndefined();
    expect(Buffer.from(got.packet).subarray(0, 14).toString('hex')).toBe('0000000000020000000000010800');
    await Promise.all([silent.barrier(), other.barrier()]);
    expect(wrong).toEqual([]);
    // The id can be changed while connected.
    await other.setAsync({ controllerId: 7, packetInFormat: 'standard' });
    const standard = next(other);
    await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
    expect((await standard).type).toBe('packet_in');
  });

  it.each([
    ['as they are', 'frag=no),tcp(src=1,dst=2)'],
    ['when they are later fragments', 'frag=later)'],
    ['when they are first fragments', 'frag=first),tcp(src=1,dst=2)'],
  ])('are paused and go on where they were, %s', async (_, rest) => {
    const sw = await connections.open(ovs, 'br0', { async: {} });
    await sw.send([toController('controller(userdata=07,pause),set_field:1->reg0,output:2')]);
    const packet = next(sw);
    await ovs.receive(
      'p1',
      `in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,tos=0,ttl=64,${rest}`,
    );
    const got = await packet;
    if (got.type !== 'packet_in2') throw new Error(got.type);
    expect(got.continuation?.length).toBeGreaterThan(0);
    await sent(sw, 2, 0n);
    sw.resume(got);
    await sent(sw, 2, 1n);
  });

  it('cannot be resumed unless they were paused', async () => {
    const sw = await connections.open(ovs, 'br0', { async: {} });
    expect(() => sw.resume({ type: 'packet_in2', xid: 0, packet: PACKET, metadata: [] })).toThrow(
      /did not say "pause"/,
    );
  });

  it('wait in a queue of bounded length', async () => {
    const sw = await connections.open(ovs, 'br0', { async: {} });
    await sw.send([toController('controller')]);
    const queue = sw.packetIns({ limit: 3 });
    let seen = 0;
    sw.onMessage((message) => {
      seen += message.type === 'packet_in2' ? 1 : 0;
    });
    for (let port = 1; port <= 5; port += 1) await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', port));
    await until(
      'five packets',
      () => seen === 5,
      () => seen,
    );
    expect(queue.dropped).toBe(2);
    const ports: string[] = [];
    for await (const packet of queue) {
      if (packet.type === 'packet_in2') ports.push(Buffer.from(packet.packet).subarray(36, 38).toString('hex'));
      if (ports.length === 3) break;
    }
    expect(ports).toEqual(['0003', '0004', '0005']);
  });
});

describe('packets from the controller', () => {
  it('go out of ports and through tables, with registers that OpenFlow 1.5 lets them have', async () => {
    const sw = await connections.open(ovs);
    sw.packetOut({ data: PACKET, actions: parseActions('output:2') });
    await sent(sw, 2, 1n);
    await sw.send([parseFlow('table=0,reg3=5,actions=output:2'), parseFlow('table=0,priority=1,actions=drop')]);
    const table = parseActions('output:TABLE');
    sw.packetOut({ data: PACKET, match: match({ in_port_oxm: PORTS.CONTROLLER, reg3: 5 }), actions: table });
    await sent(sw, 2, 2n);
    sw.packetOut({ data: PACKET, match: match({ in_port_oxm: PORTS.CONTROLLER, reg3: 6 }), actions: table });
    await until('the drop', async () =>
      (await sw.dumpFlows()).some((flow) => flow.packetCount === 1n && flow.priority === 1),
    );
    await sent(sw, 2, 2n);
  });
});

describe('other messages that the switch sends by itself', () => {
  it('are those that the masks choose: ports, flows that are removed and why', async () => {
    const sw = await connections.open(ovs, 'br0', { async: { primary: { portStatus: 0, flowRemoved: 1 << 2 } } });
    const got: string[] = [];
    sw.onMessage((message) => {
      got.push('reason' in message ? `${message.type} ${message.reason}` : message.type);
    });
    await sw.send([parseFlow('table=2,send_flow_rem,actions=drop')]);
    await ovs.addPort('br0', 'p3', 3);
    await sw.send([parseFlow('table=2', 'delete')]);
    await until('the removed flow', () => got.length > 0);
    expect(got).toEqual(['flow_removed delete']);
    await sw.setAsync({ primary: { portStatus: 7, flowRemoved: 0 } });
    await ovs.addPort('br0', 'p4', 4);
    await until('the port', () => got.length > 1);
    expect(got[1]).toBe('port_status add');
  });
});

describe('what is set per connection', () => {
  it('is set again at the next one', async () => {
    const sw = await connections.open(ovs, 'br0', {
      async: { controllerId: 7 },
      role: { role: 'secondary', generationId: 1n },
    });
    await sw.setRole('primary', 2n);
    await ovs.restartSwitch();
    await until(
      'the new connection',
      () => sw.state === 'connected',
      () => sw.state,
    );
    const role = await sw.request<'role_request'>({ type: 'role_request', role: 'nochange', generationId: 0n });
    expect(role).toMatchObject({ role: 'primary', generationId: 2n });
    await sw.send([toController('controller(id=7,userdata=01)')]);
    const packet = next(sw);
    await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
    expect((await packet).type).toBe('packet_in2');
  });
});
