#!/usr/bin/env node
/**
 * Generates the types of databases. In this repository, `node ovsdb/src/codegen-cli.ts` writes `gen/*.ts` from
 * `../schemas/<release>/*.ovsschema`, and `--check` exits 1 when one of them is not current. With `--type` it writes the
 * types of any schema, to be used with the package: see `USAGE`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type GeneratedFile, generate } from './codegen.ts';
import type { Json } from './json.ts';

const USAGE = `usage: ovsdb-types --type TYPE [--out FILE] [RELEASE=]FILE.ovsschema...
Writes the row types and the spec of a database. Several files are releases of one schema, oldest first.
The constant is named as TYPE with a small first letter.
`;

const SPEC_MODULES = { spec: '../spec.ts', uuid: '../uuid.ts' };
const OWN: readonly { readonly file: string; readonly type: string }[] = [
  { file: 'ovn-nb', type: 'OvnNorthbound' },
  { file: 'ovn-sb', type: 'OvnSouthbound' },
  { file: 'vswitch', type: 'OpenVswitch' },
];

const specName = (type: string): string => type.slice(0, 1).toLowerCase() + type.slice(1);
const readJson = (path: string | URL): Json => JSON.parse(readFileSync(path, 'utf8')) as Json;

/** The files of `gen/`. */
function writeOwn(check: boolean): void {
  const schemaDir = new URL('../schemas/', import.meta.url);
  const releases = readdirSync(schemaDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
  for (const { file, type } of OWN) {
    const schemas = releases.map(
      (release) => [release, readJson(new URL(`${release}/${file}.ovsschema`, schemaDir))] as const,
    );
    const origin = `ovsdb/src/codegen-cli.ts from ovsdb/schemas/{${releases.join(',')}}/${file}.ovsschema`;
    const target: GeneratedFile = { type, spec: specName(type), origin, modules: SPEC_MODULES };
    const text = generate(target, new Map(schemas));
    const out = new URL(`gen/${file}.ts`, import.meta.url);
    if (!check) {
      writeFileSync(out, text);
    } else if (currentText(out) !== text) {
      process.stderr.write(`${fileURLToPath(out)} is not current: run \`node ovsdb/src/codegen-cli.ts\`\n`);
      process.exitCode = 1;
    }
  }
}

function currentText(path: URL): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The types of schemas that are named on the command line. */
function writeOthers(type: string, files: readonly string[], out: string | undefined): void {
  const schemas = files.map((file) => {
    const [, release = basename(file, '.ovsschema'), path = file] = /^([^=/]+)=(.*)$/.exec(file) ?? [];
    return [release, readJson(path)] as const;
  });
  const origin = `ovsdb-types from ${files.map((file) => basename(file)).join(', ')}`;
  const modules = { spec: '@ovenbird/ovsdb', uuid: '@ovenbird/ovsdb' };
  const text = generate({ type, spec: specName(type), origin, modules }, new Map(schemas));
  if (out === undefined) {
    process.stdout.write(text);
  } else {
    writeFileSync(out, text);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean' }, type: { type: 'string' }, out: { type: 'string' }, help: { type: 'boolean' } },
});
if (values.type !== undefined && positionals.length > 0) {
  writeOthers(values.type, positionals, values.out);
} else if (values.type === undefined && positionals.length === 0 && import.meta.filename.endsWith('.ts')) {
  writeOwn(values.check === true);
} else {
  process.stderr.write(USAGE);
  process.exitCode = values.help === true ? 0 : 1;
}
