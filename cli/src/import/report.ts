/** Any Kubernetes object, as it stands in a manifest. */
export interface Manifest {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>> | null;
    readonly annotations?: Readonly<Record<string, string>> | null;
  } | null;
  readonly spec?: Readonly<Record<string, unknown>> | null;
  readonly status?: Readonly<Record<string, unknown>> | null;
  readonly items?: readonly Manifest[] | null;
}

/** Something that is not carried over as it stands, and why. */
export interface Note {
  /** `Subnet/blue`, `Pod/default/web`. */
  readonly object: string;
  /** `spec.gatewayType`, an annotation's key; empty: the whole object. */
  readonly field: string;
  readonly why: string;
}

/** `Kind/name` or `Kind/namespace/name`. */
export function nameOf({ kind = '?', metadata }: Manifest): string {
  const { name = '?', namespace } = metadata ?? {};
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}
