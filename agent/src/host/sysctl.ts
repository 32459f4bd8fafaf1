import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * Sets a kernel parameter of the network namespace of this thread, where there is one of that name. Only differences are
 * written, so that a read-only /proc/sys with the right values is fine.
 * @param key path below /proc/sys
 */
export function setSysctl(key: string, value: string): void {
  const path = `/proc/sys/${key}`;
  if (existsSync(path) && readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
}
