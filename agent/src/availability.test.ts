import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Subnet } from '@ovenbird/crds';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { dataplaneProblem, exhaustion, unavailable } from './availability.ts';
import { askDaemon } from './ovs/control-socket.ts';

const directory = mkdtempSync(join(tmpdir(), 'ovenbird-availability-'));
const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function daemon(name: string, onData: (socket: Socket) => void): Promise<void> {
  const server = createServer((socket) => socket.on('data', () => onData(socket)).on('error', () => {}));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(join(directory, name), resolve));
}
const says =
  (result: string) =>
  (socket: Socket): unknown =>
    socket.write(JSON.stringify({ id: 0, result, error: null }));
const config = { ovsRunDir: directory, ovnRunDir: directory, ovnRemote: 'ssl:172.30.0.1:6642' };

describe('daemons', () => {
  test('an answer may come in pieces; a dead socket beside it is passed over', async () => {
    await daemon('ovs-vswitchd.1.ctl', (socket) => socket.destroy());
    await daemon('ovs-vswitchd.2.ctl', (socket) => {
      socket.write('{"id":0,"result":"3.');
      setImmediate(() => socket.write('1.0\\n","error":null}'));
    });
    expect(await askDaemon(directory, 'ovs-vswitchd', 'version')).toEqual({ state: 'answered', text: '3.1.0' });
  });

  test('absent, silent', async () => {
    expect(await askDaemon(directory, 'ovs-vswitchd', 'version')).toEqual({ state: 'absent' });
    expect(await askDaemon('/nonexistent', 'ovs-vswitchd', 'version')).toEqual({ state: 'absent' });
    await daemon('ovs-vswitchd.3.ctl', () => {});
    expect(await askDaemon(directory, 'ovs-vswitchd', 'version', 20)).toEqual({ state: 'silent' });
    // Other files are none of its sockets.
    await daemon('ovs-vswitchd.pid.ctl', says('3.1.0'));
    expect((await askDaemon(directory, 'ovs-vswitchd', 'version', 20)).state).toBe('silent');
  });

  test('whose death hurts whom', async () => {
    expect(await dataplaneProblem({ ovnRemote: 'x' })).toBeUndefined();
    expect(await dataplaneProblem(config)).toMatchObject({ running: true });
    await daemon('ovs-vswitchd.4.ctl', says('3.1.0'));
    const problem = await dataplaneProblem(config);
    expect(problem).toMatchObject({ running: false, message: expect.stringContaining('does not run') as unknown });
    await daemon('ovn-controller.5.ctl', says('not connected\n'));
    const cut = await dataplaneProblem(config);
    expect(cut).toMatchObject({ running: false, message: expect.stringContaining(config.ovnRemote) as unknown });
    await daemon('ovn-controller.6.ctl', says('connected\n'));
    expect(unavailable({ running: true, message: 'x' }).cniCode).toBe(51);
    expect(unavailable({ running: false, message: 'x' }).cniCode).toBe(50);
  });

  test('all well', async () => {
    await daemon('ovs-vswitchd.7.ctl', says('3.1.0'));
    await daemon('ovn-controller.8.ctl', says('connected\n'));
    expect(await dataplaneProblem(config)).toBeUndefined();
  });
});

describe('free addresses', () => {
  const subnet = (name: string, cidrBlock: string, v4availableIPs?: number, v6availableIPs?: number): Subnet => ({
    metadata: { name },
    spec: { cidrBlock },
    status: {
      ...(v4availableIPs === undefined ? {} : { v4availableIPs }),
      ...(v6availableIPs === undefined ? {} : { v6availableIPs }),
    },
  });
  const dual = '10.16.0.0/16,fd00:10:16::/112';
  const provided = (name: string, provider: string, v4availableIPs: number): Subnet => {
    const { spec, ...rest } = subnet(name, '10.16.0.0/16', v4availableIPs);
    return { ...rest, spec: { ...spec, provider } };
  };

  test.each([
    ['none known', [], false],
    ['not counted yet', [subnet('a', dual)], false],
    ['one family is full', [subnet('a', dual, 0, 5)], true],
    ['the other family is not its own', [subnet('a', '10.16.0.0/16', 3, 0)], false],
    ['one of two has room', [subnet('a', dual, 0, 5), subnet('b', dual, 1, 1)], false],
    ['the join network does not count', [subnet('a', dual, 0, 0), subnet('join', '100.64.0.0/16', 9)], true],
    ['a CIDR that cannot be read', [subnet('a', 'x', 0, 0)], false],
    ['one for further interfaces does not count', [subnet('a', dual, 0, 0), provided('b', 'b.shore.ovn', 9)], true],
    ['nor does one for other plugins', [subnet('a', dual, 0, 0), provided('b', 'b.shore', 9)], true],
    ['there are none but those', [provided('b', 'b.shore.ovn', 0)], false],
    ['the provider of first interfaces', [subnet('a', dual, 0, 0), provided('b', 'ovn', 9)], false],
  ])('%s', (_name, subnets, full) => {
    expect(exhaustion(subnets, { join: 'join', subnet: undefined }) !== undefined).toBe(full);
  });

  test.each([
    ['is full', [subnet('a', dual, 5, 5), subnet('podman', dual, 0, 0)], true],
    ['has room', [subnet('a', dual, 0, 0), subnet('podman', dual, 5, 5)], false],
    ['is one for further interfaces', [provided('podman', 'b.shore.ovn', 0)], true],
    ['is not known', [subnet('a', dual, 0, 0)], false],
  ])('the Subnet that the configuration names %s', (_name, subnets, full) => {
    const message = exhaustion(subnets, { join: 'join', subnet: 'podman' });
    expect(message !== undefined).toBe(full);
    if (full) expect(message).toMatch(/^Subnet podman \(10\.16\.0\.0\/16.*\) has no free address/);
  });
});
