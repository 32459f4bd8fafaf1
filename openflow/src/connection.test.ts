import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.ts';
import { connect } from './connection.ts';
import type { Connection, ConnectionEvent, ConnectOptions } from './connection-api.ts';
import { OpenFlowError } from './error.ts';
import type { Message } from './message.ts';
import { FakeClock, FakeSwitch, type FakeSwitchOptions, settle } from './test-support.ts';
import { OF13, OF15 } from './version.ts';

/** A switch whose every connection is a new fake; `down` makes attempts fail. */
class Site {
  readonly clock = new FakeClock();
  readonly switches: FakeSwitch[] = [];
  readonly events: ConnectionEvent[] = [];
  down = false;
  options: FakeSwitchOptions = {};

  connect(options: Partial<ConnectOptions> = {}): Connection {
    return connect({
      remote: () => {
        if (this.down) return Promise.reject(new OpenFlowError('connect_failed', 'down'));
        const sw = new FakeSwitch(this.options);
        this.switches.push(sw);
        return Promise.resolve(sw.stream);
      },
      clock: this.clock,
      random: () => 0.5,
      probeIntervalMs: 0,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  get last(): FakeSwitch {
    const sw = this.switches.at(-1);
    if (sw === undefined) throw new Error('no connection yet');
    return sw;
  }
}

const types = (sw: FakeSwitch): readonly string[] => sw.received.map((message) => message.type);

describe('waits between attempts', () => {
  it('grow to 8 s, and begin anew after a connection that held', () => {
    const backoff = new Backoff(() => 0.5);
    const waits = Array.from({ length: 7 }, () => backoff.next(undefined));
    expect(waits).toEqual([100, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    expect(backoff.next(7_999)).toBe(8_000);
    expect(backoff.next(8_000)).toBe(100);
    expect(backoff.next(99)).toBe(1_000);
    expect(new Backoff(() => 0).next(undefined)).toBe(75);
  });
});

describe('a connection', () => {
  it('waits for a switch without end', async () => {
    const site = new Site();
    site.down = true;
    const sw = site.connect();
    await site.clock.advance(3_600_000);
    const failed = site.events.filter((event) => event.type === 'disconnected');
    expect(failed.length).toBeGreaterThan(450);
    expect(sw.state).toBe('waiting');
    await expect(sw.barrier()).rejects.toMatchObject({ code: 'disconnected' });
    expect(() => sw.post({ type: 'barrier_request' })).toThrow(/wait for connected/);
    site.down = false;
    await site.clock.advance(8_000);
    await sw.connected();
    expect(sw.features?.datapathId).toBe(1n);
    expect(sw.version).toBe(OF15);
    await sw.close();
    expect(sw.state).toBe('closed');
    await expect(sw.connected()).rejects.toMatchObject({ code: 'closed' });
    await expect(sw.barrier()).rejects.toMatchObject({ code: 'closed' });
  });

  it('sends nothing but what it must when nothing is asked for', async () => {
    const site = new Site();
    const sw = site.connect();
    await sw.connected();
    expect(types(site.last)).toEqual(['features_request']);
    await sw.close();
  });

  it('sets up everything again after each loss', async () => {
    const site = new Site();
    const watched: string[] = [];
    site.options = {
      answer: (message): readonly Message[] | undefined => {
        if (message.type === 'role_request') return [{ ...message, type: 'role_reply' }];
        if (message.type === 'get_async_request') {
          return [{ type: 'get_async_reply', xid: message.xid, primary: { portStatus: 7 }, secondary: {} }];
        }
        if (message.type === 'flow_monitor_request') {
          return [{ type: 'flow_monitor_reply', xid: message.xid, more: false, updates: [] }];
        }
        return undefined;
      },
    };
    const sw = site.connect({
      async: { controllerId: 9, primary: { flowRemoved: 4 } },
      role: { role: 'secondary', generationId: 1n },
      setup: async (session) => {
        await session.send([{ type: 'tlv_table_mod', command: 'clear', maps: [] }]);
      },
    });
    await sw.connected();
    await sw.watchFlows({
      onStart: () => watched.push('start'),
      onUpdates: (updates) => watched.push(...updates.map((update) => update.event)),
    });
    await sw.setRole('primary', 2n);
    const expected = [
      ...['features_request', 'get_async_request', 'set_config', 'set_controller_id', 'set_packet_in_format'],
      ...['set_async', 'barrier_request', 'role_request', 'tlv_table_mod', 'barrier_request', 'flow_monitor_request'],
    ];
    for (let round = 0; round < 3; round += 1) {
      site.last.end();
      await settle();
      expect(sw.state).toBe('waiting');
      await site.clock.advance(9_000);
      expect(sw.state).toBe('connected');
      expect(types(site.last)).toEqual(expected);
      expect(await site.last.message('set_async')).toMatchObject({ primary: { portStatus: 7, flowRemoved: 4 } });
      expect(await site.last.message('role_request')).toMatchObject({ role: 'primary', generationId: 2n });
      expect(await site.last.message('set_controller_id')).toMatchObject({ controllerId: 9 });
      site.last.send({ type: 'flow_monitor_reply', xid: 0, more: false, updates: [{ event: 'paused' }] });
      await settle();
    }
    expect(watched).toEqual(['start', 'start', 'paused', 'start', 'paused', 'start', 'paused']);
    await sw.close();
  });

  it('rejects what is in flight when it is lost, and what waits when it is closed', async () => {
    const site = new Site();
    site.options = { answer: (message) => (message.type === 'features_request' ? undefined : []) };
    const sw = site.connect();
    await sw.connected();
    const barrier = sw.barrier().catch((error: unknown) => (error as OpenFlowError).code);
    await site.last.message('barrier_request');
    site.last.end();
    expect(await barrier).toBe('disconnected');
    const connected = sw.connected().catch((error: unknown) => (error as OpenFlowError).code);
    const packets = sw.packetIns().next();
    await sw.close();
    expect(await connected).toBe('closed');
    expect(await packets).toEqual({ done: true, value: undefined });
  });

  it('counts as made when the set-up is done, and says why it was not', async () => {
    const site = new Site();
    const failures: string[] = [];
    const sw = site.connect({
      versions: [OF15],
      setup: () =>
        failures.length === 0 ? Promise.reject(new OpenFlowError('switch_error', 'not yet')) : Promise.resolve(),
      onEvent: (event) => {
        if (event.type === 'disconnected') failures.push(event.error.message);
      },
    });
    await settle();
    expect(sw.state).toBe('waiting');
    site.options = { version: OF13 };
    await site.clock.advance(100);
    expect(failures).toHaveLength(2);
    site.options = {};
    await site.clock.advance(1_000);
    expect(failures).toEqual(['not yet', expect.stringMatching(/no common version: we offer OpenFlow 1.5/)]);
    expect(sw.state).toBe('connected');
    await sw.close();
  });

  it('gives up a switch that does not greet', async () => {
    const site = new Site();
    site.options = { greeting: undefined };
    const sw = site.connect();
    await site.clock.advance(5_000);
    expect(site.events.at(-1)).toMatchObject({ type: 'disconnected', error: { code: 'connect_failed' } });
    await sw.close();
  });

  it('hands back packet and continuation of a paused packet as they came', async () => {
    const site = new Site();
    const sw = site.connect();
    await sw.connected();
    const packet = Uint8Array.from({ length: 61 }, (_, at) => at * 7);
    const continuation = Uint8Array.from({ length: 33 }, (_, at) => 255 - at);
    const unknown = [{ propertyType: 200, data: Uint8Array.from([1, 2, 3]) }];
    setImmediate(() => {
      site.last.send({ type: 'packet_in2', xid: 0, packet, metadata: [], continuation, properties: unknown });
    });
    let value: Message | undefined;
    for await (const first of sw.packetIns()) {
      value = first;
      break;
    }
    if (value?.type !== 'packet_in2') throw new Error('no packet');
    sw.resume(value);
    const resumed = await site.last.message('resume');
    expect([...resumed.packet]).toEqual([...packet]);
    expect([...(resumed.continuation ?? [])]).toEqual([...continuation]);
    expect(resumed.properties).toHaveLength(1);
    await sw.close();
  });

  it('refuses a remote that is none', () => {
    expect(() => connect({ remote: 'br0' })).toThrow(/write unix:\/run\/openvswitch\/br0.mgmt, tcp:host:port/);
  });
});
