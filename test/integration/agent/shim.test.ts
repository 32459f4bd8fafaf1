import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, exec, must } from './exec.ts';
import { SHIM } from './node-under-test.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'ovenbird-shim-'));
const socket = join(directory, 'cni.sock');
let answer: (connection: Socket, request: string) => void = () => {};
let server: Server;

beforeAll(async () => {
  await must([process.execPath, join(root, 'cni', 'build.mjs')]);
  server = createServer((connection) => {
    let text = '';
    connection.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      const [head = '', body = ''] = text.split('\r\n\r\n');
      if (body.length === Number(/Content-Length: (\d+)/.exec(head)?.[1])) answer(connection, text);
    });
    connection.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

const env = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a.b-c',
};
const config = { cniVersion: '0.4.0', name: 'n', type: 'ovenbird', socket, capabilities: { ips: true } };
const shim = (change: NodeJS.ProcessEnv = {}, input: unknown = config): Promise<Ended> =>
  exec([SHIM], { env: { ...env, ...change }, input: JSON.stringify(input) });
const reply = (status: string, body: string): string =>
  `HTTP/1.1 ${status}\r\nX: y\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe('the shim', () => {
  test('passes everything on and prints the answer', async () => {
    let seen = '';
    answer = (connection, request) => {
      seen = request;
      connection.end(reply('200 OK', '{"cniVersion":"0.4.0","ä":1}'));
    };
    expect(await shim()).toEqual({ status: 0, stdout: '{"cniVersion":"0.4.0","ä":1}', stderr: '' });
    expect(seen).toMatch(/^POST \/cni HTTP\/1\.0\r\n/);
    expect(JSON.parse(seen.split('\r\n\r\n')[1] ?? '')).toEqual({
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/x',
      ifname: 'eth0',
      args: { IgnoreUnknown: '1', K8S_POD_NAMESPACE: 'default', K8S_POD_NAME: 'a.b-c' },
      path: '/opt/cni/bin',
      config,
    });
  });

  test('an answer in pieces, with a large body', async () => {
    const body = JSON.stringify({ text: 'x'.repeat(200_000) });
    answer = (connection) => {
      const text = reply('200 OK', body);
      connection.write(text.slice(0, 20), () => connection.end(text.slice(20)));
    };
    expect((await shim()).stdout).toBe(body);
  });

  test('an error object is printed, exit 1', async () => {
    answer = (connection) => connection.end(reply('503 Service Unavailable', '{"code":11}'));
    expect(await shim()).toMatchObject({ status: 1, stdout: '{"code":11}' });
  });

  test('silent success of DEL', async () => {
    answer = (connection) => connection.end(reply('200 OK', ''));
    expect(await shim({ CNI_COMMAND: 'DEL', CNI_NETNS: '' })).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test.each([
    ['ends without an answer', (connection: Socket): unknown => connection.end()],
    ['drops the connection', (connection: Socket): unknown => connection.destroy()],
    [
      'ends in the middle of the body',
      (connection: Socket): unknown => connection.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{'),
    ],
    ['speaks no HTTP', (connection: Socket): unknown => connection.end('hello')],
  ])('an agent that %s is code 11', async (_name, behave) => {
    answer = behave;
    const ended = await shim();
    expect(ended.status).toBe(1);
    expect(JSON.parse(ended.stdout)).toMatchObject({ cniVersion: '0.4.0', code: 11 });
  });

  test('code found in the working directory is not run', async () => {
    writeFileSync(join(directory, 'bunfig.toml'), 'preload = ["./evil.js"]\n');
    writeFileSync(join(directory, 'evil.js'), 'console.log("evil")\n');
    writeFileSync(join(directory, '.env'), 'CNI_COMMAND=VERSION\n');
    const ended = await exec(['env', '-C', directory, '-i', SHIM]);
    expect(ended).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^\{.*CNI_COMMAND is missing"\}$/) as unknown,
    });
  });

  describe('the script that replaces the executable where bun is missing', () => {
    const script = join(directory, 'script');
    beforeAll(async () => {
      await must([process.execPath, join(root, 'cni', 'build.mjs'), '--script', '--output', script]);
    });

    test('behaves alike', async () => {
      const asked = await exec([script], { env: { CNI_COMMAND: 'VERSION' } });
      expect(JSON.parse(asked.stdout)).toMatchObject({ supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] });
    });

    test.each([
      ['ADD', 110],
      ['CHECK', 30],
      ['DEL', 30],
      ['GC', 30],
      ['STATUS', 10],
    ])('gives a silent agent its time for %s: code 11 after %i s', async (command, seconds) => {
      answer = () => {};
      // A clock that runs a hundred times faster.
      const clock = join(directory, 'clock.cjs');
      writeFileSync(clock, 'const after = setTimeout; globalThis.setTimeout = (what, ms) => after(what, ms / 100);\n');
      const ended = await exec([process.execPath, '--require', clock, script], {
        env: { ...env, CNI_COMMAND: command },
        input: JSON.stringify({ ...config, cniVersion: '1.1.0' }),
      });
      expect(ended).toMatchObject({ status: 1, stderr: '' });
      const msg = `the Ovenbird agent did not answer within ${seconds} s: is it stuck?`;
      expect(JSON.parse(ended.stdout)).toEqual({ cniVersion: '1.1.0', code: 11, msg });
    });
  });
});
