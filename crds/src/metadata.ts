/** Parts every object has (Kubernetes API conventions, "Metadata" and "Typical status properties"). */

/** `metadata`, as far as Ovenbird's kinds need it. */
export interface ObjectMeta {
  readonly name: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** Grows with every change of the spec. */
  readonly generation?: number;
  /** RFC 3339, whole seconds. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }[];
  readonly finalizers?: readonly string[];
}

/** `metav1.Condition`. */
export interface Condition {
  /** CamelCase, unique within the list. */
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** The generation of the spec that this is about. */
  readonly observedGeneration?: number;
  /** RFC 3339: when `status` last changed, not the message. */
  readonly lastTransitionTime: string;
  /** CamelCase word for machines. */
  readonly reason: string;
  /** A sentence for people. */
  readonly message: string;
}

/** An object of one of Ovenbird's kinds. */
export interface CustomResource<Spec, Status> {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}
