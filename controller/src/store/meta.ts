/** Namespaced objects are keyed `namespace/name`, cluster-scoped ones `name`. */
export type Key = string;

/** What is kept of every object's metadata. */
export interface Meta {
  readonly name: string;
  readonly uid: string;
  /** RFC 3339; of two conflicting objects the older wins. */
  readonly created: string;
  readonly deleting: boolean;
}
