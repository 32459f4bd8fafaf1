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

/** What both select, in normal form. */
export function both(a: Selector, b: Selector): Selector {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const unique = new Map([...a, ...b].map((requirement) => [textOf(requirement), requirement]));
  return [...unique].sort(([x], [y]) => compare(x, y)).map(([, requirement]) => requirement);
}

/** Whether a requirement says at least what another of the same key says. */
function implies(a: Requirement, b: Requirement): boolean {
  if (a.key !== b.key) return false;
  if (textOf(a) === textOf(b)) return true;
  if (a.operator === 'In') {
    if (b.operator === 'In') return a.values.every((value) => b.values.includes(value));
    if (b.operator === 'NotIn') return !a.values.some((value) => b.values.includes(value));
    return b.operator === 'Exists';
  }
  if (b.operator !== 'NotIn') return false;
  return (
    a.operator === 'DoesNotExist' || (a.operator === 'NotIn' && b.values.every((value) => a.values.includes(value)))
  );
}

/** Whether all that `a` selects is surely selected by `b` as well. */
export const isNarrower = (a: Selector, b: Selector): boolean =>
  b.every((wanted) => a.some((requirement) => implies(requirement, wanted)));

/** Whether no labels can meet a selector: requirements of one key that contradict each other. */
export function isContradictory(selector: Selector): boolean {
  return selector.some(({ key, operator, values }) => {
    const others = selector.filter((requirement) => requirement.key === key);
    if (operator === 'DoesNotExist')
      return others.some((other) => other.operator === 'In' || other.operator === 'Exists');
    return (
      operator === 'In' &&
      !values.some((value) =>
        others.every((other) => {
          if (other.operator === 'In') return other.values.includes(value);
          return other.operator !== 'NotIn' || !other.values.includes(value);
        }),
      )
    );
  });
}
