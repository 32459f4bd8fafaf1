/**
 * Compiles and evaluates `x-kubernetes-validations` rules: CEL with the Kubernetes extension library.
 *
 * Kubernetes type-checks a rule against the schema and bounds its cost before it accepts the CRD; this evaluator finds
 * unknown functions and variables when it compiles, and everything else when it runs.
 */
import { type CelInput, type CelMap, type CelResult, celEnv, celMap, isCelError, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { ipFunctions } from './cel-ip.ts';
import { listFunctions } from './cel-lists.ts';

/** The parts of a structural schema that decide how a value looks in CEL. */
export interface CelSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, CelSchema>>;
  readonly additionalProperties?: CelSchema | boolean;
  readonly items?: CelSchema;
}

/** What a rule says about a value: `message` is the value of the message expression, if there is one and it worked. */
export type CelVerdict =
  | { readonly valid: true }
  | { readonly valid: false; readonly message?: string }
  | { readonly valid: false; readonly error: string };

/** A compiled rule. It holds no state: `evaluate` may be called any number of times. */
export interface CompiledRule {
  /** A transition rule: the server runs it on updates only, when both values exist. */
  readonly usesOldSelf: boolean;
  /**
   * @param self the value at the rule's place in the object, as JSON
   * @param oldSelf the value there before the update
   * @returns whether the rule holds; an `Error` when it could not be evaluated (the server then refuses the object)
   */
  evaluate(self: unknown, oldSelf?: unknown): boolean | Error;
  /** As {@link evaluate}, and runs the message expression when the rule does not hold. */
  verdict(self: unknown, oldSelf?: unknown): CelVerdict;
}

/** A rule that the server would refuse together with its CRD. */
export class CelCompileError extends Error {
  override readonly name = 'CelCompileError';
  readonly rule: string;
  constructor(rule: string, reason: string, options?: ErrorOptions) {
    super(`CEL rule ${JSON.stringify(rule)}: ${reason}`, options);
    this.rule = rule;
  }
}

const environment = celEnv({ funcs: [...strings, ...listFunctions, ...ipFunctions] });
const functionNames: ReadonlySet<string> = new Set([...environment.funcs].map((func) => func.name));
/** Operators that the planner evaluates itself instead of looking them up as functions. */
const builtIn = new Set(['_[_]', '_?_:_', '_&&_', '_||_', '@not_strictly_false', '__not_strictly_false__']);
/** Type names may stand where a variable stands: `type(self) == string`. */
const typeNames = new Set(
  'int uint double bool string bytes list map null_type type google.protobuf.Timestamp google.protobuf.Duration'.split(
    ' ',
  ),
);

/**
 * Compiles a rule.
 * @param rule the CEL expression, true when the object is good
 * @param messageExpression a CEL expression for the message
 * @param schema schema of the value; with it, `number` fields become doubles and the keys of maps are left alone
 * @throws CelCompileError for bad syntax, unknown functions and unknown variables
 */
export function compileRule(rule: string, messageExpression?: string, schema?: CelSchema): CompiledRule {
  const compiled = compile(rule);
  const message = messageExpression === undefined ? undefined : compile(messageExpression);
  const bind = (self: unknown, oldSelf: unknown): Record<string, CelInput> => ({
    self: toCel(self, schema),
    ...(oldSelf === undefined ? {} : { oldSelf: toCel(oldSelf, schema) }),
  });
  const run = (bindings: Record<string, CelInput>): boolean | Error => {
    const result = compiled.run(bindings);
    if (isCelError(result)) return result;
    return typeof result === 'boolean' ? result : new Error(`the rule gives ${typeof result}, not a boolean`);
  };
  return {
    usesOldSelf: compiled.usesOldSelf,
    evaluate: (self, oldSelf) => run(bind(self, oldSelf)),
    verdict(self, oldSelf) {
      const bindings = bind(self, oldSelf);
      const result = run(bindings);
      if (result === true) return { valid: true };
      if (result !== false) return { valid: false, error: result.message };
      const text = message?.run(bindings);
      // As the server does: a message expression that fails, or gives a blank or a line break, is as if it were absent.
      return typeof text === 'string' && text.trim() !== '' && !text.includes('\n')
        ? { valid: false, message: text }
        : { valid: false };
    },
  };
}

