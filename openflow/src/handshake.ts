/** Which version two sides speak (OpenFlow 1.5.1 §6.3.1). */
import type { Hello } from './messages/session.ts';
import { isVersion, OF13, OF14, OF15, type Version } from './version.ts';

/** What `connect` offers unless told otherwise. */
export const DEFAULT_VERSIONS: readonly Version[] = [OF15, OF14, OF13];

/** The greeting that offers these versions: in its bitmap, and the highest of them in its header. */
export function greeting(versions: readonly Version[]): { readonly version: Version; readonly hello: Hello } {
  const highest = Math.max(...versions) as Version;
  return { version: highest, hello: { type: 'hello', xid: 1, versions: [...versions].sort((a, b) => a - b) } };
}

/**
 * The version that both sides speak from now on, or undefined when there is none: the highest that is in both bitmaps;
 * when the other side sent no bitmap, the lower one of the two headers.
 * @param header the version byte of the other side's greeting
 */
export function chooseVersion(ours: readonly Version[], header: number, theirs: Hello): Version | undefined {
  if (theirs.versions !== undefined) {
    const common = ours.filter((version) => theirs.versions?.includes(version));
    return common.length === 0 ? undefined : (Math.max(...common) as Version);
  }
  const lower = Math.min(Math.max(...ours), header);
  return isVersion(lower) && ours.includes(lower) ? lower : undefined;
}
