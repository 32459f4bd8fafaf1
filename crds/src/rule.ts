/**
 * Validation rules, written twice: as CEL for the API server (`x-kubernetes-validations`), and as a function for everybody
 * who gets objects from elsewhere. A property test proves that the two agree.
 *
 * CEL is written so that the server's cost estimate stays bounded (Kubernetes docs, "Resource use by validation
 * functions"): strings that are compared or joined come from fields with a maxLength or from `find` and `substring` of
 * such, never from `string()` or the elements of `split`, whose size the estimator does not know.
 */
import type * as z from 'zod';

/** As the API server takes it. */
export interface KubernetesValidation {
  /** CEL, true when the value is good. */
  readonly rule: string;
  /** What to write instead. One line. */
  readonly message: string;
  /** CEL that gives a more precise message. */
  readonly messageExpression?: string;
}

/** A rule about one value. */
export interface Rule<T> extends KubernetesValidation {
  /** The rule as a function; true when the value is good. Must not throw. */
  holds(value: T): boolean;
}

/** A rule about a change; the server runs it on updates. */
export interface TransitionRule<T> extends KubernetesValidation {
  /** The rule as a function; true when `value` may replace `old`. Must not throw. */
  allows(value: T, old: T): boolean;
}

const KEY = 'x-kubernetes-validations';

function append<S extends z.ZodType>(schema: S, added: readonly KubernetesValidation[]): S {
  const meta = schema.meta() ?? {};
  const before = (meta[KEY] as KubernetesValidation[] | undefined) ?? [];
  const plain = added.map(({ rule, message, messageExpression }) => ({
    rule,
    message,
    ...(messageExpression === undefined ? {} : { messageExpression }),
  }));
  return schema.meta({ ...meta, [KEY]: [...before, ...plain] });
}

/** The schema with rules about its value. */
export function withRules<S extends z.ZodType>(schema: S, ...rules: readonly Rule<z.output<S>>[]): S {
  const meta = schema.meta();
  const checked = schema.superRefine((value, context) => {
    for (const rule of rules)
      if (!rule.holds(value)) context.addIssue({ code: 'custom', message: rule.message, input: value });
  });
  return append(meta === undefined ? checked : checked.meta(meta), rules);
}

/** The schema with rules about changes of its value; only the API server knows the value before, so zod ignores them. */
export function withTransitions<S extends z.ZodType>(schema: S, ...rules: readonly TransitionRule<z.output<S>>[]): S {
  return append(schema, rules);
}

/** Names of Subnets and Vpcs appear in label values, which hold 63 characters. */
export const shortName: Rule<{ metadata: { name: string } }> = {
  rule: 'self.metadata.name.size() <= 63',
  message: 'metadata.name must have at most 63 characters, because labels carry it',
  holds: (value) => value.metadata.name.length <= 63,
};

/** First parts of names of other ports in OVN: `node_<node>`, `localnet_<subnet>`, `vip_<vip>`. */
const portWords = ['node', 'localnet', 'vip'];

/** A Subnet or Vpc of such a name would have ports of the same names. */
export const portWordRule: Rule<{ metadata: { name: string } }> = {
  rule: portWords.map((word) => `self.metadata.name != '${word}'`).join(' && '),
  message: `${portWords.join(', ')} are words of port names in OVN; choose another name`,
  holds: (value) => !portWords.includes(value.metadata.name),
};
