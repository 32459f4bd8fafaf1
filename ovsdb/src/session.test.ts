import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Clock } from './clock.ts';
import { OvsdbError } from './error.ts';
import { JsonFramer } from './framer.ts';
import type { Json } from './json.ts';
import { Session } from './session.ts';

/** A clock that moves when told. */
class ManualClock implements Clock {
  #now = 0;
  readonly #tasks = new Set<{ readonly at: number; readonly task: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, task: () => void): () => void {
    const entry = { at: this.#now + ms, task };
    this.#tasks.add(entry);
    return () => this.#tasks.delete(entry);
  }

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const entry of this.#tasks) {
      if (entry.at <= this.#now) {
        this.#tasks.delete(entry);
        entry.task();
      }
    }
    await turn();
  }
}

/** Lets streams and immediates run. */
async function turn(): Promise<void> {
  for (let i = 0; i < 5; i += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

interface Peer {
  readonly session: Session;
  readonly stream: Duplex;
  readonly received: { readonly id: Json; readonly method?: string; readonly params?: Json; readonly result?: Json }[];
  readonly notified: [string, Json][];
  readonly clock: ManualClock;
}

function open(options: { readonly onNotification?: (method: string, params: Json) => void } = {}): Peer {
  const [mine, theirs] = duplexPair();
  const received: Peer['received'] = [];
  const notified: [string, Json][] = [];
  const framer = new JsonFramer((text) => received.push(JSON.parse(text) as Peer['received'][number]));
  theirs.on('data', (chunk: Buffer) => framer.push(chunk));
  const clock = new ManualClock();
  const session = new Session({
    stream: mine,
    clock,
    probeIntervalMs: 1_000,
    onNotification: options.onNotification ?? ((method, params) => notified.push([method, params])),
  });
  return { session, stream: theirs, received, notified, clock };
}

describe('Session', () => {
  it('matches replies to calls by id, in any order', async () => {
    const { session, stream, received } = open();
    const first = session.call('list_dbs', []);
    const second = session.call('get_schema', ['db']);
    await turn();
    expect(received).toEqual([
      { id: 1, method: 'list_dbs', params: [] },
      { id: 2, method: 'get_schema', params: ['db'] },
    ]);
    stream.write('{"id":2,"result":{"a":1},"error":null}{"id":1,"result":["db"],"error":null}');
    expect(await first).toEqual(['db']);
    expect(await second).toEqual({ a: 1 });
  });

  it('rejects a call with the error of the server', async () => {
    const { session, stream } = open();
    const call = session.call('get_schema', ['db']);
    stream.write('{"id":1,"result":null,"error":{"error":"unknown database","details":"no db"}}');
    await expect(call).rejects.toMatchObject({
      code: 'unknown_database',
      serverError: 'unknown database',
      details: 'no db',
    });
    const other = session.call('strange', []);
    stream.write('{"id":2,"result":null,"error":"unknown method"}');
    await expect(other).rejects.toMatchObject({ code: 'server_error', serverError: 'unknown method' });
  });

  it('hands over a result before what follows it in the same chunk', async () => {
    const order: string[] = [];
    const { session, stream } = open({ onNotification: (method) => order.push(method) });
    const call = session.call('monitor', [], { onResult: () => order.push('result') });
    stream.write('{"id":1,"result":{},"error":null}{"id":null,"method":"update","params":[]}');
    await call;
    expect(order).toEqual(['result', 'update']);
  });

  it('answers echo, refuses other requests, passes notifications on', async () => {
    const { stream, received, notified } = open();
    stream.write('{"id":"x","method":"echo","params":["a"]}{"id":7,"method":"strange","params":[]}');
    stream.write('{"id":null,"method":"update2","params":[1]}');
    await turn();
    expect(received).toEqual([
      { id: 'x', result: ['a'], error: null },
      { id: 7, result: null, error: 'unknown method' },
    ]);
    expect(notified).toEqual([['update2', [1]]]);
  });

  it('ends calls in flight: transactions with an unknown outcome, others with the reason', async () => {
    const { session, stream } = open();
    const transact = session.call('transact', ['db']);
    const list = session.call('list_dbs', []);
    const ends = Promise.allSettled([transact, list]);
    stream.end();
    const [a, b] = await ends;
    expect(a).toMatchObject({ reason: { code: 'outcome_unknown', retryable: false } });
    expect(b).toMatchObject({ reason: { code: 'disconnected', retryable: true } });
    expect(await session.ended).toMatchObject({ code: 'disconnected' });
    await expect(session.call('list_dbs', [])).rejects.toMatchObject({ code: 'disconnected' });
  });

  it.each<[string, string]>([
    ['bytes that are not JSON-RPC', 'HTTP/1.1 400\r\n'],
    ['braces that are not JSON', '{nonsense}'],
    ['a reply to no call', '{"id":99,"result":1,"error":null}'],
  ])('ends with protocol_error on %s', async (_, bytes) => {
    const { session, stream } = open();
    stream.write(bytes);
    expect(await session.ended).toMatchObject({ code: 'protocol_error', retryable: false });
  });

  it('ends when a handler throws', async () => {
    const { session, stream } = open({
      onNotification: () => {
        throw new OvsdbError('unsuitable_server', 'not the leader');
      },
    });
    stream.write('{"id":null,"method":"update","params":[]}');
    expect(await session.ended).toMatchObject({ code: 'unsuitable_server' });
  });

  it('sends cancel when a call is aborted, and ends as the server says', async () => {
    const { session, stream, received } = open();
    const abort = new AbortController();
    const call = session.call('transact', ['db'], { signal: abort.signal });
    abort.abort();
    await turn();
    expect(received[1]).toEqual({ id: null, method: 'cancel', params: [1] });
    stream.write('{"id":1,"result":null,"error":"canceled"}');
    await expect(call).rejects.toMatchObject({ code: 'canceled' });
    await expect(session.call('list_dbs', [], { signal: abort.signal })).rejects.toMatchObject({ code: 'closed' });
  });

  it('probes a silent peer, and gives it up after as long again', async () => {
    const { session, received, clock } = open();
    await clock.advance(999);
    expect(received).toHaveLength(0);
    await clock.advance(1);
    expect(received).toEqual([{ id: 'probe', method: 'echo', params: [] }]);
    expect(session.reason).toBeUndefined();
    await clock.advance(1_000);
    expect(await session.ended).toMatchObject({ code: 'inactive', retryable: true });
  });

  it('takes any byte for a sign of life', async () => {
    const { session, stream, received, clock } = open();
    const call = session.call('get_schema', ['db']);
    for (const bytes of ['{"id":1,', '"result":', '1', ',"error":null']) {
      await clock.advance(1_000);
      stream.write(bytes);
      await turn();
    }
    expect(session.reason).toBeUndefined();
    stream.write('}');
    expect(await call).toBe(1);
    expect(received.filter(({ id }) => id === 'probe').length).toBeLessThanOrEqual(4);
    stream.write('{"id":"probe","result":[],"error":null}');
    await turn();
    expect(session.reason).toBeUndefined();
  });

  it('lets a server prepare a dump in silence for a minute', async () => {
    const { session, clock } = open();
    const call = session.call('monitor_cond_since', [], { slow: true });
    call.catch(() => undefined);
    for (let i = 0; i < 59; i += 1) {
      await clock.advance(1_000);
    }
    expect(session.reason).toBeUndefined();
    for (let i = 0; i < 62; i += 1) {
      await clock.advance(1_000);
    }
    expect(await session.ended).toMatchObject({ code: 'inactive' });
  });
});
