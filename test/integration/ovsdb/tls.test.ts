import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect, type OvsdbError, ovnNorthbound, Transaction } from '@ovenbird/ovsdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort, makeDir, TestServer, until } from './server.ts';

const openssl = async (...args: readonly string[]): Promise<unknown> => promisify(execFile)('openssl', [...args]);

let dir: string;
let server: TestServer;

const file = (name: string): string => join(dir, name);

/** A certificate authority, and a certificate of it for each name; no host names in them, as ovs-pki makes them. */
async function makePki(ca: string, names: readonly string[]): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...key, '-subj', `/CN=${ca}`, '-keyout', file(`${ca}.key`), '-out', file(`${ca}.pem`));
  for (const name of names) {
    const request = file(`${name}.csr`);
    await openssl(
      'req',
      '-new',
      ...key.slice(0, -2),
      '-subj',
      `/CN=${name}`,
      '-keyout',
      file(`${name}.key`),
      '-out',
      request,
    );
    const signer = ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-CAcreateserial', '-days', '2'];
    await openssl('x509', '-req', '-in', request, ...signer, '-out', file(`${name}.pem`));
  }
}

beforeEach(async () => {
  dir = await makeDir();
});

afterEach(async () => {
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

describe('ssl:', () => {
  it('verifies both sides, and reads renewed files at the next attempt', async () => {
    await makePki('ca', ['server', 'client']);
    await makePki('stranger', ['impostor']);
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
