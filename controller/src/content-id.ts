import { createHash } from 'node:crypto';

/** Identity of something by its content: 16 hex digits, which make a collision among a million sets unlikely (10^-8). */
export function contentId(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
}
