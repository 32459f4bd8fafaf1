import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installCni, mendCni } from './cni-install.ts';

let directory: string;
const path = (name: string): string => join(directory, name);
const configOf = (): Parameters<typeof installCni>[0] => ({
  cniBinDir: path('bin'),
  cniConfDir: path('net.d'),
  cniShim: path('shim'),
  cniSocket: '/run/ovenbird/cni.sock',
});

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cni-install-'));
  writeFileSync(path('shim'), 'shim');
  // With a fraction that is not kept everywhere.
  utimesSync(path('shim'), 1_700_000_000.75, 1_700_000_000.75);
  await installCni(configOf());
});
afterEach(() => rmSync(directory, { recursive: true }));

test('what was installed needs no mending, also on a file system that keeps whole seconds', async () => {
  expect(await mendCni(configOf())).toBe(false);
  const copy = path('bin/ovenbird');
  const seconds = Math.floor(statSync(copy).mtimeMs / 1000);
  utimesSync(copy, seconds, seconds);
  expect(await mendCni(configOf())).toBe(false);
});

test.each<[string, () => void]>([
  ['was removed', () => rmSync(path('bin/ovenbird'))],
  ['was cut', () => writeFileSync(path('bin/ovenbird'), 'sh')],
  ['is another of the same size', () => writeFileSync(path('bin/ovenbird'), 'SHIM')],
  ['may not be executed', () => chmodSync(path('bin/ovenbird'), 0o644)],
  ['has a configuration that somebody changed', () => writeFileSync(path('net.d/10-ovenbird.conflist'), '{}')],
])('a plugin that %s is mended, once', async (_what, harm) => {
  const before = readFileSync(path('net.d/10-ovenbird.conflist'), 'utf8');
  harm();
  expect(await mendCni(configOf())).toBe(true);
  expect(readFileSync(path('bin/ovenbird'), 'utf8')).toBe('shim');
  expect(statSync(path('bin/ovenbird')).mode & 0o777).toBe(0o755);
  expect(readFileSync(path('net.d/10-ovenbird.conflist'), 'utf8')).toBe(before);
  expect(await mendCni(configOf())).toBe(false);
});
