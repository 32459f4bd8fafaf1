import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { commandEnvironment } from '../fabric/run.ts';
import { LabError } from './error.ts';

/** Root of the checkout that this file is part of. */
export const repository: string = join(import.meta.dirname, '..', '..', '..', '..');

/** The CNI shim that `npm run build` makes. */
export const shim: string = join(repository, 'cni', 'dist', 'ovenbird');

/** YAML files that the API server applies when it starts: what a user would apply to install Ovenbird. */
export function installManifests(): readonly string[] {
  return ['crds/manifests', 'deploy/rbac', 'deploy/lab/manifests'].flatMap((folder) => {
    const directory = join(repository, folder);
    if (!existsSync(directory)) return [];
    return readdirSync(directory)
      .filter((file) => /\.ya?ml$/.test(file))
      .sort()
      .map((file) => join(directory, file));
  });
}

/**
 * The kubectl to use: the one that set-up brought, else the first in PATH.
 * @throws LabError `missing-program`
 */
export function kubectlPath(): string {
  const own = join(repository, 'node_modules', '.cache', 'ovenbird', 'bin', 'kubectl');
  if (existsSync(own)) return own;
  const directories = (commandEnvironment()['PATH'] ?? '').split(':').filter((directory) => directory !== '');
  const found = directories.map((directory) => join(directory, 'kubectl')).find((path) => existsSync(path));
  if (found === undefined) throw new LabError('missing-program', 'kubectl is not installed; run `npm run setup`');
  return found;
}

/** Compiled code of our processes: the next start neither strips types nor compiles, which also saves memory. */
export const compileCache: string = join(repository, 'node_modules', '.cache', 'ovenbird', 'compile');

/**
 * One of our processes (folder of its main.ts), run by the Node that runs this.
 * @param flags further flags of Node
 */
export function nodeProgram(folder: string, configFile: string, flags: readonly string[] = []): readonly string[] {
  return [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    ...flags,
    join(repository, folder, 'main.ts'),
    '--config',
    configFile,
  ];
}
