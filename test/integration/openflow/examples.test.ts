/** The programs in openflow/examples, from the sources and from the package as it would be published. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type ExampleProcess, endExamples, startExample } from '../example-process.ts';
import { tcp } from './support.ts';
import { TestSwitch, until } from './switch.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const examples = join(root, 'openflow', 'examples');
const NODE = process.execPath;

let ovs: TestSwitch;
let file: string;

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
  await ovs.addPort('br0', 'p1', 1);
  file = join(ovs.dir, 'flows.txt');
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

afterEach(async () => {
  await endExamples();
  await ovs.ofctl('br0', 'del-flows');
});

async function example(name: string, ...args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await run(NODE, [join(examples, name), ovs.remote('br0'), ...args]);
  return stdout.trim().split('\n');
}

const start = (name: string, ...args: readonly string[]): ExampleProcess =>
  startExample(join(examples, name), ovs.remote('br0'), ...args);

async function says(lines: readonly string[], text: string): Promise<void> {
  await until(
    text,
    () => lines.some((line) => line.includes(text)),
    () => lines.join('\n'),
  );
}

it('are all run by a test', async () => {
  const source = await readFile(fileURLToPath(import.meta.url), 'utf8');
  const missing = readdirSync(examples).filter((name) => !source.includes(`('${name}'`));
  expect(missing).toEqual([]);
});

it('replace flows, and dump them', async () => {
  await ovs.ofctl('br0', 'add-flow', 'table=9,actions=drop');
  await writeFile(file, 'priority=10,tcp,tp_dst=80,actions=output:1\ntable=1,actions=NORMAL\n');
  expect(await example('replace-flows.ts', file)).toEqual(['2 flows, 3 changes']);
  expect(await example('replace-flows.ts', file)).toEqual(['2 flows, 0 changes']);
  expect(await example('dump-flows.ts', 'tcp')).toEqual([
    'table 0 priority 10: tcp,tp_dst=80 → output:1 (0 packets, cookie 0x0)',
  ]);
  expect(await example('dump-flows.ts', 'table=1')).toEqual([
    'table 1 priority 32768: everything → NORMAL (0 packets, cookie 0x0)',
  ]);
  await writeFile(file, 'table=2,actions=drop\ntable=3,actions=group:5\n');
  const failed = await run(NODE, [join(examples, 'replace-flows.ts'), ovs.remote('br0'), file]).then(
    () => '',
    (error: unknown) => (error as { stdout: string }).stdout,
  );
  expect(failed).toMatch(/^bundle_failed: bundle refused at message 1 with OFPBAC_BAD_OUT_GROUP: .*group:5/);
  expect(await ovs.flows('br0')).toHaveLength(2);
});

it('keep flows, and watch them', async () => {
  await ovs.ofctl('br0', 'add-flow', 'cookie=5,table=9,actions=drop');
  await writeFile(file, 'cookie=1,tcp,actions=output:1\ncookie=2,table=1,actions=NORMAL\n');
  const watch = start('watch-flows.ts');
  await says(watch.lines, 'initial: table=9  actions=drop');
  const keep = start('keep-flows.ts', file, '3');
  await says(keep.lines, '2 flows are installed; interrupt me');
  expect(keep.lines[0]).toBe('connected: 2 added, 0 modified, 0 deleted');
  await says(watch.lines, 'added: table=0 tcp actions=output:1');
  await ovs.ofctl('br0', 'del-flows', 'table=1');
  await says(keep.lines, 'drift: 1 added, 0 modified, 0 deleted');
  await says(watch.lines, 'removed: table=1');
  expect(await ovs.flows('br0')).toEqual([
    'cookie=0x4070000000001, tcp actions=output:1',
    'cookie=0x4070000000002, table=1, actions=NORMAL',
    'cookie=0x5, table=9, actions=drop',
  ]);
  expect(await keep.end()).toBe(0);
  expect(await watch.end()).toBe(0);
});

it('hold packets', async () => {
  const hold = start('hold-packets.ts');
  await says(hold.lines, 'ready');
  await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
  await says(hold.lines, '000000000001 is at in_port=1');
  expect((await ovs.flows('br0')).join('\n')).toMatch(
    /idle_timeout=60, in_port=1,dl_src=00:00:00:00:00:01 actions=NORMAL/,
  );
  expect(await hold.end()).toBe(0);
});

it('run on the published package: compiled, without dependencies, with types that a strict compiler accepts', async () => {
  const dist = join(ovs.dir, 'dist');
  await run(NODE, [join(root, 'openflow', 'build.mjs'), dist]);
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', ovs.dir], { cwd: dist });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  const paths = (packed?.files ?? []).map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      'LICENSE',
      'NOTICE',
      'README.md',
      'lib/index.js',
      'lib/index.d.ts',
      'examples/dump-flows.ts',
    ]),
  );
  expect(paths.filter((path) => path.includes('.test.') || path.startsWith('src'))).toEqual([]);

  const user = join(ovs.dir, 'user');
  await mkdir(user);
  await writeFile(join(user, 'package.json'), '{"type":"module","private":true}');
  const tarball = join(ovs.dir, packed?.filename ?? '');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: user });
  for (const name of readdirSync(examples)) await copyFile(join(examples, name), join(user, name));
  await writeFile(file, 'table=1,actions=NORMAL\n');
  const replaced = await run(NODE, ['replace-flows.ts', ovs.remote('br0'), file], { cwd: user });
  expect(replaced.stdout).toBe('1 flows, 1 changes\n');

  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { skipLibCheck: false, typeRoots: [join(root, 'node_modules', '@types')] },
    include: ['*.ts'],
  };
  await writeFile(join(user, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  await run(compiler, ['-p', user]).catch((error: unknown) => {
    throw new Error(`tsc: ${(error as { stdout: string }).stdout}`);
  });
  await writeFile(join(user, 'bad.ts'), "import { match } from '@ovenbird/openflow';\nmatch({ tcp_port: 80 });\n");
  await expect(run(compiler, ['-p', user])).rejects.toMatchObject({
    stdout: expect.stringContaining("'tcp_port' does not exist") as string,
  });
}, 180_000);
