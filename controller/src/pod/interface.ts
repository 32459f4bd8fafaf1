import { interfaceAnnotation, multus } from '@ovenbird/crds';
import type { Pod } from '../store/model.ts';

/** What the pod's annotations say about any of its interfaces, first or further. @param key for first interfaces */
export function askedAnywhere({ annotations }: Pick<Pod, 'annotations'>, key: string): readonly string[] {
  // Most pods have no further interfaces, and this is asked at each of their events.
  if (annotations[multus.networks] === undefined) return annotations[key] === undefined ? [] : [annotations[key]];
  const name = `.kubernetes.io/${interfaceAnnotation(key)}`;
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
