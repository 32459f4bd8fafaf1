/** Authorization from the Role, ClusterRole and binding objects in the store (rbac.authorization.k8s.io/v1). */
import type { User } from './authentication.ts';
import { at, type JsonObject, type KubeObject, listOf, objectsOf, stringOf } from './json.ts';
import { labelSelectorObject } from './selectors.ts';
import type { Store } from './store.ts';

/** What somebody wants to do. For other than API objects `path` is set and the rest is empty. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
}

/** One PolicyRule, in the form it is matched in. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceUrls: readonly string[];
}

interface Grant {
  /** '' for a ClusterRoleBinding. */
  readonly namespace: string;
  readonly subjects: readonly JsonObject[];
  readonly rules: readonly Rule[];
}

const GROUP = 'rbac.authorization.k8s.io';
const COLLECTIONS: readonly string[] = ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'].map(
  (plural) => `${plural}.${GROUP}`,
);
const MASTERS = 'system:masters';

function strings(value: unknown): string[] {
  return listOf(value).filter((item) => typeof item === 'string');
}

function rulesOf(role: KubeObject | undefined): Rule[] {
  return objectsOf(role?.['rules']).map((rule) => ({
    verbs: strings(rule['verbs']),
    apiGroups: strings(rule['apiGroups']),
    resources: strings(rule['resources']),
    resourceNames: strings(rule['resourceNames']),
    nonResourceUrls: strings(rule['nonResourceURLs']),
  }));
}

function matchesUrl(pattern: string, path: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1));
}

function allows(rule: Rule, wanted: Attributes): boolean {
  if (!rule.verbs.includes('*') && !rule.verbs.includes(wanted.verb)) return false;
  if (wanted.resource === '') return rule.nonResourceUrls.some((pattern) => matchesUrl(pattern, wanted.path));
  if (!rule.apiGroups.includes('*') && !rule.apiGroups.includes(wanted.group)) return false;
  const { resource, subresource } = wanted;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const named = rule.resources.some(
    (item) => item === '*' || item === full || (subresource !== '' && item === `*/${subresource}`),
  );
  if (!named) return false;
  return rule.resourceNames.length === 0 || rule.resourceNames.includes(wanted.name);
}

/** Decides by the bindings in the store. Decisions are remembered until a role or binding changes. */
export class Authorizer {
  readonly #store: Store;
  #grants: Grant[] | undefined;
  #rulesByUser = new Map<string, { namespace: string; rules: readonly Rule[] }[]>();
  #decisions = new Map<string, boolean>();

  constructor(store: Store) {
    this.#store = store;
    for (const collection of COLLECTIONS) {
      store.collection(collection).subscribe(() => {
        this.#grants = undefined;
      });
    }
  }

