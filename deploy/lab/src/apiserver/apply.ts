/** Temporary seam, replaced below. */
import { badRequest } from './api-error.ts';
import type { RequestInfo } from './request-info.ts';
import type { Resource } from './resource.ts';
import type { WriteOptions, Writer, Written } from './writer.ts';
export function applyPatch(
  _w: Writer,
  _r: Resource,
  _i: RequestInfo,
  _s: string,
  _b: unknown,
  _o: WriteOptions,
  _f: boolean,
): Written {
  throw badRequest('server-side apply is not there yet');
}
