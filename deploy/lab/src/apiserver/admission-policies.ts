/**
 * ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1): CEL over the object, the old one and who asks. What of them is
 * not known here (parameters, selectors of namespaces and objects, variables, audit) is refused when a policy has it, so that
 * none seems to hold that does not.
 */
import { isCelError } from '@bufbuild/cel';
import { forbidden } from './api-error.ts';
import type { User } from './authentication.ts';
import { CelCompileError, compileExpression } from './cel.ts';
import { isObject, type KubeObject, objectOf, objectsOf, stringOf } from './json.ts';
import type { Resource } from './resource.ts';
import type { Store } from './store.ts';

/** One write that is asked for. */
export interface Admission {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly resource: Resource;
  readonly subresource: string;
  /** Absent for DELETE. */
  readonly object?: KubeObject;
  /** Absent for CREATE. */
  readonly oldObject?: KubeObject;
}

/** Looks at a write. @throws ApiError 403 what a policy refuses */
export type Admit = (admission: Admission) => void;

const GROUP = 'admissionregistration.k8s.io';
const schema = {
  properties: {
    object: {},
    oldObject: {},
    request: { properties: { userInfo: { properties: { extra: { additionalProperties: true } } } } },
  },
} as const;

const list = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];

/** Whether `matchConstraints.resourceRules` name the write. */
function concerns(policy: KubeObject, { operation, resource, subresource }: Admission): boolean {
  const name = subresource === '' ? resource.plural : `${resource.plural}/${subresource}`;
  const holds = (values: readonly string[], wanted: string): boolean => values.includes('*') || values.includes(wanted);
  return objectsOf(objectOf(objectOf(policy['spec'])['matchConstraints'])['resourceRules']).some(
    (rule) =>
      holds(list(rule['apiGroups']), resource.group) &&
      holds(list(rule['apiVersions']), resource.version) &&
      holds(list(rule['operations']), operation) &&
      (list(rule['resources']).includes(name) || (subresource === '' && list(rule['resources']).includes('*'))),
  );
}

/** What a policy has that this server does not know. */
function unknownParts(policy: KubeObject): readonly string[] {
  const spec = objectOf(policy['spec']);
  const constraints = objectOf(spec['matchConstraints']);
  const has = (value: unknown): boolean =>
    value !== undefined &&
    !(isObject(value) && Object.keys(value).length === 0) &&
    !(Array.isArray(value) && value.length === 0);
  return [
    ...['paramKind', 'variables', 'auditAnnotations'].filter((key) => has(spec[key])),
    ...['namespaceSelector', 'objectSelector', 'excludeResourceRules'].filter((key) => has(constraints[key])),
  ];
}

/** The policies in a store. */
export class AdmissionPolicies {
  readonly #store: Store;
  readonly #compiled = new Map<string, ReturnType<typeof compileExpression>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** What looks at a user's writes. */
  admitter(user: User): Admit {
    return (admission) => this.#admit(admission, user);
  }

  #admit(admission: Admission, user: User): void {
    const policies = this.#store.collection(`validatingadmissionpolicies.${GROUP}`);
    if (policies.size === 0 || admission.resource.group === GROUP) return;
    const { operation, resource, object, oldObject } = admission;
    const name = (object ?? oldObject)?.metadata.name ?? '';
    const request = {
      operation,
      name,
      userInfo: { username: user.name, groups: [...user.groups], extra: user.extra ?? {} },
    };
    const values = { object: object ?? null, oldObject: oldObject ?? null, request };
    for (const { object: binding } of this.#store.collection(`validatingadmissionpolicybindings.${GROUP}`).values()) {
      const spec = objectOf(binding['spec']);
      const policy = policies.get('', stringOf(spec['policyName']) ?? '')?.object;
      if (policy === undefined || !list(spec['validationActions']).includes('Deny') || !concerns(policy, admission))
        continue;
      const denied = (why: string): Error =>
        forbidden(
          resource,
          name,
          `ValidatingAdmissionPolicy '${policy.metadata.name}' with binding '${binding.metadata.name}' denied request: ${why}`,
        );
      const unknown = unknownParts(policy);
      if (unknown.length > 0) throw denied(`this server does not know ${unknown.join(', ')} of policies`);
      const { matchConditions, validations } = objectOf(policy['spec']);
      if (!objectsOf(matchConditions).every((one) => this.#holds(stringOf(one['expression']) ?? '', values, denied)))
        continue;
      for (const one of objectsOf(validations)) {
        const expression = stringOf(one['expression']) ?? '';
        if (!this.#holds(expression, values, denied))
          throw denied(stringOf(one['message']) ?? `failed expression: ${expression}`);
      }
    }
  }

  /** An expression that cannot be evaluated refuses, as with `failurePolicy: Fail`. */
  #holds(expression: string, values: Readonly<Record<string, unknown>>, denied: (why: string) => Error): boolean {
    try {
      let run = this.#compiled.get(expression);
      if (run === undefined) this.#compiled.set(expression, (run = compileExpression(expression, schema)));
      const result = run(values);
      if (typeof result === 'boolean') return result;
      throw denied(
        `expression '${expression}' resulted in error: ${isCelError(result) ? result.message : `it gives ${typeof result}, not a boolean`}`,
      );
    } catch (error) {
      if (error instanceof CelCompileError) throw denied(error.message);
      throw error;
    }
  }
}
