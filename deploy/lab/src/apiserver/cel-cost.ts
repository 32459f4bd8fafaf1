/**
 * The worst-case cost of a CEL rule, as an API server estimates it before it accepts a CRD.
 *
 * Source: cel-go checker/cost.go and Kubernetes apiserver/pkg/cel/library/cost.go; limits from
 * apiextensions-apiserver/pkg/apis/apiextensions/validation. Where versions differ this takes the higher estimate (lists
 * written in the rule have elements of unknown size; IPs and CIDRs have no known size, so that comparing two is refused).
 */
import { parse } from '@bufbuild/cel';

/** Most that one rule, or one message expression, may cost. */
export const RULE_LIMIT = 10_000_000;
/** Most that all rules and message expressions of a CRD may cost. */
export const CRD_LIMIT = 100_000_000;

/** The parts of a structural schema that bound sizes. */
export interface SizedSchema {
  readonly type?: string;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SizedSchema>>;
  readonly items?: SizedSchema;
}

type Expr = NonNullable<ReturnType<typeof parse>['expr']>;
/** What is known about the value of an expression. `size` is a maximum; `Infinity` when the server does not know it. */
interface Estimate {
  readonly cost: number;
  readonly kind: 'string' | 'list' | 'scalar' | 'other';
  readonly size: number;
  readonly schema?: SizedSchema;
  /** Of lists that the rule writes or makes: what their elements are like. */
  readonly item?: Estimate;
}
type Scope = ReadonlyMap<string, Estimate>;

const TRAVERSAL = 0.1;
const REGEX = 0.25;
const LIST_BASE = 10;
/** What a request may hold, in bytes (apiserver MaxRequestSizeBytes). */
const REQUEST = 3 * 1024 * 1024;

/**
 * @param expression the rule or message expression
 * @param schema the schema of `self` and `oldSelf`
 * @returns worst-case cost in cel-go's units, once; multiply by the number of places
 */
export function estimateCost(expression: string, schema: SizedSchema): number {
  const self = fromSchema(schema);
  return estimate(
    parse(expression).expr,
    new Map([
      ['self', self],
      ['oldSelf', self],
    ]),
  ).cost;
}

/** The value at a place of the schema; reading it costs 1. */
function fromSchema(schema: SizedSchema | undefined): Estimate {
  switch (schema?.type) {
    case 'string': {
      const longest = Math.max(0, ...(schema.enum ?? []).map((value) => String(value).length));
      // A code point has up to four bytes.
      const size =
        schema.maxLength === undefined ? (schema.enum === undefined ? REQUEST : longest) : schema.maxLength * 4;
      return { cost: 1, kind: 'string', size, schema };
    }
    case 'array':
      return { cost: 1, kind: 'list', size: schema.maxItems ?? REQUEST / 2, schema };
    case 'integer':
    case 'number':
    case 'boolean':
      return { cost: 1, kind: 'scalar', size: 1, schema };
    default:
      return { cost: 1, kind: 'other', size: Number.POSITIVE_INFINITY, ...(schema === undefined ? {} : { schema }) };
  }
}

const scalar = (cost: number): Estimate => ({ cost, kind: 'scalar', size: 1 });
const ofString = (cost: number, size: number): Estimate => ({ cost, kind: 'string', size });
const opaque = (cost: number): Estimate => ({ cost, kind: 'other', size: Number.POSITIVE_INFINITY });
const times = (size: number, factor: number): number => Math.ceil(size * factor);

function estimate(expr: Expr | undefined, scope: Scope): Estimate {
  const kind = expr?.exprKind;
  switch (kind?.case) {
    case 'constExpr': {
      const constant = kind.value.constantKind;
      return constant.case === 'stringValue' ? ofString(0, constant.value.length) : scalar(0);
    }
    case 'identExpr': {
      const known = scope.get(kind.value.name);
      return known === undefined ? opaque(1) : { ...known, cost: 1 };
    }
    case 'selectExpr': {
      const operand = estimate(kind.value.operand, scope);
      if (kind.value.testOnly) return scalar(operand.cost + 1);
      const found = fromSchema(operand.schema?.properties?.[kind.value.field] ?? metadataField(kind.value.field));
      return { ...found, cost: operand.cost + 1 };
    }
    case 'listExpr': {
      const items = kind.value.elements.map((element) => estimate(element, scope));
      // The size of the elements is forgotten, their type is not.
      const [like = opaque(0)] = items;
      return { cost: LIST_BASE + total(items), kind: 'list', size: items.length, item: withoutSize(like) };
    }
    case 'callExpr':
      return call(kind.value.function, kind.value.target, kind.value.args, scope);
    case 'comprehensionExpr': {
      const { iterRange, iterVar, accuVar, accuInit, loopCondition, loopStep, result } = kind.value;
      const range = estimate(iterRange, scope);
      const start = estimate(accuInit, scope);
      const item = itemOf(range);
      const inner = new Map([...scope, [iterVar, item], [accuVar, start]]);
      const loop = estimate(loopCondition, inner).cost + estimate(loopStep, inner).cost;
      return {
        ...start,
        cost:
          range.cost + start.cost + range.size * loop + estimate(result, new Map([...scope, [accuVar, start]])).cost,
      };
    }
    default:
      throw new Error(`no cost is known for ${kind?.case ?? 'an empty expression'}`);
  }
}

