/** The client against a scripted server on a unix socket: what a real server does only rarely, or not any more. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from './client.ts';
import type { Client, ClientEvent } from './client-api.ts';
import { JsonFramer } from './framer.ts';
import type { Json } from './json.ts';
import { defineDatabase } from './spec.ts';
import { Transaction } from './transaction.ts';
import type { AnyDatabase } from './types.ts';

const A = '11111111-1111-4111-8111-111111111111';
const CID = '99999999-9999-4999-8999-999999999999';
const T1 = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const SPEC = defineDatabase<AnyDatabase>('db', {
  t: { name: 'string', words: 'string*', later: 'string' },
  gone: { x: 'string' },
});
const SCHEMA: Json = {
  name: 'db',
  version: '1.2.3',
  tables: {
    t: { columns: { name: { type: 'string' }, words: { type: { key: 'string', min: 0, max: 'unlimited' } } } },
  },
};

type Answer = Json | Error | undefined;
/** Answers a request; an Error is the JSON-RPC error, undefined no answer at all. */
type Script = (method: string, params: readonly Json[], peer: Peer) => Answer;

interface Peer {
  readonly notify: (method: string, params: Json) => void;
  readonly socket: Socket;
}

class ScriptedServer {
  readonly path: string;
  readonly requests: string[] = [];
  readonly peers: Peer[] = [];
  readonly #server: Server;

  constructor(path: string, script: Script) {
    this.path = path;
    this.#server = createServer((socket) => {
      const peer: Peer = {
        socket,
        notify: (method, params) => socket.write(JSON.stringify({ id: null, method, params })),
      };
      this.peers.push(peer);
      const framer = new JsonFramer((text) => {
        const { id, method, params } = JSON.parse(text) as { id: Json; method: string; params: readonly Json[] };
        this.requests.push(method);
        const answer = script(method, params, peer);
        if (answer instanceof Error) {
          socket.write(JSON.stringify({ id, result: null, error: answer.message }));
        } else if (answer !== undefined) {
          socket.write(JSON.stringify({ id, result: answer, error: null }));
        }
      });
      socket.on('data', (chunk: Buffer) => framer.push(chunk));
      socket.on('error', () => undefined);
    });
    this.#server.listen(path);
  }

  async close(): Promise<void> {
    for (const { socket } of this.peers) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }
}

let dir: string;
const servers: ScriptedServer[] = [];
const clients: Client<AnyDatabase>[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ovsdb-'));
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await rm(dir, { recursive: true, force: true });
});

function serve(script: Script): ScriptedServer {
  const server = new ScriptedServer(join(dir, `${servers.length}.sock`), script);
  servers.push(server);
  return server;
}

/** A client, and promises for its events. */
function open(remotes: readonly string[], leaderOnly = false) {
  const events: ClientEvent[] = [];
  const waiters = new Set<() => void>();
  const client = connect<AnyDatabase>({
    remotes,
    database: SPEC,
    monitor: { t: true, gone: true },
    leaderOnly,
    random: () => 0,
    // In this clock a machine that stands still for a second is a dead peer.
    probeIntervalMs: 0,
    clock: {
      now: () => performance.now(),
      after: (ms, task) => {
        const timer = setTimeout(task, ms / 10);
        return () => clearTimeout(timer);
      },
    },
    onEvent: (event) => {
      events.push(event);
      for (const waiter of waiters) {
        waiter();
      }
    },
  });
  clients.push(client);
  const seen = (predicate: (event: ClientEvent) => boolean): Promise<ClientEvent> =>
    new Promise((resolve) => {
      const check = (): void => {
        const event = events.find(predicate);
        if (event !== undefined) {
          waiters.delete(check);
          resolve(event);
        }
      };
      waiters.add(check);
      check();
    });
  return { client, events, seen };
}

const disconnectedBy =
  (code: string) =>
  (event: ClientEvent): boolean =>
    event.type === 'disconnected' && event.error.code === code;

function standalone(rest: Script): Script {
  return (method, params, peer) => {
    switch (method) {
      case 'monitor_cond':
        if (params[0] === '_Server') {
          return new Error('unknown database');
        }
        return rest(method, params, peer);
      case 'get_schema':
        return SCHEMA;
      default:
        return rest(method, params, peer);
    }
  };
}

