/**
 * List, regular expression and string functions of the Kubernetes CEL library that @bufbuild/cel does not bring.
 *
 * Source: kubernetes.io/docs/reference/using-api/cel, "Kubernetes list library", "Kubernetes regex library", and the
 * `strings` and `sets` extensions of cel-go.
 */
import {
  type CelFunc,
  type CelList,
  CelScalar,
  type CelValue,
  celEnv,
  celFunc,
  celMethod,
  isCelUint,
  listType,
  parse,
  plan,
} from '@bufbuild/cel';

const { BOOL, DYN, INT, STRING } = CelScalar;
const LIST = listType(DYN);

/** Order of two CEL values of one orderable type (numbers compare across types). @throws Error for others */
function compare(left: CelValue, right: CelValue): number {
  const a = isCelUint(left) ? left.value : left;
  const b = isCelUint(right) ? right.value : right;
  const numbers = (typeof a === 'number' || typeof a === 'bigint') && (typeof b === 'number' || typeof b === 'bigint');
  if (numbers || (typeof a === 'string' && typeof b === 'string') || (typeof a === 'boolean' && typeof b === 'boolean'))
    return a < b ? -1 : a > b ? 1 : 0;
  throw new Error('no such overload: the list elements cannot be ordered');
}

const equality = plan(celEnv(), parse('a == b'));
const equal = (a: CelValue, b: CelValue): boolean => equality({ a, b }) === true;

function extreme(list: CelList, sign: 1 | -1, name: string): CelValue {
  let best: CelValue | undefined;
  for (const item of list) if (best === undefined || compare(item, best) * sign > 0) best = item;
  if (best === undefined) throw new Error(`${name} called on empty list`);
  return best;
}

function sum(list: CelList): bigint | number {
  let total: bigint | number = 0n;
  for (const item of list) {
    const value = isCelUint(item) ? item.value : item;
    if (typeof value === 'bigint' && typeof total === 'bigint') total += value;
    else if (typeof value === 'number') total = Number(total) + value;
    else throw new Error('no such overload: sum of a list that does not hold numbers of one type');
  }
  return total;
}

function indexOf(items: readonly CelValue[], wanted: CelValue): bigint {
  return BigInt(items.findIndex((item) => equal(item, wanted)));
}
const lastIndexOf = (items: readonly CelValue[], wanted: CelValue): bigint =>
  BigInt(items.findLastIndex((item) => equal(item, wanted)));
const has = (list: CelList, wanted: CelValue): boolean => [...list].some((item) => equal(item, wanted));
const holdsAll = (list: CelList, wanted: CelList): boolean => [...wanted].every((item) => has(list, item));

/** RE2 writes options as a leading `(?i)`; ECMAScript has them as flags. */
function regexp(pattern: string, flags: string): RegExp {
  const options = /^\(\?([ims]+)\)/.exec(pattern);
  return options === null
    ? new RegExp(pattern, `u${flags}`)
    : new RegExp(pattern.slice(options[0].length), `u${flags}${options[1] ?? ''}`);
}

const findAll = (input: string, pattern: string, limit: bigint): string[] => {
  const found = [...input.matchAll(regexp(pattern, 'g'))].map((match) => match[0]);
  return limit < 0n ? found : found.slice(0, Number(limit));
};

/** Splits like Go's strings.SplitN: the last part keeps the rest. JavaScript's limit drops it. */
function splitN(input: string, separator: string, limit: bigint): string[] {
  const parts = input.split(separator);
  const count = Number(limit);
  if (count < 0 || parts.length <= count) return parts;
  return count === 0 ? [] : [...parts.slice(0, count - 1), parts.slice(count - 1).join(separator)];
}

/** Lists (`isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`), `sets.*`, `find`, `findAll`, `split` with a limit. */
export const listFunctions: readonly CelFunc[] = [
  celMethod('isSorted', LIST, [], BOOL, function () {
    const items = [...this];
    return items.every((item, index) => {
      const before = items[index - 1];
      return before === undefined || compare(before, item) <= 0;
    });
  }),
  celMethod('sum', LIST, [], DYN, function () {
    return sum(this);
  }),
  celMethod('min', LIST, [], DYN, function () {
    return extreme(this, -1, 'min');
  }),
  celMethod('max', LIST, [], DYN, function () {
    return extreme(this, 1, 'max');
  }),
  celMethod('indexOf', LIST, [DYN], INT, function (wanted) {
    return indexOf([...this], wanted);
  }),
  celMethod('lastIndexOf', LIST, [DYN], INT, function (wanted) {
    return lastIndexOf([...this], wanted);
  }),
  celFunc('sets.contains', [LIST, LIST], BOOL, (list, wanted) => holdsAll(list, wanted)),
  celFunc('sets.intersects', [LIST, LIST], BOOL, (list, other) => [...other].some((item) => has(list, item))),
  celFunc('sets.equivalent', [LIST, LIST], BOOL, (a, b) => holdsAll(a, b) && holdsAll(b, a)),
  celMethod('find', STRING, [STRING], STRING, function (pattern) {
    return regexp(pattern, '').exec(this)?.[0] ?? '';
  }),
  celMethod('findAll', STRING, [STRING], LIST, function (pattern) {
    return findAll(this, pattern, -1n);
  }),
  celMethod('findAll', STRING, [STRING, INT], LIST, function (pattern, limit) {
    return findAll(this, pattern, limit);
  }),
  celMethod('split', STRING, [STRING, INT], LIST, function (separator, limit) {
    return splitN(this, separator, limit);
  }),
];
