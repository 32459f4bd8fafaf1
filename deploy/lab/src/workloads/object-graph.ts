import type { KubeObject, OwnerReference, ResourceKind } from '@ovenbird/kube';

/** An object as the garbage collector sees it. */
export interface GraphNode {
  readonly uid: string;
  readonly kind: ResourceKind;
  readonly object: KubeObject;
}

/** Who owns whom, over all kinds, by UID. */
export class ObjectGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  /** The object with this UID; undefined when there is none. */
  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  /** Objects that name this UID as an owner; the owner itself need not exist. */
  dependents(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }

  /** An object appeared or changed. */
  put(kind: ResourceKind, object: KubeObject): void {
    const uid = object.metadata.uid ?? '';
    this.#unlink(uid);
    this.#nodes.set(uid, { uid, kind, object });
    for (const owner of ownersOf(object)) {
      const set = this.#dependents.get(owner.uid) ?? new Set();
      this.#dependents.set(owner.uid, set.add(uid));
    }
  }

  /** An object is gone. */
  remove(uid: string): void {
    this.#unlink(uid);
    this.#nodes.delete(uid);
  }

  #unlink(uid: string): void {
    const old = this.#nodes.get(uid);
    if (!old) return;
    for (const owner of ownersOf(old.object)) {
      const set = this.#dependents.get(owner.uid);
      set?.delete(uid);
      if (set?.size === 0) this.#dependents.delete(owner.uid);
    }
  }
}

/** Owner references of an object. */
export function ownersOf(object: KubeObject): readonly OwnerReference[] {
  return object.metadata.ownerReferences ?? [];
}

/** What the garbage collector does with one object. */
export type Verdict =
  | { readonly action: 'nothing' }
  /** `policy` as in DeleteOptions. */
  | { readonly action: 'delete'; readonly policy: 'Background' | 'Foreground' }
  /** Some owners are gone, others are not: only the references to the former go. */
  | { readonly action: 'unlink'; readonly owners: readonly OwnerReference[] };

/**
 * What becomes of an object with owners. Pure.
 *
 * @param gone whether the owner of a reference does not exist any more
 * @param waits whether the owner waits for its dependents (foreground deletion)
 */
export function judge(
  object: KubeObject,
  gone: (owner: OwnerReference) => boolean,
  waits: (owner: OwnerReference) => boolean,
): Verdict {
  if (object.metadata.deletionTimestamp !== undefined) return { action: 'nothing' };
  const owners = ownersOf(object);
  const absent = owners.filter(gone);
  const waiting = owners.filter((owner) => !absent.includes(owner) && waits(owner));
  const solid = owners.length - absent.length - waiting.length;
  if (solid > 0) return absent.length > 0 ? { action: 'unlink', owners: absent } : { action: 'nothing' };
  if (waiting.length > 0) return { action: 'delete', policy: 'Foreground' };
  return absent.length > 0 ? { action: 'delete', policy: 'Background' } : { action: 'nothing' };
}
