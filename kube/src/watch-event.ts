import { errorOfStatus, KubeError, type RequestSubject } from './error.ts';
import type { ObjectMeta } from './types/meta.ts';

/** One line of a watch, checked (Kubernetes: "Efficient detection of changes"). */
export type WatchLine =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: RawObject; readonly resourceVersion: string }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** An object as parsed: its metadata is checked, the rest is as the server sent it. */
export interface RawObject {
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/**
 * Parses one line.
 *
 * @throws KubeError what an ERROR event says (`gone` for 410), `protocol` for a line that is not a watch event
 */
export function parseWatchLine(line: string, subject: RequestSubject): WatchLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new KubeError('protocol', `a watch line is not JSON: ${line.slice(0, 100)}`, { subject, cause });
  }
  if (!isRecord(value) || !isRecord(value['object'])) {
    throw new KubeError('protocol', `a watch line is not an event: ${line.slice(0, 100)}`, { subject });
  }
  const { type, object } = value;
  switch (type) {
    case 'ERROR':
      throw errorOfStatus(object, subject);
    case 'BOOKMARK': {
      const metadata = object['metadata'];
      const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
      if (typeof version === 'string' && version !== '') return { type, resourceVersion: version };
      throw new KubeError('protocol', 'a bookmark has no resourceVersion', { subject });
    }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const raw = checkObject(object, subject);
      const version = raw.metadata.resourceVersion;
      if (typeof version === 'string' && version !== '') return { type, object: raw, resourceVersion: version };
      throw new KubeError('protocol', `the event of ${raw.metadata.name} has no resourceVersion`, { subject });
    }
    default:
      throw new KubeError('protocol', `unknown watch event type ${JSON.stringify(type)}`, { subject });
  }
}

/**
 * Checks that a value is an object with a name.
 *
 * @throws KubeError `protocol`
 */
export function checkObject(value: unknown, subject: RequestSubject): RawObject {
  const metadata = isRecord(value) ? value['metadata'] : undefined;
  if (isRecord(metadata) && typeof metadata['name'] === 'string') return value as RawObject;
  const excerpt = JSON.stringify(value)?.slice(0, 100) ?? String(value);
  throw new KubeError('protocol', `the server sent an object without metadata.name: ${excerpt}`, { subject });
}

/**
 * Whether `next` is an older version than `last`. Versions of one resource compare as decimal numbers of any length;
 * where one is not decimal nothing is claimed.
 */
export function isOlderVersion(next: string, last: string): boolean {
  if (!/^\d+$/.test(next) || !/^\d+$/.test(last)) return false;
  return next.length === last.length ? next < last : next.length < last.length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
