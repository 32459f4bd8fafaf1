import { describe, expect, it } from 'vitest';
import { OpenFlowError } from './error.ts';
import { match } from './match.ts';
import type { Message } from './message.ts';
import { encodeMessage } from './message-codec.ts';
import type { FlowStatsReply } from './messages/flow-stats.ts';
import { Session, type SessionOptions } from './session.ts';
import { FakeClock, FakeSwitch, type FakeSwitchOptions, settle } from './test-support.ts';
import { OF13, OF14, OF15 } from './version.ts';

interface Pair {
  readonly sw: FakeSwitch;
  readonly session: Session;
  readonly messages: Message[];
  readonly errors: OpenFlowError[];
}

function pair(options: FakeSwitchOptions = {}, more: Partial<SessionOptions> = {}): Pair {
  const sw = new FakeSwitch(options);
  const [messages, errors]: [Message[], OpenFlowError[]] = [[], []];
  const session = new Session({
    stream: sw.stream,
    probeIntervalMs: 0,
    onMessage: (message) => messages.push(message),
    onError: (error) => errors.push(error),
    ...more,
  });
  return { sw, session, messages, errors };
}

async function failure(promise: Promise<unknown>): Promise<OpenFlowError> {
  const error = await promise.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OpenFlowError);
  return error as OpenFlowError;
}

const flow = (priority: number): { type: 'flow_mod'; priority: number; match: []; actions: [] } => ({
  type: 'flow_mod',
  priority,
  match: [],
  actions: [],
});

function flowsReply(xid: number, priorities: readonly number[], more: boolean): FlowStatsReply {
  const counters = { durationSec: 0, durationNsec: 0, packetCount: 0n, byteCount: 0n, idleAge: 0, idleNsec: 0 };
  const rest = { cookie: 0n, idleTimeout: 0, hardTimeout: 0, flags: 0, importance: 0, ...counters, actions: [] };
  const flows = priorities.map((priority) => ({ tableId: 0, priority, match: [], ...rest }));
  return { type: 'flow_stats_reply', xid, more, flows };
}

describe('greeting', () => {
  it.each([
    { name: '1.5', version: OF15 },
    { name: '1.4', version: OF14 },
    { name: '1.3', version: OF13 },
  ] as const)('falls back to $name, the only version of the switch', async ({ version }) => {
    const { session } = pair({ version });
    expect(await session.ready).toBe(version);
  });

  it('falls back when the switch sends a lower version and no bitmap', async () => {
    const { session } = pair({ greeting: Uint8Array.from([4, 0, 0, 8, 0, 0, 0, 1]) });
    expect(await session.ready).toBe(OF13);
  });

  it('refuses a switch without a common version, and says so to it', async () => {
    const { session, sw } = pair({ version: OF14, greeting: Uint8Array.from([1, 0, 0, 8, 0, 0, 0, 9]) });
    const error = await failure(session.ready);
    expect(error.code).toBe('unsupported_version');
    expect(error.message).toMatch(/we offer OpenFlow 1.5, 1.4, 1.3; the other side up to 0x01/);
    const told = await sw.message('error');
    expect(told).toMatchObject({ errorType: 0, code: 0, xid: 9 });
    expect(new TextDecoder().decode(told.data)).toMatch(/we offer OpenFlow 1.5/);
  });

  it('reports the text with which a switch refuses it', async () => {
    const data = new TextEncoder().encode('only 1.0 here');
    const { session } = pair({
      greeting: encodeMessage(OF13, { type: 'error', xid: 1, errorType: 0, code: 0, data }),
    });
    const error = await failure(session.ready);
    expect(error).toMatchObject({ code: 'unsupported_version', switchError: { name: 'OFPHFC_INCOMPATIBLE' } });
    expect(error.message).toMatch(/only 1.0 here/);
  });
});

