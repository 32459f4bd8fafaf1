/**
 * The parts of the Kubernetes API machinery that Ovenbird reads and writes
 * (Kubernetes API conventions, "Metadata", "Typical status properties"). Times stay the strings the server sent:
 * list and watch then have one shape, and nothing pays for a `Date` that nobody reads.
 */

/** Who an object belongs to; the garbage collector deletes it with its owner. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
  readonly blockOwnerDeletion?: boolean | undefined;
}

/** `metadata` of an object as a server returns it. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  /** Opaque version for optimistic locking. */
  readonly resourceVersion?: string | undefined;
  /** Grows with every change of the spec; `observedGeneration` in conditions refers to it. */
  readonly generation?: number | undefined;
  /** RFC 3339, whole seconds. */
  readonly creationTimestamp?: string | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly deletionGracePeriodSeconds?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly finalizers?: readonly string[] | undefined;
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
  readonly generateName?: string | undefined;
}

/** The least a stored or watched value must have. */
export interface HasMetadata {
  readonly metadata: ObjectMeta;
}

/** Any API object. */
export interface KubeObject extends HasMetadata {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
}

/** `metadata` of a list (API conventions, "Lists and Simple kinds"; paging: "Retrieving large results sets in chunks"). */
export interface ListMeta {
  readonly resourceVersion?: string | undefined;
  /** Token for the next page; empty or absent on the last one. */
  readonly continue?: string | undefined;
  readonly remainingItemCount?: number | undefined;
}

/** One page of a list. */
export interface ObjectList<T> {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

/** `Status`: what the server answers instead of an object, mostly an error. */
export interface Status {
  readonly kind?: 'Status' | undefined;
  readonly status?: 'Success' | 'Failure' | undefined;
  readonly message?: string | undefined;
  readonly reason?: string | undefined;
  readonly code?: number | undefined;
  readonly details?:
    | {
        readonly name?: string | undefined;
        readonly kind?: string | undefined;
        readonly retryAfterSeconds?: number | undefined;
        readonly causes?:
          | readonly {
              readonly reason?: string | undefined;
              readonly message?: string | undefined;
              readonly field?: string | undefined;
            }[]
          | undefined;
      }
    | undefined;
}

/** `metav1.Condition`. */
export interface Condition {
  /** CamelCase, unique within the list. */
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration?: number | undefined;
  /** RFC 3339: when `status` last changed (not the message). */
  readonly lastTransitionTime: string;
  /** CamelCase word for machines. */
  readonly reason: string;
  /** A sentence for people. */
  readonly message: string;
}

/** `metav1.LabelSelector`. An empty selector selects everything, an absent one nothing. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?:
    | readonly {
        readonly key: string;
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        readonly values?: readonly string[] | undefined;
      }[]
    | undefined;
}

/** Names one object of a known kind. `namespace` is absent for cluster-scoped kinds. */
export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}
