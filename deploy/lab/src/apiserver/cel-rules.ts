/** Temporary seam, replaced below. */
import type { Cause } from './api-error.ts';
import type { JsonObject, KubeObject } from './json.ts';
export class CelRules {
  constructor(_schema: JsonObject) {}
  static problems(_schema: JsonObject, _field: string): Cause[] {
    return [];
  }
  validate(_object: KubeObject, _old: KubeObject | undefined): Cause[] {
    return [];
  }
}