  /** Whether `user` may do what `wanted` says. */
  authorize(user: User, wanted: Attributes): boolean {
    if (user.groups.includes(MASTERS)) return true;
    const grants = this.#grantsOf(user);
    const { verb, group, resource, subresource, namespace, name, path } = wanted;
    const key = `${user.name}|${user.groups.join(',')}|${verb}|${group}|${resource}|${subresource}|${namespace}|${name}|${path}`;
    let decision = this.#decisions.get(key);
    if (decision === undefined) {
      decision = grants.some(
        (grant) =>
          (grant.namespace === '' || grant.namespace === namespace) && grant.rules.some((rule) => allows(rule, wanted)),
      );
      if (this.#decisions.size > 20_000) this.#decisions.clear();
      this.#decisions.set(key, decision);
    }
    return decision;
  }

  /** The rules that apply to `user` in `namespace` (cluster-wide ones included), for SelfSubjectRulesReview. */
  rules(user: User, namespace: string): Rule[] {
    if (user.groups.includes(MASTERS)) {
      const all = ['*'];
      return [
        { verbs: all, apiGroups: all, resources: all, resourceNames: [], nonResourceUrls: [] },
        { verbs: all, apiGroups: [], resources: [], resourceNames: [], nonResourceUrls: all },
      ];
    }
    return this.#grantsOf(user)
      .filter((grant) => grant.namespace === '' || grant.namespace === namespace)
      .flatMap((grant) => [...grant.rules]);
  }

  #grantsOf(user: User): { namespace: string; rules: readonly Rule[] }[] {
    if (this.#grants === undefined) {
      this.#grants = this.#build();
      this.#rulesByUser = new Map();
      this.#decisions = new Map();
    }
    const key = `${user.name}|${user.groups.join(',')}`;
    let found = this.#rulesByUser.get(key);
    if (found === undefined) {
      found = this.#grants.filter((grant) =>
        grant.subjects.some((subject) => isSubject(subject, user, grant.namespace)),
      );
      this.#rulesByUser.set(key, found);
    }
    return found;
  }

  #build(): Grant[] {
    const grants: Grant[] = [];
    for (const plural of ['clusterrolebindings', 'rolebindings']) {
      for (const { object, namespace } of this.#store.collection(`${plural}.${GROUP}`).values()) {
        const name = stringOf(at(object, 'roleRef', 'name')) ?? '';
        const rules =
          at(object, 'roleRef', 'kind') === 'Role'
            ? rulesOf(this.#store.collection(`roles.${GROUP}`).get(namespace, name)?.object)
            : this.#clusterRules(name);
        grants.push({ namespace, subjects: objectsOf(object['subjects']), rules });
      }
    }
    return grants;
  }

  /** A ClusterRole's rules, with those it aggregates (`aggregationRule.clusterRoleSelectors`). */
  #clusterRules(name: string): Rule[] {
    const roles = this.#store.collection(`clusterroles.${GROUP}`);
    const role = roles.get('', name)?.object;
    const rules = rulesOf(role);
    const selectors = objectsOf(at(role, 'aggregationRule', 'clusterRoleSelectors')).map(labelSelectorObject);
    if (selectors.length === 0) return rules;
    for (const { object } of roles.values()) {
      if (object.metadata.name !== name && selectors.some((test) => test(object.metadata.labels ?? {}))) {
        rules.push(...rulesOf(object));
      }
    }
    return rules;
  }
}

function isSubject(subject: JsonObject, user: User, bindingNamespace: string): boolean {
  const name = stringOf(subject['name']) ?? '';
  switch (subject['kind']) {
    case 'User':
      return user.name === name;
    case 'Group':
      return user.groups.includes(name);
    case 'ServiceAccount':
      return user.name === `system:serviceaccount:${stringOf(subject['namespace']) ?? bindingNamespace}:${name}`;
    default:
      return false;
  }
}

/** What a user must be allowed to be taken for another one: `impersonate` on the user or service account, and on each group. */
export function impersonation(name: string, groups: readonly string[]): readonly Attributes[] {
  const wanted = (resource: string, namespace: string, wantedName: string): Attributes => ({
    verb: 'impersonate',
    group: '',
    resource,
    subresource: '',
    namespace,
    name: wantedName,
    path: '',
  });
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  const user =
    account === null ? wanted('users', '', name) : wanted('serviceaccounts', account[1] ?? '', account[2] ?? '');
  return [user, ...groups.map((group) => wanted('groups', '', group))];
}

/** Why the request was refused, in the words of the real server. */
export function denial(user: User, wanted: Attributes): string {
  const who = `User ${JSON.stringify(user.name)} cannot ${wanted.verb}`;
  if (wanted.resource === '') return `${who} path ${JSON.stringify(wanted.path)}`;
  const full = wanted.subresource === '' ? wanted.resource : `${wanted.resource}/${wanted.subresource}`;
  const where =
    wanted.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(wanted.namespace)}`;
  return `${who} resource ${JSON.stringify(full)} in API group ${JSON.stringify(wanted.group)} ${where}`;
}
