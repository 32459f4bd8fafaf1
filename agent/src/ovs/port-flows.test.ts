import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ovenbird/kube';
import { encodeMessage, type FlowUpdate, MONITOR_FLAGS, match } from '@ovenbird/openflow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { monitorRequest, type PortFlowsQuestion, portHasFlows } from './port-flows.ts';

const OF15 = 6;

test('asks as the OpenFlow library would', () => {
  const [type, xid, id] = ['flow_monitor_request', 2, 1] as const;
  const flags = MONITOR_FLAGS.initial | MONITOR_FLAGS.add;
  const wanted = encodeMessage(OF15, { type, xid, id, flags, tableId: 0, match: match({ in_port_oxm: 7 }) });
  expect(monitorRequest(7).toString('hex')).toBe(Buffer.from(wanted).toString('hex'));
});

describe('what the switch says of a port', () => {
  const hello = encodeMessage(OF15, { type: 'hello', xid: 1, versions: [OF15] });
  const refusal = encodeMessage(OF15, {
    type: 'error',
    xid: 2,
    errorType: 1,
    code: 1,
    data: monitorRequest(7),
  });
  const update = (event: 'initial' | 'added'): FlowUpdate => ({
    event,
    tableId: 0,
    reason: 'delete',
    priority: 100,
    idleTimeout: 0,
    hardTimeout: 0,
    cookie: 1n,
    match: match({ in_port_oxm: 7 }),
    actions: [],
  });
  const reply = (...updates: readonly FlowUpdate[]): Uint8Array =>
    encodeMessage(OF15, { type: 'flow_monitor_reply', xid: 2, more: false, updates });

  let directory: string;
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  /** Connections so far. */
  let asked = 0;
  /** A switch that answers what it is asked with these bytes, at once or as `serve` says. */
  const begin = async (serve: (socket: Socket, nth: number) => void): Promise<void> => {
    const listening = Promise.withResolvers<void>();
    server = createServer((socket) => {
      sockets.add(socket);
      asked += 1;
      const nth = asked;
      socket.on('error', () => {}).once('data', () => serve(socket, nth));
    }).listen(join(directory, 'br-int.mgmt'), listening.resolve);
    await listening.promise;
  };
  // Pauses are none, patience has no end.
  const clock: NonNullable<PortFlowsQuestion['clock']> = {
    ...systemClock,
    schedule: (ms, call) => (ms > 1000 ? () => {} : systemClock.schedule(1, call)),
  };
  const has = (patience: 'now' | 'until', signal = new AbortController().signal): Promise<boolean> =>
    portHasFlows({ ovsRunDir: directory, ofport: 7, patience, signal, clock });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'port-flows-'));
    asked = 0;
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    server?.close();
    server = undefined;
    rmSync(directory, { recursive: true });
  });

  test.each<[string, readonly Uint8Array[], boolean]>([
    ['flows', [hello, reply(update('initial'))], true],
    ['none', [hello, reply()], false],
    ['only that the monitor pauses', [hello, reply({ event: 'paused' })], false],
    ['that it cannot tell', [hello, refusal], false],
  ])('now: %s', async (_what, messages, wanted) => {
    await begin((socket) => socket.write(Buffer.concat(messages)));
    expect(await has('now')).toBe(wanted);
  });

  test('now, where nobody is asked or the switch ends meanwhile: none', async () => {
    expect(await has('now')).toBe(false);
    await begin((socket) => socket.end(hello));
    expect(await has('now')).toBe(false);
  });

  test('until there are flows: those that come later, in whatever pieces', async () => {
    const late = Buffer.concat([hello, reply(), reply({ event: 'paused' }), reply(update('added'))]);
    await begin((socket) => {
      socket.setNoDelay(true);
      const next = (at: number): void => {
        if (at < late.length) socket.write(late.subarray(at, at + 7), () => setImmediate(next, at + 7));
      };
      next(0);
    });
    expect(await has('until')).toBe(true);
    expect(asked).toBe(1);
  });

  test('until there are flows: asks again where a switch ends before it has any', async () => {
    await begin((socket, nth) => {
      if (nth < 3) socket.end(Buffer.concat([hello, reply()]));
      else socket.write(Buffer.concat([hello, reply(update('initial'))]));
    });
    expect(await has('until')).toBe(true);
    expect(asked).toBe(3);
  });

  test('who gives up learns why, and the connection ends', async () => {
    const stop = new AbortController();
    const ended = Promise.withResolvers<void>();
    await begin((socket) => {
      socket.on('close', () => ended.resolve());
      socket.write(Buffer.concat([hello, reply()]));
      stop.abort(new Error('the runtime sent DEL'));
    });
    await expect(has('until', stop.signal)).rejects.toThrow('the runtime sent DEL');
    await ended.promise;
  });
});