/** The row of `_Server.Database`. */
function clustered(row: { readonly leader: boolean; readonly connected?: boolean; readonly index: number }): Json {
  const status = {
    name: 'db',
    model: 'clustered',
    connected: row.connected ?? true,
    leader: row.leader,
    cid: ['uuid', CID],
    index: row.index,
  };
  return { Database: { [A]: { initial: status } } };
}

describe('connect', () => {
  it('leaves out of the monitor what the server lacks, and says so', async () => {
    const asked: Json[] = [];
    const server = serve(
      standalone((method, params) => {
        if (method === 'monitor_cond_since') {
          asked.push(params);
          return [false, T1, { t: { [A]: { initial: { name: 'a' } } } }];
        }
        return {};
      }),
    );
    const { client, seen } = open([`unix:${server.path}`]);
    await client.synced();
    expect(asked).toEqual([
      ['db', 'db', { t: [{ columns: ['name', 'words'] }] }, '00000000-0000-0000-0000-000000000000'],
    ]);
    expect(await seen((event) => event.type === 'connected')).toMatchObject({
      schemaVersion: '1.2.3',
      missing: ['t.later', 'gone'],
    });
    expect(client.replica.table('t').get(A)?.['later']).toBe('');
    expect([client.hasTable('gone'), client.hasColumn('t', 'later'), client.hasColumn('t', 'name')]).toEqual([
      false,
      false,
      true,
    ]);
    await expect(client.transact(new Transaction(SPEC).select('gone', []))).rejects.toMatchObject({
      code: 'unknown_table',
    });
  });

  it.each([['monitor_cond'], ['monitor']])('falls back to %s', async (dialect) => {
    const kind = dialect === 'monitor' ? 'new' : 'initial';
    const server = serve(
      standalone((method, _params, peer) => {
        if (method === dialect) {
          setImmediate(() =>
            dialect === 'monitor'
              ? peer.notify('update', [
                  'db',
                  { t: { [A]: { old: { name: 'a' }, new: { name: 'b', words: ['set', []] } } } },
                ])
              : peer.notify('update2', ['db', { t: { [A]: { modify: { name: 'b' } } } }]),
          );
          return { t: { [A]: { [kind]: { name: 'a' } } } };
        }
        return new Error('unknown method');
      }),
    );
    const { client } = open([`unix:${server.path}`]);
    const changed = new Promise<void>((resolve) => {
      client.replica.onChange((changes) => changes.some((change) => change.old !== undefined) && resolve());
    });
    await client.synced();
    await changed;
    expect(client.replica.table('t').get(A)?.['name']).toBe('b');
  });

  it('resumes from the transaction of the last update3, in one piece with the reply', async () => {
    const since: Json[] = [];
    const server = serve(
      standalone((method, params, peer) => {
        if (method !== 'monitor_cond_since') {
          return {};
        }
        since.push(params[3] ?? null);
        if (since.length === 2) {
          return [true, T1, { t: { [A]: { modify: { words: ['set', ['x', 'y']] } } } }];
        }
        const reply = JSON.stringify({
          id: 2,
          result: [false, A, { t: { [A]: { initial: { name: 'a', words: 'x' } } } }],
          error: null,
        });
        const update = JSON.stringify({
          id: null,
          method: 'update3',
          params: ['db', T1, { t: { [A]: { modify: { name: 'b' } } } }],
        });
        // Whatever the id of the call is: the client numbers calls from 1, and this is the third.
        peer.socket.write(reply.replace('"id":2', '"id":3') + update);
        setImmediate(() => peer.socket.destroy());
        return undefined;
      }),
    );
    const { client, seen } = open([`unix:${server.path}`]);
    await seen((event) => event.type === 'synced' && !event.reloaded);
    expect(since).toEqual(['00000000-0000-0000-0000-000000000000', T1]);
    expect([
      client.replica.generation,
      client.replica.table('t').get(A)?.['name'],
      client.replica.table('t').get(A)?.['words'],
    ]).toEqual([1, 'b', ['y']]);
  });

  it('loads anew after an update that does not fit', async () => {
    const since: Json[] = [];
    const server = serve(
      standalone((method, params, peer) => {
        if (method !== 'monitor_cond_since') {
          return {};
        }
        since.push(params[3] ?? null);
        if (since.length === 1) {
          setImmediate(() => peer.notify('update3', ['db', T1, { t: { [A]: { modify: { name: 'b' } } } }]));
        }
        return [false, T1, {}];
      }),
    );
    const { client, seen } = open([`unix:${server.path}`]);
    expect(await seen(disconnectedBy('protocol_error'))).toMatchObject({ error: { table: 't', row: A } });
    await client.synced();
    expect(since).toEqual(['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000']);
    expect(client.replica.generation).toBe(2);
  });

  it('loads anew, on the same connection, when the server cancels the monitor', async () => {
    let monitors = 0;
    const server = serve(
      standalone((method, _params, peer) => {
        if (method === 'monitor_cond_since') {
          monitors += 1;
          if (monitors === 1) {
            setImmediate(() => peer.notify('monitor_canceled', ['db']));
          }
          return [false, T1, {}];
        }
        return {};
      }),
    );
    const { seen, events } = open([`unix:${server.path}`]);
    await seen((event) => event.type === 'synced' && event.generation === 2);
    expect(monitors).toBe(2);
    expect(events.map(({ type }) => type)).toEqual(['connecting', 'connected', 'synced', 'connected', 'synced']);
  });

  it('goes from followers and cut-off members to the leader, and leaves it when it steps down', async () => {
    let index = 5;
    const member =
      (row: Parameters<typeof clustered>[0]): Script =>
      (method, params) => {
        switch (method) {
          case 'monitor_cond':
            return params[0] === '_Server' ? clustered(row) : new Error('unexpected');
          case 'get_schema':
            return SCHEMA;
          case 'monitor_cond_since':
            return [false, T1, {}];
          default:
            return {};
        }
      };
    const follower = serve(member({ leader: false, index: 5 }));
    const cutOff = serve(member({ leader: true, connected: false, index: 5 }));
    const leader = serve((method, params, peer) => member({ leader: true, index })(method, params, peer));
    const { client, events, seen } = open(
      [follower, cutOff, leader].map((server) => `unix:${server.path}`),
      true,
    );
    await client.synced();
    expect(client.remote).toBe(`unix:${leader.path}`);
    expect(events.filter(disconnectedBy('unsuitable_server'))).toMatchObject([
      { error: { message: expect.stringContaining('does not lead') as string } },
      { error: { message: expect.stringContaining('cut off') as string } },
    ]);
    leader.peers[0]?.notify('update2', ['_Server', { Database: { [A]: { modify: { leader: false, index: 9 } } } }]);
    await seen(
      (event) =>
        disconnectedBy('unsuitable_server')(event) && event.type === 'disconnected' && event.remote.endsWith('2.sock'),
    );
    // The same member comes back with less than was seen of it: refused, until it has caught up.
    index = 4;
    await seen((event) => event.type === 'disconnected' && event.error.message.includes('behind'));
    index = 10;
    await client.synced();
    expect(client.remote).toBe(`unix:${leader.path}`);
  });

  it('takes any member when it may', async () => {
    const server = serve((method, params) => {
      switch (method) {
        case 'monitor_cond':
          return params[0] === '_Server' ? clustered({ leader: false, index: 1 }) : new Error('unexpected');
        case 'get_schema':
          return SCHEMA;
        default:
          return [false, T1, {}];
      }
    });
    const { client } = open([`unix:${server.path}`]);
    await client.synced();
    expect(server.requests).toEqual(['monitor_cond', 'set_db_change_aware', 'get_schema', 'monitor_cond_since']);
  });

  it('refuses options that make no sense at once', () => {
    const bad = (options: object) => () => connect({ remotes: ['unix:/x'], database: SPEC, ...options });
    expect(bad({ remotes: [] })).toThrow(/invalid_value: `remotes` is empty/);
    expect(bad({ remotes: ['http://x'] })).toThrow(/"http:\/\/x" is not a remote: write unix:/);
    expect(bad({ remotes: ['tcp:host:99999'] })).toThrow(/not a remote/);
    expect(bad({ monitor: { nonsense: true } })).toThrow(/unknown_table/);
    expect(bad({ monitor: { t: { where: [['name', '==', 5]] } } })).toThrow(/invalid_value/);
  });
});
