import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { follow } from '../../../agent/src/host/monitor.ts';
import { limitRequest } from '../../../agent/src/netlink/qdisc.ts';
import { replaceRoute, setMtu } from '../../../agent/src/netlink/route.ts';
import { RouteSocket } from '../../../agent/src/netlink/socket.ts';
import { isUp, readLink, readLinks } from '../../../agent/src/netlink/state.ts';

/** The agent's requests against a real kernel, compared with what ip(8) and tc(8) show. */
describe('netlink', () => {
  const namespace = `ovenbird-netlink-${process.pid}`;
  let fd = -1;
  let socket: RouteSocket;

  const ip = (...args: readonly string[]): string =>
    execFileSync('ip', ['-netns', namespace, ...args], { encoding: 'utf8' });
  const batch = (lines: readonly string[]): unknown =>
    execFileSync('ip', ['-netns', namespace, '-batch', '-'], { input: lines.join('\n') });
  const qdisc = (): Record<string, unknown> => {
    const text = execFileSync('ip', ['netns', 'exec', namespace, 'tc', '-json', 'qdisc', 'show', 'dev', 'v0']);
    const [first] = JSON.parse(text.toString()) as Record<string, unknown>[];
    return first ?? {};
  };

  test('a monitor that says it has begun hears of what is done from then on', async () => {
    const ended = new AbortController();
    try {
      for (let round = 0; round < 10; round += 1) {
        const stop = new AbortController();
        const argv = ['ip', '-netns', namespace, '-oneline', 'monitor', 'link', 'address'] as const;
        await new Promise<void>((resolve, reject) => {
          setTimeout(() => reject(new Error(`round ${round}: no line in 10 s`)), 10_000).unref();
          const listener = {
            onStart: () => void ip('address', 'add', `192.0.2.${round}/32`, 'dev', 'v0'),
            onLine: (line: string) => line.includes(`192.0.2.${round}/32`) && resolve(),
          };
          const signal = AbortSignal.any([ended.signal, stop.signal]);
          void follow({ argv, shows: 'a test' }, listener, { warn: () => {} }, signal);
        });
        stop.abort();
      }
    } finally {
      ended.abort();
      execFileSync('ip', ['-netns', namespace, '-4', 'address', 'flush', 'dev', 'v0', 'to', '192.0.2.0/24']);
    }
  });

  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    batch([
      'link add v0 type veth peer v1',
      'link set dev v0 alias somebody up',
      'address add 10.16.0.2/16 dev v0',
      'address add fd00:10:16::2/112 dev v0 nodad',
      'route add default via 10.16.0.9 dev v0 onlink',
      'route add default via fd00:10:16::9 dev v0 onlink',
    ]);
    fd = openSync(`/run/netns/${namespace}`, 'r');
    socket = new RouteSocket(fd);
  });
  afterAll(() => {
    socket[Symbol.dispose]();
    closeSync(fd);
    execFileSync('ip', ['netns', 'delete', namespace]);
  });

  test('a link as ip(8) shows it', async () => {
    const link = await readLink(socket, 'v0');
    const [shown] = JSON.parse(ip('-json', 'address', 'show', 'dev', 'v0')) as [{ address: string; mtu: number }];
    expect(link).toMatchObject({ ifname: 'v0', up: true, ifalias: 'somebody', address: shown.address, mtu: shown.mtu });
    expect(link?.addresses.filter(({ local }) => !local.startsWith('fe80:'))).toEqual([
      { family: 'inet', local: '10.16.0.2', prefixlen: 16 },
      { family: 'inet6', local: 'fd00:10:16::2', prefixlen: 112 },
    ]);
    expect(link?.routes.filter(({ byKernel }) => !byKernel)).toEqual([
      { dst: 'default', gateway: '10.16.0.9', byKernel: false },
      { dst: 'default', gateway: 'fd00:10:16::9', byKernel: false },
    ]);
    expect([await isUp(socket, 'v1'), await isUp(socket, 'v2'), await readLink(socket, 'v2')]).toEqual([
      false,
      false,
      undefined,
    ]);
  });

  test('routes and MTU are changed, an unknown link is named', async () => {
    const link = await socket.indexOf('v0');
    await socket.run([
      replaceRoute(link, 'v0', 'default', '10.16.0.1'),
      replaceRoute(link, 'v0', 'default', 'fd00:10:16::1'),
      replaceRoute(link, 'v0', '192.168.0.0/24', '10.16.0.1'),
      setMtu(link, 'v0', 1380),
    ]);
    expect(ip('route', 'show', 'default')).toMatch(/^default via 10\.16\.0\.1 dev v0 /);
    expect(ip('route', 'show', '192.168.0.0/24')).toContain('via 10.16.0.1 dev v0');
    expect(ip('-6', 'route', 'show', 'default').trim().split('\n')).toEqual([
      expect.stringContaining('via fd00:10:16::1 dev v0'),
    ]);
    expect((await readLink(socket, 'v0'))?.mtu).toBe(1380);
    await expect(socket.indexOf('v2')).rejects.toThrow(/ip link show dev v2: no such device/);
  });

  test('a limit is what tc(8) sets', async () => {
    const tc = ['netns', 'exec', namespace, 'tc', ...'qdisc replace dev v0 root tbf'.split(' ')];
    execFileSync('ip', [...tc, ...'rate 10000000bit burst 100000 latency 25ms'.split(' ')]);
    const { handle: _, ...wanted } = qdisc();
    execFileSync('ip', ['netns', 'exec', namespace, 'tc', 'qdisc', 'del', 'dev', 'v0', 'root']);
    const link = await socket.indexOf('v0');
    await socket.run([limitRequest(link, 'v0', { rate: 1_250_000, burst: 100_000, limit: 131_250 })]);
    const { handle, ...found } = qdisc();
    expect(found).toEqual(wanted);
    // Set again, it is changed in place.
    await socket.run([limitRequest(link, 'v0', { rate: 6_000_000_000, burst: 2_000_000, limit: 152_000_000 })]);
    expect(qdisc()).toMatchObject({ kind: 'tbf', handle, options: { rate: 6_000_000_000 } });
  });

  test('more links than one datagram holds, asked for by several at once', async () => {
    const names = Array.from({ length: 120 }, (_, index) => `many${index}`);
    batch(names.map((name) => `link add ${name} type veth peer p${name}`));
    batch(names.map((name, index) => `address add 10.17.0.${index}/32 dev ${name}`));
    const [once, again, one] = await Promise.all([readLinks(socket), readLinks(socket), readLink(socket, 'many7')]);
    const shown = (JSON.parse(ip('-json', 'link', 'show')) as { ifname: string }[]).map(({ ifname }) => ifname);
    expect(once.map(({ ifname }) => ifname)).toEqual(shown);
    expect(again).toEqual(once);
    expect(one?.addresses).toEqual([{ family: 'inet', local: '10.17.0.7', prefixlen: 32 }]);
    expect(once.find(({ ifname }) => ifname === 'many119')?.addresses).toHaveLength(1);
  });
});