describe('echo', () => {
  it('is answered with the same transaction id and bytes', async () => {
    const { session, sw } = pair();
    await session.ready;
    const data = Uint8Array.from([1, 2, 3]);
    sw.send({ type: 'echo_request', xid: 77, data });
    const reply = await sw.message('echo_reply');
    expect(reply.xid).toBe(77);
    expect([...reply.data]).toEqual([...data]);
  });

  it('finds a dead switch: one probe, then the end', async () => {
    const clock = new FakeClock();
    const { session, sw } = pair({}, { clock, probeIntervalMs: 5_000 });
    await session.ready;
    await clock.advance(5_000);
    expect(sw.received.map((message) => message.type)).toEqual(['echo_request']);
    await clock.advance(4_999);
    expect(session.reason).toBeUndefined();
    await clock.advance(1);
    expect((await session.ended).code).toBe('inactive');
  });

  it('lets a switch live that answers, and one that has much to do', async () => {
    const clock = new FakeClock();
    const echo = (message: Message): readonly Message[] | undefined =>
      message.type === 'echo_request' ? [{ ...message, type: 'echo_reply' }] : undefined;
    const { session } = pair({ answer: echo }, { clock, probeIntervalMs: 5_000 });
    await session.ready;
    await clock.advance(60_000);
    expect(session.reason).toBeUndefined();

    const busy = pair({}, { clock, probeIntervalMs: 5_000 });
    await busy.session.ready;
    const dump = failure(busy.session.request<'flow_stats_request'>({ type: 'flow_stats_request' }));
    await clock.advance(50_000);
    expect(busy.session.reason).toBeUndefined();
    await clock.advance(60_000);
    expect(busy.session.reason).toBeDefined();
    expect(['timeout', 'disconnected']).toContain((await dump).code);
  });

  it('ends with a switch that asks and never reads', async () => {
    const { session, sw } = pair();
    await session.ready;
    sw.hold(true);
    const data = new Uint8Array(60_000);
    for (let i = 0; i < 400; i += 1) sw.send({ type: 'echo_request', xid: i, data });
    expect((await session.ended).code).toBe('inactive');
  });
});

describe('the reader', () => {
  it('keeps the order in which messages came, whatever they are', async () => {
    const order: string[] = [];
    const { session, sw } = pair({}, { onMessage: (message) => order.push(`${message.type} ${message.xid}`) });
    await session.ready;
    const dump = session.request<'flow_stats_request'>(
      { type: 'flow_stats_request' },
      { onPart: (part) => order.push(`part ${part.flows.length}`) },
    );
    const { xid } = await sw.message('flow_stats_request');
    sw.send(
      { type: 'role_status', xid: 0, role: 'equal', reason: 0, generationId: 0n, data: new Uint8Array() },
      flowsReply(xid, [1, 2], true),
      { type: 'barrier_reply', xid: 999 },
      flowsReply(xid, [3], false),
      { type: 'flow_monitor_reply', xid: 0, more: false, updates: [] },
    );
    await dump;
    expect(order).toEqual(['role_status 0', 'part 2', 'barrier_reply 999', 'part 1', 'flow_monitor_reply 0']);
  });

  it('goes on after a message that cannot be decoded', async () => {
    const { session, sw, messages, errors } = pair();
    await session.ready;
    const good = encodeMessage(OF15, { type: 'packet_in2', xid: 0, packet: Uint8Array.from([1]), metadata: [] });
    const bad = Uint8Array.from(good);
    bad[18] = 0xff; // the length of its first property
    bad[19] = 0xff;
    sw.raw(Buffer.concat([bad, good]));
    const barrier = session.request<'barrier_request'>({ type: 'barrier_request' });
    await barrier;
    expect(errors.map((error) => error.code)).toEqual(['malformed']);
    expect(messages.map((message) => message.type)).toEqual(['packet_in2']);
  });

  it('tells the one who asked when the answer cannot be decoded', async () => {
    const { session, sw } = pair();
    await session.ready;
    const request = failure(
      session.request<'role_request'>({ type: 'role_request', role: 'nochange', generationId: 0n }),
    );
    const { xid } = await sw.message('role_request');
    const bytes = Uint8Array.from([6, 25, 0, 12, 0, 0, 0, xid, 0, 0, 0, 1]);
    sw.raw(bytes);
    expect((await request).code).toBe('malformed');
    await session.request<'barrier_request'>({ type: 'barrier_request' });
  });

  it('goes on when a listener throws', async () => {
    const { session, sw, errors } = pair(
      {},
      {
        onMessage: () => {
          throw new Error('no');
        },
      },
    );
    await session.ready;
    sw.send({ type: 'flow_monitor_reply', xid: 0, more: false, updates: [] });
    await session.request<'barrier_request'>({ type: 'barrier_request' });
    expect(errors.map((error) => error.message)).toEqual(['no']);
  });

  it('gives up a stream in which the next message cannot be found', async () => {
    const { session, sw } = pair();
    await session.ready;
    sw.raw(Uint8Array.from([6, 3, 0, 4, 0, 0, 0, 0]));
    expect((await session.ended).code).toBe('malformed');
  });
});

