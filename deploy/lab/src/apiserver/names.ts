/** Rules for names, labels and annotations (k8s.io/apimachinery/pkg/util/validation), with its messages. */
import { type Cause, invalidValue, requiredValue } from './api-error.ts';
import { isObject, type KubeObject, listOf, objectsOf, stringOf } from './json.ts';
import type { NameRule } from './resource.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_TEXT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

function tooLong(limit: number): string {
  return `must be no more than ${limit} characters`;
}

/** Why `name` breaks `rule`; undefined when it does not. */
export function nameProblem(name: string, rule: NameRule): string | undefined {
  switch (rule) {
    case 'label':
      if (name.length > 63) return tooLong(63);
      return LABEL.test(name) ? undefined : LABEL_TEXT;
    case 'label1035':
      if (name.length > 63) return tooLong(63);
      return LABEL_1035.test(name) ? undefined : LABEL_1035_TEXT;
    case 'path':
      if (name === '.' || name === '..') return `may not be '${name}'`;
      return /[/%]/.test(name) ? "may not contain '/' or '%'" : undefined;
    case 'subdomain':
      if (name.length > 253) return tooLong(253);
      return SUBDOMAIN.test(name) ? undefined : SUBDOMAIN_TEXT;
  }
}

/** Why `key` is not a qualified name (`prefix/name` or `name`). */
function qualifiedNameProblem(key: string): string | undefined {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = slash < 0 ? key : key.slice(slash + 1);
  if (name.includes('/'))
    return "a qualified name must consist of a name part and at most one prefix, separated by '/'";
  if (prefix === '') return 'prefix part must be non-empty';
  if (prefix !== undefined) {
    const problem = nameProblem(prefix, 'subdomain');
    if (problem !== undefined) return `prefix part ${problem}`;
  }
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return `name part ${tooLong(63)}`;
  return QUALIFIED.test(name) ? undefined : QUALIFIED_TEXT;
}

/** Refused labels of the map at `field`. */
function validateLabels(labels: unknown, field: string): Cause[] {
  if (labels === undefined) return [];
  if (!isObject(labels)) return [invalidValue(field, labels, 'must be a map of strings')];
  const causes: Cause[] = [];
  for (const [key, value] of Object.entries(labels)) {
    const problem = qualifiedNameProblem(key);
    if (problem !== undefined) causes.push(invalidValue(field, key, problem));
    if (typeof value !== 'string') causes.push(invalidValue(field, value, 'must be a string'));
    else if (value.length > 63) causes.push(invalidValue(field, value, tooLong(63)));
    else if (value !== '' && !QUALIFIED.test(value)) causes.push(invalidValue(field, value, VALUE_TEXT));
  }
  return causes;
}

function validateAnnotations(annotations: unknown): Cause[] {
  if (annotations === undefined) return [];
  const field = 'metadata.annotations';
  if (!isObject(annotations)) return [invalidValue(field, annotations, 'must be a map of strings')];
  const causes: Cause[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    const problem = qualifiedNameProblem(key.toLowerCase());
    if (problem !== undefined) causes.push(invalidValue(field, key, problem));
    if (typeof value === 'string') size += key.length + value.length;
    else causes.push(invalidValue(field, value, 'must be a string'));
  }
  const limit = 256 * 1024;
  if (size > limit) {
    causes.push({ reason: 'FieldValueTooLong', field, message: `Too long: may not be more than ${limit} bytes` });
  }
  return causes;
}

function validateOwners(object: KubeObject): Cause[] {
  const causes: Cause[] = [];
  let controllers = 0;
  objectsOf(object.metadata.ownerReferences).forEach((owner, index) => {
    for (const member of ['apiVersion', 'kind', 'name', 'uid']) {
      if (stringOf(owner[member]) === undefined || owner[member] === '') {
        causes.push(
          invalidValue(
            `metadata.ownerReferences[${index}].${member}`,
            owner[member] ?? '',
            `${member} must not be empty`,
          ),
        );
      }
    }
    if (owner['controller'] === true) controllers++;
  });
  if (controllers > 1) {
    causes.push(
      invalidValue(
        'metadata.ownerReferences',
        object.metadata.ownerReferences,
        'Only one reference can have Controller set to true',
      ),
    );
  }
  return causes;
}

/** What is wrong with `metadata` of a new or changed object. */
export function validateMetadata(object: KubeObject, rule: NameRule, old: KubeObject | undefined): Cause[] {
  const { name, labels, annotations, finalizers } = object.metadata;
  const causes: Cause[] = [];
  if (old === undefined) {
    if (name === '') causes.push(requiredValue('metadata.name', 'name or generateName is required'));
    else {
      const problem = nameProblem(name, rule);
      if (problem !== undefined) causes.push(invalidValue('metadata.name', name, problem));
    }
  }
  causes.push(
    ...validateLabels(labels, 'metadata.labels'),
    ...validateAnnotations(annotations),
    ...validateOwners(object),
  );
  listOf(finalizers).forEach((finalizer, index) => {
    const problem = typeof finalizer === 'string' ? qualifiedNameProblem(finalizer) : 'must be a string';
    if (problem !== undefined) causes.push(invalidValue(`metadata.finalizers[${index}]`, finalizer, problem));
  });
  return causes;
}
