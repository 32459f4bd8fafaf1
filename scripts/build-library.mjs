// Makes of a library's folder the package that can be published: the sources compiled to JavaScript and declarations (Node
// runs no TypeScript below node_modules), README, licence, examples, and a package.json for them.
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * @param folder the library's; has tsconfig.build.json
 * @param fields further ones for package.json
 * @param target where to put the package; `dist` in the folder when it is undefined
 */
export function buildLibrary(folder, fields = {}, target = join(folder, 'dist')) {
  const root = dirname(folder);
  const output = resolve(target);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  const compiled = spawnSync(compiler, ['-p', join(folder, 'tsconfig.build.json'), '--outDir', join(output, 'lib')], {
    encoding: 'utf8',
  });
  if (compiled.status !== 0) {
    throw new Error(`tsc: ${compiled.error?.message ?? compiled.stdout}`);
  }
  // The compiler writes `.js` into imports of JavaScript only.
  for (const file of globSync('lib/**/*.d.ts', { cwd: output })) {
    const path = join(output, file);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
  }
  const { private: _, exports: __, ...rest } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const published = {
    ...rest,
    exports: { '.': { types: './lib/index.d.ts', default: './lib/index.js' } },
    ...fields,
    files: ['lib', 'examples', 'NOTICE'],
  };
  writeFileSync(join(output, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  cpSync(join(folder, 'README.md'), join(output, 'README.md'));
  cpSync(join(folder, 'examples'), join(output, 'examples'), { recursive: true });
  for (const file of ['LICENSE', 'NOTICE']) {
    cpSync(join(root, file), join(output, file));
  }
}
