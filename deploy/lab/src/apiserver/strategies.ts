/** Which strategy each built-in resource has. */
import type { CustomResources } from './custom-resources.ts';
import { namespaceStrategy } from './namespaces.ts';
import type { Strategy } from './resource.ts';
import type { Store } from './store.ts';

export function createStrategies(
  _store: Store,
  _cidrs: readonly string[],
  custom: CustomResources,
): Record<string, Strategy> {
  return { namespaces: namespaceStrategy, 'customresourcedefinitions.apiextensions.k8s.io': custom.definitionStrategy };
}
