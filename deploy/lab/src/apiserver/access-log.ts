/** Counts of what each user did, so that a test can compare the verbs used with the verbs granted. */
import type { Attributes } from './rbac.ts';

/** One counted kind of access. */
export interface Access {
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  count: number;
  /** How many of them were refused by authorization. */
  denied: number;
}

/** Served at `/lab/verbs`. */
export class AccessLog {
  readonly #counts = new Map<string, Access>();

  /** Counts one request for an API object. */
  record(user: string, wanted: Attributes, allowed: boolean): void {
    const { verb, group, resource, subresource } = wanted;
    if (resource === '') return;
    const key = `${user}|${verb}|${group}|${resource}|${subresource}`;
    let access = this.#counts.get(key);
    if (access === undefined) {
      access = { user, verb, group, resource, subresource, count: 0, denied: 0 };
      this.#counts.set(key, access);
    }
    access.count++;
    if (!allowed) access.denied++;
  }

  /** All counts, sorted by user, group, resource, verb. */
  items(): Access[] {
    const text = (item: Access): string =>
      [item.user, item.group, item.resource, item.subresource, item.verb].join('|');
    return [...this.#counts.values()].sort((a, b) => text(a).localeCompare(text(b)));
  }

  /** Starts counting anew. */
  clear(): void {
    this.#counts.clear();
  }
}
