/** Which strategy each built-in resource has. */
import type { CustomResources } from './custom-resources.ts';
import { namespaceStrategy } from './namespaces.ts';
import { plainStrategies } from './plain-kinds.ts';
import { podStrategy } from './pods.ts';
import type { Strategy } from './resource.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import { ServiceStrategy } from './services.ts';
import { workloadStrategies } from './workload-kinds.ts';

/** Strategies by resource (`pods`, `deployments.apps`). */
export function createStrategies(addresses: ServiceAddresses, custom: CustomResources): Record<string, Strategy> {
  return {
    ...plainStrategies,
    ...workloadStrategies,
    namespaces: namespaceStrategy,
    pods: podStrategy,
    services: new ServiceStrategy(addresses),
    'customresourcedefinitions.apiextensions.k8s.io': custom.definitionStrategy,
  };
}
