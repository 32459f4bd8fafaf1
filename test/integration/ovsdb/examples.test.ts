/** The programs in ovsdb/examples, from the sources and from the package as it would be published. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ExampleProcess, endExamples, startExample } from '../example-process.ts';
import { makeDir, TestServer, until } from './server.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const examples = join(root, 'ovsdb', 'examples');
const NODE = process.execPath;

let dir: string;
let server: TestServer;

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
});

afterEach(async () => {
  await endExamples();
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function example(name: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(NODE, [join(examples, name), ...args]);
  return stdout.trim();
}

const start = (name: string, ...args: readonly string[]): ExampleProcess => startExample(join(examples, name), ...args);

const says = (lines: readonly string[], text: string): Promise<void> =>
  until(text, () => lines.some((line) => line.includes(text)) || lines);

it('are five, each of which a test runs', async () => {
  const names = readdirSync(examples).toSorted();
  expect(names).toEqual(['add-port.ts', 'find.ts', 'inspect.ts', 'singleton.ts', 'watch.ts']);
  const source = await readFile(fileURLToPath(import.meta.url), 'utf8');
  expect(names.filter((name) => !source.includes(`('${name}', `))).toEqual([]);
});

it('add and find a port, and tell of it', async () => {
  const watch = start('watch.ts', server.remote);
  await says(watch.lines, 'in sync with unix:');
  expect(await example('add-port.ts', server.remote, 'web', 'web-1', '0a:00:00:00:00:01 10.0.0.1')).toBe(
    'web-1 added to web',
  );
  expect(await example('add-port.ts', server.remote, 'web', 'web-2')).toBe('web-2 added to web');
  expect(await example('add-port.ts', server.remote, 'web', 'web-2')).toBe('web-2 is there');
  expect(await example('find.ts', server.remote, 'web-1')).toBe('web-1 0a:00:00:00:00:01 10.0.0.1 tag=none on web');
  expect(await example('find.ts', server.remote, 'web-3')).toBe('no port web-3');
  for (const line of ['Logical_Switch web: new', 'Logical_Switch_Port web-1: new', 'Logical_Switch_Port web-2: new']) {
    await says(watch.lines, line);
  }
  await server.stop();
  await says(watch.lines, 'next attempt in');
  await server.start();
  expect(await watch.end()).toBe(0);
});

it('work one at a time', async () => {
  await server.transact([{ op: 'insert', table: 'NB_Global', row: {} }]);
  const first = start('singleton.ts', server.remote, 'turn');
  await says(first.lines, 'done; interrupt me');
  const second = start('singleton.ts', server.remote, 'turn');
  await says(second.lines, 'waiting');
  expect(await first.end()).toBe(0);
  await says(second.lines, 'it is my turn');
  await says(second.lines, 'done; interrupt me');
  expect(await second.end()).toBe(0);
});

it('inspect a server', async () => {
  await example('add-port.ts', server.remote, 'web', 'web-1');
  const lines = (await example('inspect.ts', server.remote, server.control)).split('\n');
  expect(lines).toEqual(expect.arrayContaining(['OVN_Northbound 7.0.0', '  Logical_Switch_Port: 1', '  ACL: 0']));
  expect(lines.at(0)).toMatch(/^server [0-9a-f-]{36}$/);
  expect(lines.some((line) => line.startsWith('ovsdb-server (Open vSwitch)'))).toBe(true);
});

it('run on the published package: compiled, without dependencies, with types that a strict compiler accepts', async () => {
  const dist = join(dir, 'dist');
  await run(NODE, [join(root, 'ovsdb', 'build.mjs'), dist]);
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: dist });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  const paths = (packed?.files ?? []).map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining(['LICENSE', 'NOTICE', 'README.md', 'lib/index.js', 'lib/index.d.ts', 'examples/find.ts']),
  );
  expect(paths.filter((path) => path.includes('.test.') || path.startsWith('src'))).toEqual([]);

  const user = join(dir, 'user');
  await mkdir(user);
  await writeFile(join(user, 'package.json'), '{"type":"module","private":true}');
  const tarball = join(dir, packed?.filename ?? '');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: user });
  await copyFile(join(examples, 'find.ts'), join(user, 'find.ts'));
  await copyFile(join(examples, 'add-port.ts'), join(user, 'add-port.ts'));
  await run(NODE, ['add-port.ts', server.remote, 'web', 'web-1'], { cwd: user });
  const found = await run(NODE, ['find.ts', server.remote, 'web-1'], { cwd: user });
  expect(found.stdout).toBe('web-1 dynamic tag=none on web\n');

  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { skipLibCheck: false, typeRoots: [join(root, 'node_modules', '@types')] },
    include: ['*.ts'],
  };
  await writeFile(join(user, 'tsconfig.json'), JSON.stringify(config));
  await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', user]).catch((error: unknown) => {
    throw new Error(`tsc: ${(error as { stdout: string }).stdout}`);
  });
  const schema = {
    name: 'Own',
    tables: { Thing: { columns: { name: { type: 'string' }, kind: { type: { key: 'string', min: 0 } } } } },
  };
  await writeFile(join(user, 'own.ovsschema'), JSON.stringify(schema));
  const types = join(user, 'node_modules', '.bin', 'ovsdb-types');
  await run(types, ['--type', 'Own', '--out', 'own.ts', 'own.ovsschema'], { cwd: user });
  await writeFile(
    join(user, 'use.ts'),
    "import { Transaction } from '@ovenbird/ovsdb';\nimport { own } from './own.ts';\n" +
      "const t = new Transaction(own);\nt.insert('Thing', { name: 'a', kind: null });\nconsole.log(JSON.stringify(t.toParams()));\n",
  );
  expect((await run(NODE, ['use.ts'], { cwd: user })).stdout).toContain('"kind":["set",[]]');
  await expect(run(types, [], { cwd: user })).rejects.toThrow(/usage: ovsdb-types/);
  await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', user]);
  await writeFile(
    join(user, 'bad.ts'),
    "import { ovnNorthbound, Transaction } from '@ovenbird/ovsdb';\nnew Transaction(ovnNorthbound).insert('ACL', { nonsense: 1 });\n",
  );
  await expect(run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', user])).rejects.toMatchObject({
    stdout: expect.stringContaining("'nonsense' does not exist") as string,
  });
});
