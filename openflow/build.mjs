// Makes the package that can be published, in openflow/dist or the directory given: the sources compiled to JavaScript
// and declarations (Node runs no TypeScript below node_modules), README, licence, examples, and a package.json for them.
// Then: npm publish openflow/dist
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const target = resolve(process.argv[2] ?? join(here, 'dist'));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
const compiler = join(root, 'node_modules', '.bin', 'tsc');
const compiled = spawnSync(compiler, ['-p', join(here, 'tsconfig.build.json'), '--outDir', join(target, 'lib')], {
  encoding: 'utf8',
});
if (compiled.status !== 0) {
  throw new Error(`tsc: ${compiled.error?.message ?? compiled.stdout}`);
}
// The compiler writes `.js` into imports of JavaScript only.
for (const file of globSync('lib/**/*.d.ts', { cwd: target })) {
  const path = join(target, file);
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
}
const { private: _, exports: __, ...rest } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const published = {
  ...rest,
  exports: { '.': { types: './lib/index.d.ts', default: './lib/index.js' } },
  files: ['lib', 'examples', 'NOTICE'],
};
writeFileSync(join(target, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
cpSync(join(here, 'README.md'), join(target, 'README.md'));
cpSync(join(here, 'examples'), join(target, 'examples'), { recursive: true });
for (const file of ['LICENSE', 'NOTICE']) {
  cpSync(join(root, file), join(target, file));
}
