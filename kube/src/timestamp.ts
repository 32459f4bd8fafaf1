/** `metav1.Time`: RFC 3339 in whole seconds. */
export function toTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}

/**
 * `metav1.MicroTime`: RFC 3339 with exactly six digits of a second. Three digits, as a Date prints them, are refused
 * by the server.
 */
export function toMicroTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 23)}000Z`;
}
