import { providerKey } from './annotations.ts';

/** A further interface of a pod, as annotations name it. */
export interface FurtherInterface {
  /** `<nad>.<namespace>.ovn`, or `ovn`. */
  readonly provider: string;
  /** Name inside the pod, such as `net1`. */
  readonly ifname: string;
}

/** Provider of pods' first interfaces, and of those of definitions that say so. */
const FIRST = 'ovn';

/** The part of a key behind the prefix, in the form that keys of providers have: `qos-policy` → `qos_policy`. */
export const interfaceAnnotation = (key: string): string => key.slice(key.indexOf('/') + 1).replaceAll('-', '_');

/**
 * What a pod's annotations say about one of its interfaces. For a further one `<provider>.kubernetes.io/<name>.<interface>`
 * wins over `<provider>.kubernetes.io/<name>`, which is about all interfaces of that provider.
 * @param key of the annotation for first interfaces
 * @param further absent for the first one
 */
export function askedOf(
  { annotations = {} }: { readonly annotations?: Readonly<Record<string, string>> },
  key: string,
  further?: FurtherInterface,
): { readonly key: string; readonly text: string | undefined } {
  if (further === undefined) return { key, text: annotations[key] };
  const { provider, ifname } = further;
  const own = providerKey(provider, `${interfaceAnnotation(key)}.${ifname}`);
  if (annotations[own] !== undefined) return { key: own, text: annotations[own] };
  const shared = provider === FIRST ? key : providerKey(provider, interfaceAnnotation(key));
  return { key: shared, text: annotations[shared] };
}
