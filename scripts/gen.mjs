#!/usr/bin/env node
// npm run gen [-- --check]: writes (or compares) everything generated: OVSDB types and CRD manifests.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, 'node_modules', '.bin', 'node');
let bad = 0;
for (const generator of ['ovsdb/src/codegen-cli.ts', 'crds/src/generate.ts']) {
  const result = spawnSync(node, [join(root, generator), ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) bad += 1;
}
process.exit(bad === 0 ? 0 : 1);
