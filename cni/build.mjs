// Builds the CNI shim: cni/src/shim.ts -> one CommonJS file -> one executable, cni/dist/ovenbird, that needs nothing but
// glibc on the host, by bun's compiler. Where that is not installed the result is a script that needs this checkout's
// Node. Does nothing when the result is newer than its sources; --force builds anyway, --script leaves bun out,
// --output FILE writes elsewhere.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(dirname(here), 'node_modules');
const source = join(here, 'src', 'shim.ts');
const dist = join(here, 'dist');
// Several may build at once (tests): every file gets its place by a rename.
const bundle = join(dist, `shim.${process.pid}.cjs`);
const { values: options } = parseArgs({
  options: { force: { type: 'boolean' }, script: { type: 'boolean' }, output: { type: 'string' } },
});
const target = resolve(options.output ?? join(dist, 'ovenbird'));

const arch = process.arch === 'arm64' ? { bun: 'aarch64', node: 'arm64' } : { bun: 'x64', node: 'x64' };
const bun = join(modules, '@oven', `bun-linux-${arch.bun}`, 'bin', 'bun');
const node = join(modules, `node-linux-${arch.node}`, 'bin', 'node');

function run(program, args) {
  const result = spawnSync(program, args, { cwd: dist, encoding: 'utf8' });
  if (result.status !== 0) {
    throw new Error(`${program} ${args.join(' ')}: ${result.error?.message ?? result.stderr}`);
  }
}

/** Whether `target` exists and is newer than what it is made of. */
function isCurrent() {
  if (!existsSync(target)) return false;
  const built = statSync(target).mtimeMs;
  return [source, fileURLToPath(import.meta.url)].every((file) => statSync(file).mtimeMs < built);
}

function compileWithBun(output) {
  // By default the executable would obey .env and bunfig.toml of its working directory, that is run code found there.
  const deaf = ['--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
  run(bun, ['build', '--compile', '--minify', '--bytecode', ...deaf, bundle, '--outfile', output]);
}

/** Without bun's compiler: the bundle as a script of this checkout's Node. Starts slower, and only on this machine. */
function writeScript(output) {
  const runtime = existsSync(node) ? node : process.execPath;
  // Beside a package.json with "type": "module" it would be taken for one.
  writeFileSync(join(dirname(output), 'package.json'), '{ "type": "commonjs" }\n');
  writeFileSync(output, `#!${runtime}\n${readFileSync(bundle, 'utf8')}`);
  process.stderr.write('cni: without bun the shim is a script that runs on this machine only\n');
}

if (options.force !== true && isCurrent()) process.exit(0);
mkdirSync(dist, { recursive: true });
await build({
  entryPoints: [source],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minify: true,
  legalComments: 'none',
});
const temporary = `${target}.${process.pid}`;
if (existsSync(bun) && options.script !== true) compileWithBun(temporary);
else writeScript(temporary);
chmodSync(temporary, 0o755);
renameSync(temporary, target);
rmSync(bundle);
