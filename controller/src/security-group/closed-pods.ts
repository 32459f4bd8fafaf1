/** Key of the one ClosedPods. */
export const closedPods = 'group';
