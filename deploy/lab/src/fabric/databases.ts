import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../lab/error.ts';
import { run } from './run.ts';

/** The databases that the lab serves, and where Debian's packages put their schemas. */
const schemas = {
  northbound: { file: 'ovn-nb.ovsschema', directories: ['/usr/share/ovn', '/usr/local/share/ovn'] },
  southbound: { file: 'ovn-sb.ovsschema', directories: ['/usr/share/ovn', '/usr/local/share/ovn'] },
  openVswitch: { file: 'vswitch.ovsschema', directories: ['/usr/share/openvswitch', '/usr/local/share/openvswitch'] },
} as const;

/** Kind of database. */
export type DatabaseKind = keyof typeof schemas;

/**
 * Makes an empty standalone database, or brings a kept one to the installed schema.
 * @param options.keep use an existing file rather than start anew
 */
export async function prepareDatabase(
  kind: DatabaseKind,
  file: string,
  options: { readonly keep: boolean; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { file: name, directories } = schemas[kind];
  const schema = directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
  if (schema === undefined)
    throw new LabError('missing-program', `${name} is in none of ${directories.join(', ')}; run \`npm run setup\``);
  rmSync(`${join(file, '..', `.${file.slice(file.lastIndexOf('/') + 1)}`)}.~lock~`, { force: true });
  if (options.keep && existsSync(file)) {
    if ((await run(['ovsdb-tool', 'needs-conversion', file, schema])).trim() === 'yes')
      await run(['ovsdb-tool', 'convert', file, schema]);
    return;
  }
  rmSync(file, { force: true });
  await run(['ovsdb-tool', 'create', file, schema], { signal: options.signal });
}
