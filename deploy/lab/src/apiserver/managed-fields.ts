/** Temporary seam, replaced below. */
import type { KubeObject } from './json.ts';
import type { Resource } from './resource.ts';
export function trackUpdate(
  _old: KubeObject,
  _draft: KubeObject,
  _resource: Resource,
  _by: { manager: string; subresource: string; now: string },
): void {}
