/** What the null controller and the load that it serves agree on. */

/** Label of the pods that the null controller may touch. */
export const nullLabel = 'bench.ovenbird.io/announced-by';
/** Value of {@link nullLabel}. */
export const nullValue = 'null-controller';
/** The null controller's label selector. */
export const nullSelector: string = `${nullLabel}=${nullValue}`;
/** The one annotation that it writes. */
export const nullAnnotation = 'bench.ovenbird.io/announced-uid';
