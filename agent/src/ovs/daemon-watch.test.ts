import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { followDaemon } from './daemon-watch.ts';

describe('whether a daemon runs', () => {
  let directory = '';
  let stop = new AbortController();
  let told: boolean[] = [];
  let following: Promise<void>;
  const open: { server: Server; sockets: Set<Socket> }[] = [];

  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'ovenbird-daemon-')), 'run');
    stop = new AbortController();
    told = [];
    following = followDaemon({
      directory,
      program: 'ovn-controller',
      onChange: (now) => told.push(now),
      signal: stop.signal,
    });
  });
  afterEach(async () => {
    stop.abort();
    await following;
    for (const one of open.splice(0)) end(one);
    rmSync(join(directory, '..'), { recursive: true });
  });

  const start = async (name: string): Promise<(typeof open)[number]> => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => {})));
    await new Promise<void>((resolve) => server.listen(join(directory, name), resolve));
    const one = { server, sockets };
    open.push(one);
    return one;
  };
  const end = ({ server, sockets }: (typeof open)[number]): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const expectTold = (...wanted: boolean[]): Promise<void> =>
    vi.waitFor(() => expect(told).toEqual(wanted), { timeout: 10_000 });

  test('its directory comes later, it starts, ends, and another process starts', async () => {
    await expectTold(false);
    mkdirSync(directory);
    await start('ovn-controller.pid.ctl');
    await start('ovs-vswitchd.7.ctl');
    const first = await start('ovn-controller.8.ctl');
    await expectTold(false, true);
    end(first);
    await expectTold(false, true, false);
    await start('ovn-controller.9.ctl');
    await expectTold(false, true, false, true);
  });
});