describe('multipart replies', () => {
  it('are joined, however long they take to come', async () => {
    const clock = new FakeClock();
    const { session, sw } = pair({}, { clock });
    await session.ready;
    const dump = session.request<'flow_stats_request'>({ type: 'flow_stats_request' });
    const { xid } = await sw.message('flow_stats_request');
    for (let part = 0; part < 5; part += 1) {
      sw.send(flowsReply(xid, [part * 2, part * 2 + 1], part < 4));
      await clock.advance(30_000);
    }
    const reply = await dump;
    expect(reply.flows.map(({ priority }) => priority)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(reply.more).toBe(false);
  });

  it('are refused beyond the cap; the rest of them is ignored, the connection lives', async () => {
    const { session, sw, messages } = pair({}, { maxReplyBytes: 10_000 });
    await session.ready;
    const dump = failure(session.request<'flow_stats_request'>({ type: 'flow_stats_request' }));
    const { xid } = await sw.message('flow_stats_request');
    const many = Array.from({ length: 100 }, (_, at) => at);
    for (let part = 0; part < 5; part += 1) sw.send(flowsReply(xid, many, part < 4));
    expect(await dump).toMatchObject({ code: 'too_large' });
    await session.request<'barrier_request'>({ type: 'barrier_request' });
    expect(messages).toEqual([]);
  });

  it('end with a deadline when the rest does not come', async () => {
    const clock = new FakeClock();
    const { session, sw } = pair({}, { clock });
    await session.ready;
    const dump = failure(session.request<'flow_stats_request'>({ type: 'flow_stats_request' }));
    const { xid } = await sw.message('flow_stats_request');
    sw.send(flowsReply(xid, [1], true));
    await clock.advance(60_000);
    expect(await dump).toMatchObject({ code: 'timeout', retryable: true });
  });
});

describe('lists of messages', () => {
  it('end with a barrier, and with the first error by index', async () => {
    const { session, sw } = pair({
      answer: (message) => {
        if (message.type !== 'flow_mod' || (message.priority ?? 0) < 5) return undefined;
        const data = encodeMessage(OF15, message);
        return [{ type: 'error', xid: message.xid, errorType: 5, code: 1, data }];
      },
    });
    await session.ready;
    const error = await failure(session.send([flow(1), flow(5), flow(2), flow(6)]));
    expect(error).toMatchObject({ code: 'switch_error', index: 1, switchError: { name: 'OFPFMFC_TABLE_FULL' } });
    expect(error.offending).toMatchObject({ type: 'flow_mod', priority: 5 });
    expect(error.message).toMatch(/message 1: the switch answers OFPFMFC_TABLE_FULL to: OFPT_FLOW_MOD .*priority=5/);
    expect(sw.received).toHaveLength(5);
    await session.send([flow(1)]);
  });

  it('say which message cannot be encoded', async () => {
    const { session } = pair();
    await session.ready;
    const bad = { ...flow(1), actions: [{ type: 'goto_table', table: 900 } as const] };
    expect(await failure(session.send([flow(1), bad]))).toMatchObject({ code: 'invalid_value', index: 1 });
    const old = pair({ version: OF13 });
    await old.session.ready;
    const monitor = { type: 'flow_monitor_request', id: 1, command: 'delete', flags: 0 } as const;
    expect(await failure(old.session.request<'flow_monitor_request'>(monitor))).toMatchObject({ code: 'unencodable' });
    expect(() => old.session.post(monitor)).toThrow(/OpenFlow 1.3 ends a flow monitor by flow_monitor_cancel/);
  });

  it('are made into bytes no faster than the switch reads', async () => {
    const { session, sw } = pair();
    await session.ready;
    sw.hold(true);
    const entries = match({ eth_type: 0x86dd, ipv6_src: 1n, ipv6_dst: 2n });
    const done = session.send(Array.from({ length: 20_000 }, () => ({ ...flow(1), match: entries })));
    await settle();
    expect(session.backlog.waiting).toBe(2);
    expect(session.backlog.bytes).toBeLessThan(300_000);
    sw.hold(false);
    await done;
    expect(sw.received).toHaveLength(20_001);
    expect(session.backlog).toEqual({ bytes: 0, waiting: 0 });
  });
});

describe('the end', () => {
  it('rejects all that waits: what was sent and changes something has an unknown outcome', async () => {
    const { session, sw } = pair({ answer: () => [] });
    await session.ready;
    const waiting = [
      session.request<'barrier_request'>({ type: 'barrier_request' }),
      session.request<'role_request'>({ type: 'role_request', role: 'equal', generationId: 0n }),
      session.send([flow(1)]),
    ].map(failure);
    await sw.message('flow_mod');
    sw.end();
    expect((await Promise.all(waiting)).map((error) => error.code)).toEqual([
      'disconnected',
      'outcome_unknown',
      'outcome_unknown',
    ]);
    expect((await failure(session.send([flow(1)]))).code).toBe('disconnected');
    expect(() => session.post(flow(1))).toThrow(/not connected/);
  });

  it('is `closed` when the user wants it', async () => {
    const { session } = pair({ answer: () => [] });
    await session.ready;
    const barrier = failure(session.request<'barrier_request'>({ type: 'barrier_request' }));
    session.close(new OpenFlowError('closed', 'enough'));
    expect(await barrier).toMatchObject({ code: 'closed', retryable: false });
    expect((await session.ended).message).toBe('enough');
  });
});
