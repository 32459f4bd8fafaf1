import { multus, providerKey } from '@ovenbird/crds';
import type { AttachmentAddress } from '../attachment/model.ts';
import type { Pod } from '../store/model.ts';

/** A further interface of a pod, as annotations name it. */
export type FurtherInterface = Pick<AttachmentAddress, 'provider' | 'ifname'>;

/** Provider of pods' first interfaces, and of those of definitions that say so. */
const FIRST = 'ovn';

/** The part of a key behind the prefix, in the form that keys of providers have: `qos-policy` → `qos_policy`. */
const nameOf = (key: string): string => key.slice(key.indexOf('/') + 1).replaceAll('-', '_');

/**
 * What a pod's annotations say about one of its interfaces. For a further one `<provider>.kubernetes.io/<name>.<interface>`
 * wins over `<provider>.kubernetes.io/<name>`, which is about all interfaces of that provider.
 * @param key of the annotation for first interfaces
 * @param further absent for the first one
 */
export function askedOf(
  { annotations }: Pick<Pod, 'annotations'>,
  key: string,
  further?: FurtherInterface,
): { readonly key: string; readonly text: string | undefined } {
  if (further === undefined) return { key, text: annotations[key] };
  const { provider, ifname } = further;
  const own = providerKey(provider, `${nameOf(key)}.${ifname}`);
  if (annotations[own] !== undefined) return { key: own, text: annotations[own] };
  const shared = provider === FIRST ? key : providerKey(provider, nameOf(key));
  return { key: shared, text: annotations[shared] };
}

/** What the pod's annotations say about any of its interfaces, first or further. @param key for first interfaces */
export function askedAnywhere({ annotations }: Pick<Pod, 'annotations'>, key: string): readonly string[] {
  // Most pods have no further interfaces, and this is asked at each of their events.
  if (annotations[multus.networks] === undefined) return annotations[key] === undefined ? [] : [annotations[key]];
  const name = `.kubernetes.io/${nameOf(key)}`;
  return Object.entries(annotations)
    .filter(([own]) => own === key || own.endsWith(name) || own.includes(`${name}.`))
    .map(([, text]) => text);
}

/** Entries of a list joined by commas. */
export const listOf = (text: string | undefined): readonly string[] =>
  (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
