/** What happens when the connection or the switch goes away in the middle of something. */
import { once } from 'node:events';
import { type AddressInfo, connect as connectNet, createServer, type Server, type Socket } from 'node:net';
import { type FlowChange, match, OpenFlowError, parseFlow, parseFlows } from '@ovenbird/openflow';
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

function many(count: number): readonly FlowChange[] {
  return Array.from({ length: count }, (_, at) => ({
    type: 'flow_mod',
    tableId: 1,
    match: match({ eth_type: 0x800, ip_dst: at, nw_proto: 6, tcp_dst: 80 }),
    actions: [{ type: 'output', port: 1 }],
  }));
}

/** In front of a bridge: cuts connections after so many bytes towards the switch, and passes answers in small pieces. */
class Proxy implements AsyncDisposable {
  /** Bytes towards the switch until the connection is cut; Infinity: never. */
  cutAfter = Infinity;
  /** Bytes per write towards the client; Infinity: as they come. */
  pieceBytes = Infinity;
  /** Bytes towards the switch after which its answers are lost; Infinity: none are. */
  muteAfter = Infinity;
  passed = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(path: string) {
    this.#server = createServer((client) => {
      const target = connectNet(path);
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
      client.on('data', (chunk: Buffer) => {
        const room = this.cutAfter - this.passed;
        target.write(chunk.subarray(0, Math.max(0, room)));
        this.passed += chunk.length;
        if (chunk.length > room) this.cut();
      });
      target.on('data', (chunk: Buffer) => {
        if (this.passed >= this.muteAfter) return;
        for (let at = 0; at < chunk.length; at += this.pieceBytes)
          client.write(chunk.subarray(at, at + this.pieceBytes));
      });
    });
  }

  static async open(remote: string): Promise<Proxy> {
    const proxy = new Proxy(remote.replace('unix:', ''));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get remote(): string {
    return `tcp:127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe('the switch goes away', () => {
  it('in the middle of a bundle: all that waits is rejected, and nothing of it is there later', async () => {
    const sw = await connections.open(ovs);
    const thaw = ovs.freeze();
    const waiting = [sw.bundle(many(50_000)), sw.barrier(), sw.dumpFlows()].map(rejected);
    await until(
      'bytes on their way',
      () => sw.backlog.bytes > 0,
      () => sw.backlog,
    );
    await ovs.stopSwitch();
    thaw();
    const errors = await Promise.all(waiting);
    expect(errors.map((error) => error.code)).toEqual(['disconnected', 'disconnected', 'disconnected']);
    expect(errors.every((error) => error.retryable)).toBe(true);
    await ovs.startSwitch();
    await sw.connected();
    expect(await sw.dumpFlows()).toEqual([]);
    // The same call succeeds now.
    await sw.bundle(many(1_000));
    expect(await sw.dumpFlows()).toHaveLength(1_000);
  });

  it('again and again: it is waited for, and connected to each time', async () => {
    const sw = await connections.open(ovs);
    for (let round = 0; round < 3; round += 1) {
      await ovs.stopSwitch();
      await until(
        'the loss',
        () => sw.state !== 'connected',
        () => sw.state,
      );
      expect((await rejected(sw.bundle(many(1)))).code).toBe('disconnected');
      await ovs.startSwitch();
      await sw.connected();
      await sw.bundle(many(10));
    }
  });

  it('stops answering: it is given up after two probes', async () => {
    const errors: string[] = [];
    const sw = await connections.open(ovs, 'br0', {
      probeIntervalMs: 100,
      onEvent: (event) => {
        if (event.type === 'disconnected') errors.push(event.error.code);
      },
    });
    const thaw = ovs.freeze();
    const barrier = rejected(sw.barrier());
    expect(await barrier).toMatchObject({ code: 'disconnected', cause: { code: 'inactive' } });
    thaw();
    await sw.connected();
    expect(errors[0]).toBe('inactive');
    await sw.barrier();
  });
});

describe('the connection is cut', () => {
  it('anywhere in a bundle: nothing of it is committed, or all of it, and the error says what is known', async () => {
    await using proxy = await Proxy.open(ovs.remote('br0'));
    const flows = many(200);
    const control = await connections.open(ovs);
    const commit = async (left: number, mute = false): Promise<readonly [code: string, flows: number]> => {
      [proxy.cutAfter, proxy.muteAfter] = [Infinity, Infinity];
      const sw = await connections.open(ovs, 'br0', { remote: proxy.remote });
      proxy[mute ? 'muteAfter' : 'cutAfter'] = proxy.passed + left;
      const begin = proxy.passed;
      const done = sw.bundle(flows).then(
        () => `done ${proxy.passed - begin}`,
        (error: unknown) => (error instanceof OpenFlowError ? error.code : String(error)),
      );
      if (mute) {
        await until('the commit', async () => (await control.dumpFlows()).length > 0);
        proxy.cut();
      }
      const code = await done;
      await sw.close();
      const count = (await control.dumpFlows()).length;
      await control.send([parseFlow('', 'delete')]);
      return [code, count];
    };
    const [done, count] = await commit(Infinity);
    const whole = Number(done.replace('done ', ''));
    expect([count, whole > 10_000]).toEqual([200, true]);
    for (const left of [1, 100, whole / 3, whole / 2, whole - 33, whole - 24, whole - 17]) {
      expect(await commit(Math.floor(left)), `${left} of ${whole} bytes`).toEqual(['disconnected', 0]);
    }
    // The commit is the last 16 bytes: whether it arrived cannot be known.
    expect(await commit(whole - 15)).toEqual(['outcome_unknown', 0]);
    expect(await commit(whole - 1)).toEqual(['outcome_unknown', 0]);
    expect(await commit(whole, true)).toEqual(['outcome_unknown', 200]);
  });

  it('or dribbles: replies are put together from any pieces', async () => {
    await using proxy = await Proxy.open(ovs.remote('br0'));
    proxy.pieceBytes = 7;
    const sw = await connections.open(ovs, 'br0', { remote: proxy.remote });
    await sw.bundle(many(300));
    const flows = await sw.dumpFlows();
    expect(flows).toHaveLength(300);
    const reply = await sw.request<'table_features_request'>({ type: 'table_features_request', tables: [] });
    expect(reply.tables).toHaveLength(254);
  });
});

describe('much', () => {
  it('comes in many parts and is joined, or taken part by part, or refused beyond the cap', async () => {
    const sw = await connections.open(ovs);
    await sw.bundle(many(20_000));
    expect(await sw.dumpFlows()).toHaveLength(20_000);
    let [parts, flows] = [0, 0];
    await sw.request<'flow_stats_request'>(
      { type: 'flow_stats_request', tableId: 1 },
      {
        onPart: (part) => {
          parts += 1;
          flows += part.flows.length;
        },
      },
    );
    expect(flows).toBe(20_000);
    expect(parts).toBeGreaterThan(10);
    const small = await connections.open(ovs, 'br0', { maxReplyBytes: 1_000_000 });
    expect((await rejected(small.dumpFlows())).code).toBe('too_large');
    const one = parseFlow('table=1,tcp,nw_dst=0.0.0.7,tp_dst=80', 'delete_strict');
    await small.send([one]);
    expect(await small.dumpFlows({ match: match({ eth_type: 0x800, ip_dst: 7 }) })).toEqual([]);
    const { flowCount } = await small.request<'aggregate_request'>({ type: 'aggregate_request' });
    expect(flowCount).toBe(19_999);
  });

  it('in both directions at once leaves every answer with its request', async () => {
    const sw = await connections.open(ovs);
    await sw.send(parseFlows('table=3,tcp,actions=drop\ntable=4,udp,actions=drop\ntable=4,icmp,actions=drop'));
    const bundle = sw.bundle(many(5_000));
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, at) => sw.dumpFlows({ tableId: 3 + (at % 2) }).then((flows) => flows.length)),
    );
    expect(answers).toEqual(Array.from({ length: 300 }, (_, at) => 1 + (at % 2)));
    await bundle;
  });
});