const withoutSize = (value: Estimate): Estimate =>
  value.kind === 'scalar' ? scalar(1) : { cost: 1, kind: value.kind, size: Number.POSITIVE_INFINITY };
const itemOf = (list: Estimate): Estimate => list.item ?? fromSchema(list.schema?.items);
const total = (values: readonly Estimate[]): number => values.reduce((sum, { cost }) => sum + cost, 0);
/** `metadata` is not described in a CRD, but rules may read the name. */
const metadataField = (field: string): SizedSchema | undefined =>
  field === 'metadata' ? { properties: { name: { type: 'string' }, generateName: { type: 'string' } } } : undefined;

/** Functions of constant cost, and what they give. */
const constant: Readonly<Record<string, (cost: number) => Estimate>> = {
  isIP: scalar,
  isCIDR: scalar,
  'ip.isCanonical': scalar,
  ip: opaque,
  cidr: opaque,
  masked: opaque,
  prefixLength: scalar,
  family: scalar,
  isGlobalUnicast: scalar,
  int: scalar,
  string: (cost) => ofString(cost, Number.POSITIVE_INFINITY),
  size: scalar,
  '!_': scalar,
  '_-_': scalar,
  '_*_': scalar,
  '_/_': scalar,
  '_%_': scalar,
  '@not_strictly_false': scalar,
};

function call(name: string, targetExpr: Expr | undefined, argExprs: readonly Expr[], scope: Scope): Estimate {
  const isCanonical = name === 'isCanonical' && targetExpr?.exprKind.case === 'identExpr';
  const target = targetExpr === undefined || isCanonical ? undefined : estimate(targetExpr, scope);
  const args = argExprs.map((arg) => estimate(arg, scope));
  const paid = (target?.cost ?? 0) + total(args);
  const [first = scalar(0), second = scalar(0), third = scalar(0)] = args;
  const on = target?.size ?? 0;
  const fixed = constant[isCanonical ? 'ip.isCanonical' : name];
  if (fixed !== undefined) return fixed(paid + 1);
  switch (name) {
    case '_&&_':
    case '_||_':
      return scalar(paid);
    case '_?_:_':
      return {
        ...second,
        size: Math.max(second.size, third.size),
        cost: first.cost + Math.max(second.cost, third.cost),
      };
    case '_==_':
    case '_!=_':
    case '_<_':
    case '_<=_':
    case '_>_':
    case '_>=_':
      return scalar(paid + times(Math.min(first.size, second.size), TRAVERSAL));
    case '@in':
      // A list is taken to be searched whole, also one of constants; a key is looked up in a map.
      return scalar(paid + (second.kind === 'list' ? second.size : 1));
    case '_+_': {
      if (first.kind !== 'string') return scalar(paid + 1);
      const size = first.size + second.size;
      return ofString(paid + times(size, TRAVERSAL), size);
    }
    case '_[_]':
      return { ...itemOf(first), cost: paid + 1 };
    case 'contains':
      return scalar(paid + times(on, TRAVERSAL) * times(first.size, TRAVERSAL));
    case 'matches':
      return scalar(paid + times(on + 1, TRAVERSAL) * times(first.size, REGEX));
    case 'find':
      return ofString(paid + times(on + 1, TRAVERSAL) * times(first.size, REGEX), on);
    case 'split':
      return {
        cost: paid + times(on, 2 * TRAVERSAL),
        kind: 'list',
        size: on,
        item: ofString(1, Number.POSITIVE_INFINITY),
      };
    case 'substring':
    case 'trim':
      return ofString(paid + times(on, TRAVERSAL), on);
    case 'indexOf':
      return scalar(paid + times(on, TRAVERSAL));
    case 'format':
      return ofString(paid + times(on, TRAVERSAL), Number.POSITIVE_INFINITY);
    case 'containsIP':
      return scalar(paid + 4 + (first.kind === 'string' ? times(first.size, TRAVERSAL) : 0));
    case 'containsCIDR':
      return scalar(paid + 7 + (first.kind === 'string' ? times(first.size, TRAVERSAL) : 0));
    default:
      throw new Error(`no cost is known for the function ${name}`);
  }
}
