import type { KubeObject, ResourceKind } from '@ovenbird/kube';
import type { WantedCondition } from './subnet-status.ts';

/** An object with what its status said when it was seen. */
export interface ConditionedObject extends KubeObject {
  readonly status?:
    | {
        readonly conditions?:
          | readonly {
              readonly type: string;
              readonly status: string;
              readonly reason: string;
              readonly message: string;
            }[]
          | undefined;
      }
    | undefined;
}

/** Says what is wrong with an object, for people. */
export type Warn = (kind: ResourceKind, object: KubeObject, reason: string, message: string) => void;

/** Not mistakes: a deletion that goes on, and what nobody looked at yet. */
const quiet: ReadonlySet<string> = new Set(['Deleting', 'Pending']);

type Said = Pick<WantedCondition, 'reason' | 'message'> & { readonly status: string };

/**
 * Makes an event of a `Ready` condition that becomes False, or that is False for another reason (design §3, §5). What the
 * stored status says already was told by whoever wrote it: a restart and a new leader repeat nothing.
 */
export class ConditionWarnings {
  readonly #warn: Warn;
  /** What was said last, by kind and name: the objects that callers have lag behind the watch. */
  readonly #said = new Map<string, { readonly uid: string | undefined; readonly ready: Said }>();

  constructor(warn: Warn) {
    this.#warn = warn;
  }

  /** @param object as the API server had it last, with its status */
  look(kind: ResourceKind, object: ConditionedObject, conditions: readonly WantedCondition[]): void {
    const ready = conditions.find(({ type }) => type === 'Ready');
    if (ready === undefined) return;
    const { name, uid } = object.metadata;
    const key = `${kind.kind}/${name}`;
    const known = this.#said.get(key);
    const before =
      known !== undefined && known.uid === uid
        ? known.ready
        : object.status?.conditions?.find(({ type }) => type === 'Ready');
    this.#said.set(key, { uid, ready });
    if (ready.status === 'True' || quiet.has(ready.reason)) return;
    if (before?.status === 'False' && before.reason === ready.reason && before.message === ready.message) return;
    this.#warn(kind, object, ready.reason, ready.message);
  }

  /** The object is gone. */
  forget(kind: ResourceKind, name: string): void {
    this.#said.delete(`${kind.kind}/${name}`);
  }
}
