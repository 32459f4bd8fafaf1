import { createHash } from 'node:crypto';
import { resolve } from 'node:path';

/** State directory of the machine's one lab with undecorated names. */
export const defaultDirectory = '/run/ovenbird-lab';

/** Every name that the lab leaves in the machine's root namespace (entries of /run/netns). */
export interface LabNames {
  /** `ovenbird`, or `ovenbird-<4 hex>` for a state directory other than the default. */
  readonly prefix: string;
  /** Namespace of the underlay bridge, the API server and the central databases. */
  readonly fabric: string;
  /** Pods' namespaces begin with this and a `-`. */
  readonly podPrefix: string;
}

/** The state directory in use: `$OVENBIRD_LAB` or the default, absolute. */
export function labDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return resolve(env['OVENBIRD_LAB'] || defaultDirectory);
}

/** The names of the lab in a state directory: the same directory always gives the same names. */
export function labNames(directory: string): LabNames {
  const absolute = resolve(directory);
  const digest = createHash('sha256').update(absolute).digest('hex').slice(0, 4);
  const prefix = absolute === defaultDirectory ? 'ovenbird' : `ovenbird-${digest}`;
  return { prefix, fabric: `${prefix}-fabric`, podPrefix: `${prefix}-pod` };
}

/** Kubernetes name of the lab's node number `index` (from 1). */
export function nodeName(index: number): string {
  return `node-${index}`;
}

/** Network namespace of a node. */
export function nodeNamespace(names: LabNames, node: string): string {
  return `${names.prefix}-${node}`;
}
