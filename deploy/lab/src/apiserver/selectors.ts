/** Label selectors (`a=b,c in (d,e),!f`) and field selectors (`spec.nodeName=x,status.phase!=Running`). */
import { badRequest } from './api-error.ts';
import { at, isObject, type KubeObject, listOf, objectsOf, stringOf, textOf } from './json.ts';

/** A test of an object; `name` is set where the selector pins `metadata.name`. */
export interface Selector {
  readonly matches: (object: KubeObject) => boolean;
  /** The name that `metadata.name=` asks for: the list becomes a look-up. */
  readonly name?: string;
}

const NO_LABELS: Readonly<Record<string, string>> = {};
/** No label has this value: a comma separates values. */
const ABSENT = ',';

/** A label of one's own; `constructor` is a legal key and must not find what every object inherits. */
function own(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

const KEY = /^([a-z0-9A-Z]([-a-z0-9A-Z.]*[a-z0-9A-Z])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

function unparsable(text: string, why: string): Error {
  return badRequest(`unable to parse requirement: ${why} in label selector ${JSON.stringify(text)}`);
}

/** Splits on commas outside of parentheses. */
function requirements(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function labelTest(requirement: string, whole: string): LabelTest {
  const check = (key: string, values: readonly string[]): void => {
    if (!KEY.test(key)) throw unparsable(whole, `invalid label key ${JSON.stringify(key)}`);
    for (const value of values) {
      if (!VALUE.test(value)) throw unparsable(whole, `invalid label value ${JSON.stringify(value)}`);
    }
  };
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(requirement);
  if (set !== null) {
    const key = set[1] ?? '';
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    check(key, values);
    return set[2] === 'in'
      ? (labels) => values.includes(own(labels, key) ?? ABSENT)
      : (labels) => !values.includes(own(labels, key) ?? ABSENT);
  }
  const compare = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*(\S*)$/.exec(requirement);
  if (compare !== null) {
    const key = compare[1] ?? '';
    const value = compare[3] ?? '';
    const operator = compare[2];
    check(key, [value]);
    if (operator === '!=') return (labels) => own(labels, key) !== value;
    if (operator === '>' || operator === '<') {
      if (!/^-?\d+$/.test(value)) throw unparsable(whole, `${operator} needs an integer, got ${JSON.stringify(value)}`);
      const bound = BigInt(value);
      return (labels) => {
        const label = own(labels, key);
        if (label === undefined || !/^-?\d+$/.test(label)) return false;
        return operator === '>' ? BigInt(label) > bound : BigInt(label) < bound;
      };
    }
    return (labels) => own(labels, key) === value;
  }
  const absent = requirement.startsWith('!');
  const key = absent ? requirement.slice(1).trim() : requirement;
  check(key, []);
  return absent ? (labels) => !Object.hasOwn(labels, key) : (labels) => Object.hasOwn(labels, key);
}

/** Parses the text form. An empty text selects everything (`undefined`). Throws 400 for bad syntax. */
export function parseLabelSelector(text: string): Selector | undefined {
  const tests = requirements(text).map((requirement) => labelTest(requirement, text));
  if (tests.length === 0) return undefined;
  return {
    matches: (object) => {
      const labels = object.metadata.labels ?? NO_LABELS;
      return tests.every((test) => test(labels));
    },
  };
}

/** A `metav1.LabelSelector` object (matchLabels, matchExpressions) as a test of labels; an absent selector matches nothing. */
export function labelSelectorObject(selector: unknown): LabelTest {
  if (!isObject(selector)) return () => false;
  const tests: LabelTest[] = [];
  for (const [key, value] of Object.entries(isObject(selector['matchLabels']) ? selector['matchLabels'] : {})) {
    tests.push((labels) => own(labels, key) === value);
  }
  for (const expression of objectsOf(selector['matchExpressions'])) {
    const key = stringOf(expression['key']) ?? '';
    const values = listOf(expression['values']);
    switch (expression['operator']) {
      case 'In':
        tests.push((labels) => values.includes(own(labels, key) ?? ABSENT));
        break;
      case 'NotIn':
        tests.push((labels) => !values.includes(own(labels, key) ?? ABSENT));
        break;
      case 'Exists':
        tests.push((labels) => Object.hasOwn(labels, key));
        break;
      case 'DoesNotExist':
        tests.push((labels) => !Object.hasOwn(labels, key));
        break;
      default:
        tests.push(() => false);
    }
  }
  return (labels) => tests.every((test) => test(labels));
}

/** Field paths that may be selected on, for one resource. */
export type SelectableFields = ReadonlySet<string>;

function fieldValue(object: KubeObject, path: readonly string[]): string {
  const value = at(object, ...path);
  return value === undefined || value === null ? '' : textOf(value);
}

/**
 * Parses a field selector. Every object has `metadata.name` and `metadata.namespace`; `fields` are the others of this
 * resource. Throws 400 for a field that the resource cannot be selected by.
 */
export function parseFieldSelector(text: string, fields: SelectableFields): Selector | undefined {
  const tests: ((object: KubeObject) => boolean)[] = [];
  let name: string | undefined;
  for (const part of text.split(',').filter((item) => item.trim() !== '')) {
    const match = /^\s*([^=!]+?)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part);
    if (match === null) throw badRequest(`invalid field selector: ${JSON.stringify(part)} is not field=value`);
    const field = match[1] ?? '';
    const value = match[3] ?? '';
    const negated = match[2] === '!=';
    if (field !== 'metadata.name' && field !== 'metadata.namespace' && !fields.has(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    if (field === 'metadata.name' && !negated) name = value;
    const path = field.split('.');
    tests.push((object) => (fieldValue(object, path) === value) !== negated);
  }
  if (tests.length === 0) return undefined;
  return { matches: (object) => tests.every((test) => test(object)), ...(name === undefined ? {} : { name }) };
}
