import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect, type OvsdbError, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makePki } from './pki.ts';
import { freePort, makeDir, TestServer, until } from './server.ts';

let dir: string;
let server: TestServer;

const file = (name: string): string => join(dir, name);

beforeEach(async () => {
  dir = await makeDir();
});

afterEach(async () => {
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

describe('ssl:', () => {
  it('verifies both sides, and reads renewed files at the next attempt', async () => {
    await makePki(dir, 'ca', ['server', 'client']);
    await makePki(dir, 'stranger', ['impostor']);
    const port = await freePort();
    server = new TestServer(dir, 'nb', [
      `--remote=pssl:${port}:127.0.0.1`,
      `--private-key=${file('server.key')}`,
      `--certificate=${file('server.pem')}`,
      `--ca-cert=${file('ca.pem')}`,
    ]);
    await server.create();
    await server.start();
    const errors: OvsdbError[] = [];
    const open = (key: string, ca: string) =>
      connect({
        remotes: [`ssl:127.0.0.1:${port}`],
        database: ovnNorthbound,
        tls: { key: file(`${key}.key`), cert: file(`${key}.pem`), ca: file(`${ca}.pem`) },
        onEvent: (event) => {
          if (event.type === 'disconnected') {
            errors.push(event.error);
          }
        },
      });

    const db = open('client', 'ca');
    await db.synced();
    const t = new Transaction(ovnNorthbound);
    t.insert('Logical_Switch', { name: 'a' });
    await db.transact(t);
    await db.close();

    const distrusting = open('client', 'stranger');
    await until('a refusal by the client', () => errors.some((error) => error.code === 'connect_failed'));
    expect(errors[0]?.message).toMatch(/certificate/);
    await distrusting.close();
    errors.length = 0;

    const impostor = open('impostor', 'ca');
    await until('a refusal by the server', () => errors.length > 0);
    expect(impostor.state).not.toBe('synced');
    // The files are replaced by good ones: the next attempt uses them.
    await promisify(execFile)('cp', [file('client.key'), file('impostor.key')]);
    await promisify(execFile)('cp', [file('client.pem'), file('impostor.pem')]);
    await impostor.synced();
    await impostor.close();
  });
});
