/** The JSONPath of printer columns: `.spec.a`, `['b.c']`, `[0]`, `[*]`, and filters `[?(@.type=="Ready")]`. */
import { at, isObject, listOf } from './json.ts';

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | {
      readonly kind: 'filter';
      readonly path: readonly string[];
      readonly equals: boolean;
      readonly value: string | undefined;
    };

/** A parsed path. */
export type JsonPath = readonly Step[];

const STEP =
  /^(?:\.([A-Za-z0-9_$/-]+(?:\\\.[A-Za-z0-9_$/-]+)*)|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\[(-?\d+)\]|\.?\[?(\*)\]?|\[\?\(\s*@((?:\.[\w-]+)+)\s*(?:(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*)?\)\])/;

/** Parses a path. A part that is not understood ends it with a step that selects nothing. */
export function parseJsonPath(text: string): JsonPath {
  let rest = text.trim().replace(/^\{(.*)\}$/, '$1');
  if (rest !== '' && !rest.startsWith('.') && !rest.startsWith('[')) rest = `.${rest}`;
  const steps: Step[] = [];
  while (rest !== '' && rest !== '.') {
    const match = STEP.exec(rest);
    if (match === null) return [{ kind: 'index', index: Number.MAX_SAFE_INTEGER }];
    rest = rest.slice(match[0].length);
    const field = match[1] ?? match[2] ?? match[3];
    if (field !== undefined) steps.push({ kind: 'field', name: field.replace(/\\(.)/g, '$1') });
    else if (match[4] !== undefined) steps.push({ kind: 'index', index: Number(match[4]) });
    else if (match[5] !== undefined) steps.push({ kind: 'all' });
    else {
      steps.push({
        kind: 'filter',
        path: (match[6] ?? '').slice(1).split('.'),
        equals: match[7] !== '!=',
        value: match[7] === undefined ? undefined : (match[8] ?? match[9] ?? match[10]),
      });
    }
  }
  return steps;
}

/** All values at a path. */
export function findValues(path: JsonPath, root: unknown): unknown[] {
  let values: unknown[] = [root];
  for (const step of path) {
    values = values.flatMap((value) => next(step, value)).filter((value) => value !== undefined);
  }
  return values;
}

function next(step: Step, value: unknown): unknown[] {
  switch (step.kind) {
    case 'field':
      return isObject(value) ? [value[step.name]] : [];
    case 'index':
      return [listOf(value).at(step.index)];
    case 'all':
      return isObject(value) ? Object.values(value) : [...listOf(value)];
    case 'filter':
      return listOf(value).filter((item) => {
        const found = at(item, ...step.path);
        if (step.value === undefined) return found !== undefined;
        return (found !== undefined && text(found) === step.value) === step.equals;
      });
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The cell of a printer column: the first value at the path, in the column's type; `null` where there is none. */
export function printedValue(path: JsonPath, object: unknown, type: string): unknown {
  const value = findValues(path, object)[0];
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'integer':
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    default:
      return text(value);
  }
}
