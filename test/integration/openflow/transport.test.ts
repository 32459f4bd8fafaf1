/** The ways to reach a switch: unix socket, TCP, mutual TLS, and any stream that somebody else opens. */
import { connect as connectNet } from 'node:net';
import { join } from 'node:path';
import { type ConnectionEvent, connect } from '@ovenbird/openflow';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePki } from '../ovsdb/pki.ts';
import { freePort } from '../ovsdb/server.ts';
import { TestSwitch, until } from './switch.ts';

let ovs: TestSwitch;

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
  await makePki(ovs.dir, 'ca', ['switch', 'client']);
  await makePki(ovs.dir, 'other', ['stranger']);
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

const pem = (name: string): string => join(ovs.dir, name);

it('TCP', async () => {
  const port = await freePort();
  await ovs.configure('set-controller', 'br0', `ptcp:${port}:127.0.0.1`);
  const sw = connect({ remote: `tcp:127.0.0.1:${port}` });
  await sw.connected();
  await sw.barrier();
  await sw.close();
});

it('TLS with certificates on both sides; a stranger is refused, and says why', async () => {
  const port = await freePort();
  await ovs.configure(
    ...['--', 'set-ssl', pem('switch.key'), pem('switch.pem'), pem('ca.pem')],
    ...['--', 'set-controller', 'br0', `pssl:${port}:127.0.0.1`],
  );
  const remote = `ssl:127.0.0.1:${port}`;
  const sw = connect({ remote, tls: { key: pem('client.key'), cert: pem('client.pem'), ca: pem('ca.pem') } });
  await sw.connected();
  expect(await sw.dumpFlows()).toEqual([]);
  await sw.close();

  const events: ConnectionEvent[] = [];
  const stranger = connect({
    remote,
    tls: { key: pem('stranger.key'), cert: pem('stranger.pem'), ca: pem('other.pem') },
    onEvent: (event) => events.push(event),
  });
  const failed = await until('the refusal', () => events.find((event) => event.type === 'disconnected'));
  expect(failed.error).toMatchObject({ code: 'connect_failed' });
  expect(failed.error.message).toMatch(/^ssl:127.0.0.1:\d+: .*certificate/);
  await stranger.close();
  const without = connect({ remote, onEvent: (event) => events.push(event) });
  await until('the mistake', () =>
    events.some((event) => event.type === 'disconnected' && event.error.message.includes('three file paths')),
  );
  await without.close();
});

it('a stream that somebody else opens', async () => {
  let opened = 0;
  const sw = connect({
    remote: () => {
      opened += 1;
      return Promise.resolve(connectNet(ovs.remote('br0').replace('unix:', '')));
    },
  });
  await sw.connected();
  await sw.barrier();
  await sw.close();
  expect(opened).toBe(1);
});
