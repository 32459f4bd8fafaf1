import type { Reader } from '../store/state.ts';
import type { QosPolicy } from './model.ts';

/** Which Subnets a policy names that do not exist, and what to do, in words; undefined when there are all. */
export function missingSubnets({ targets }: QosPolicy, reader: Reader): string | undefined {
  const missing = targets.flatMap(({ subnets = [] }) =>
    subnets.filter((subnet) => reader.get('Subnet', subnet) === undefined),
  );
  if (missing.length === 0) return undefined;
  const names = [...new Set(missing)].map((name) => `"${name}"`).join(', ');
  return `spec.appliesTo names subnets that do not exist: ${names}; correct the names or create them. The rest is in force`;
}
