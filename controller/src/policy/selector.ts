import type { LabelSelector } from '@ovenbird/kube';

/** One requirement of a label selector (`metav1.LabelSelectorRequirement`). */
export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** A label selector in normal form: requirements that must all hold, sorted; none = everything. */
export type Selector = readonly Requirement[];

export type Labels = Readonly<Record<string, string>>;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const textOf = ({ key, operator, values }: Requirement): string => JSON.stringify([key, operator, values]);

/**
 * Normal form of a selector: equal selectors written differently become equal values.
 * An operator that the API does not know selects nothing, so that a newer API opens no policy.
 */
export function parseSelector(selector: LabelSelector): Selector {
  const requirements: Requirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'In',
    values: [value],
  }));
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const sorted = [...new Set(values ?? [])].sort(compare);
    const known = operator === 'In' || operator === 'NotIn' || operator === 'Exists' || operator === 'DoesNotExist';
    requirements.push(known ? { key, operator, values: sorted } : { key, operator: 'In', values: [] });
  }
  const unique = new Map(requirements.map((requirement) => [textOf(requirement), requirement]));
  return [...unique].sort(([a], [b]) => compare(a, b)).map(([, requirement]) => requirement);
}

/** Whether a selector selects an object with these labels; an absent key satisfies NotIn (Kubernetes API, labels). */
export function selects(selector: Selector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

/** A selector as people write it for kubectl: `app=web,tier in (a,b),!old`; `*` selects everything. */
export function selectorText(selector: Selector): string {
  if (selector.length === 0) return '*';
  return selector
    .map(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
          return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
        case 'NotIn':
          return `${key} notin (${values.join(',')})`;
        case 'Exists':
          return key;
        case 'DoesNotExist':
          return `!${key}`;
      }
    })
    .join(',');
}

/**
 * Label pairs of which an object must have at least one to be selected, if the selector says so by an In requirement: the
 * one with the fewest values. `undefined` when any object may be selected.
 */
export function requiredPairs(selector: Selector): readonly (readonly [key: string, value: string])[] | undefined {
  const [narrowest] = selector
    .filter(({ operator }) => operator === 'In')
    .sort((a, b) => a.values.length - b.values.length);
  return narrowest?.values.map((value) => [narrowest.key, value]);
}