interface Compiled {
  readonly usesOldSelf: boolean;
  run(bindings: Record<string, CelInput>): CelResult;
}

/**
 * Compiles an expression over variables of its own.
 * @param schema of the object whose properties are the variables
 * @returns evaluates it over JSON values
 * @throws CelCompileError as {@link compileRule}
 */
export function compileExpression(
  expression: string,
  schema: CelSchema & { readonly properties: Readonly<Record<string, CelSchema>> },
): (values: Readonly<Record<string, unknown>>) => CelResult {
  const compiled = compile(expression, new Set(Object.keys(schema.properties)));
  return (values) =>
    compiled.run(
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toCel(value, schema.properties[name])])),
    );
}

const ruleVariables: ReadonlySet<string> = new Set(['self', 'oldSelf']);

function compile(expression: string, variables: ReadonlySet<string> = ruleVariables): Compiled {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(expression);
  } catch (cause) {
    throw new CelCompileError(expression, `syntax error: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  const found = { variables: new Set<string>(), functions: new Set<string>() };
  collect(parsed.expr, new Set(), found);
  for (const name of found.functions)
    if (!functionNames.has(name) && !builtIn.has(name))
      throw new CelCompileError(expression, `undeclared reference to function '${name}'`);
  for (const name of found.variables)
    if (!variables.has(name) && !typeNames.has(name))
      throw new CelCompileError(
        expression,
        `undeclared reference to '${name}' (${[...variables].join(' and ')} are declared)`,
      );
  return { usesOldSelf: found.variables.has('oldSelf'), run: plan(environment, parsed.expr) };
}

type Expr = ReturnType<typeof parse>['expr'];

/** Collects free variables and called functions of an expression; `bound` holds the variables of macros around it. */
function collect(
  expr: Expr | undefined,
  bound: ReadonlySet<string>,
  found: { variables: Set<string>; functions: Set<string> },
): void {
  if (expr === undefined) return;
  const kind = expr.exprKind;
  switch (kind.case) {
    case 'identExpr':
      if (!bound.has(kind.value.name)) found.variables.add(kind.value.name);
      return;
    case 'selectExpr':
      collect(kind.value.operand, bound, found);
      return;
    case 'callExpr': {
      const { target, function: name, args } = kind.value;
      // `sets.contains(a, b)` parses as a call on the identifier `sets`.
      const qualified = target?.exprKind.case === 'identExpr' ? `${target.exprKind.value.name}.${name}` : undefined;
      if (qualified !== undefined && functionNames.has(qualified)) found.functions.add(qualified);
      else {
        found.functions.add(name);
        collect(target, bound, found);
      }
      for (const arg of args) collect(arg, bound, found);
      return;
    }
    case 'listExpr':
      for (const element of kind.value.elements) collect(element, bound, found);
      return;
    case 'structExpr':
      for (const entry of kind.value.entries) {
        if (entry.keyKind.case === 'mapKey') collect(entry.keyKind.value, bound, found);
        collect(entry.value, bound, found);
      }
      return;
    case 'comprehensionExpr': {
      const fold = kind.value;
      collect(fold.iterRange, bound, found);
      collect(fold.accuInit, bound, found);
      const inner = new Set([...bound, fold.iterVar, fold.accuVar]);
      for (const part of [fold.loopCondition, fold.loopStep, fold.result]) collect(part, inner, found);
      return;
    }
    default:
      return;
  }
}

const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** The name under which CEL sees a property (Kubernetes docs, "Validation rules", escaping). */
function escapeName(name: string): string {
  if (reserved.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

function toCel(value: unknown, schema: CelSchema | undefined): CelInput {
  if (typeof value === 'number') return schema?.type === 'number' || !Number.isInteger(value) ? value : BigInt(value);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((item: unknown) => toCel(item, schema?.items));
  if (typeof value === 'object') return objectToCel(value, schema);
  throw new CelCompileError('', `a JSON value cannot be a ${typeof value}`);
}

function objectToCel(value: object, schema: CelSchema | undefined): CelMap {
  const values = schema?.additionalProperties;
  const isMap = values !== undefined && values !== false;
  const entries = new Map<string, CelInput>();
  for (const [name, item] of Object.entries(value)) {
    const child = isMap ? (values === true ? undefined : values) : schema?.properties?.[name];
    entries.set(isMap ? name : escapeName(name), toCel(item, child));
  }
  return celMap(entries);
}
