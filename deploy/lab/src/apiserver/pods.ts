/** Pods: defaults at creation, validation, and which fields may change afterwards. */
import { type Cause, duplicateValue, forbiddenField, invalidValue, notSupported, requiredValue } from './api-error.ts';
import {
  at,
  clone,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from './json.ts';
import { nameProblem } from './names.ts';
import { podDefaults, podSpecDefaults } from './pod-defaults.ts';
import type { Strategy } from './resource.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

function validatePorts(container: JsonObject, field: string): Cause[] {
  const causes: Cause[] = [];
  const names = new Set<unknown>();
  objectsOf(container['ports']).forEach((port, index) => {
    const at = `${field}.ports[${index}]`;
    const number = numberOf(port['containerPort']);
    if (number === undefined) causes.push(requiredValue(`${at}.containerPort`));
    else if (!Number.isInteger(number) || number < 1 || number > 65535) {
      causes.push(invalidValue(`${at}.containerPort`, number, 'must be between 1 and 65535, inclusive'));
    }
    if (!PROTOCOLS.includes(stringOf(port['protocol']) ?? '')) {
      causes.push(notSupported(`${at}.protocol`, port['protocol'], PROTOCOLS));
    }
    const name = port['name'];
    if (name !== undefined && name !== '') {
      if (names.has(name)) causes.push(duplicateValue(`${at}.name`, name));
      names.add(name);
      if (
        typeof name !== 'string' ||
        !/^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) ||
        name.length > 15
      ) {
        causes.push(
          invalidValue(
            `${at}.name`,
            name,
            'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), at least one letter, and be at most 15 characters',
          ),
        );
      }
    }
  });
  return causes;
}

function validateContainers(value: unknown, field: string, seen: Set<unknown>, template: boolean): Cause[] {
  const causes: Cause[] = [];
  objectsOf(value).forEach((container, index) => {
    const at = `${field}[${index}]`;
    const name = stringOf(container['name']) ?? '';
    if (name === '') causes.push(requiredValue(`${at}.name`));
    else {
      const problem = nameProblem(name, 'label');
      if (problem !== undefined) causes.push(invalidValue(`${at}.name`, name, problem));
      if (seen.has(name)) causes.push(duplicateValue(`${at}.name`, name));
      seen.add(name);
    }
    const image = stringOf(container['image']) ?? '';
    if (image === '' && !template) causes.push(requiredValue(`${at}.image`));
    else if (image.trim() !== image)
      causes.push(invalidValue(`${at}.image`, image, 'must not have leading or trailing whitespace'));
    causes.push(...validatePorts(container, at));
    for (const [number, variable] of objectsOf(container['env']).entries()) {
      if ((stringOf(variable['name']) ?? '') === '') causes.push(requiredValue(`${at}.env[${number}].name`));
    }
    for (const part of ['command', 'args']) {
      const list = container[part];
      if (list === undefined || list === null) continue;
      if (!Array.isArray(list) || list.some((item) => typeof item !== 'string')) {
        causes.push(invalidValue(`${at}.${part}`, list, 'must be a list of strings'));
      }
    }
  });
  return causes;
}

/** What is wrong with a PodSpec at `field`. Templates may lack an image. */
export function validatePodSpec(value: unknown, field: string, template = false): Cause[] {
  if (!isObject(value)) return [requiredValue(field)];
  const causes: Cause[] = [];
  const names = new Set<unknown>();
  if (objectsOf(value['containers']).length === 0) causes.push(requiredValue(`${field}.containers`));
  causes.push(
    ...validateContainers(value['containers'], `${field}.containers`, names, template),
    ...validateContainers(value['initContainers'], `${field}.initContainers`, names, template),
  );
  const restart = value['restartPolicy'];
  if (!['Always', 'OnFailure', 'Never'].includes(stringOf(restart) ?? '')) {
    causes.push(notSupported(`${field}.restartPolicy`, restart, ['Always', 'OnFailure', 'Never']));
  }
  const grace = numberOf(value['terminationGracePeriodSeconds']);
  if (grace !== undefined && grace < 0) {
    causes.push(invalidValue(`${field}.terminationGracePeriodSeconds`, grace, 'must be greater than or equal to 0'));
  }
  for (const name of ['nodeName', 'hostname', 'serviceAccountName']) {
    const text = value[name];
    if (text === undefined || text === '') continue;
    const problem =
      typeof text === 'string' ? nameProblem(text, name === 'hostname' ? 'label' : 'subdomain') : 'must be a string';
    if (problem !== undefined) causes.push(invalidValue(`${field}.${name}`, text, problem));
  }
  return causes;
}

const IMMUTABLE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** A copy of a spec without the fields that may change. */
function fixedPart(spec: unknown): JsonObject {
  const copy = clone(objectOf(spec));
  for (const key of ['tolerations', 'activeDeadlineSeconds', 'schedulingGates', 'terminationGracePeriodSeconds'])
    delete copy[key];
  for (const key of ['containers', 'initContainers']) {
    for (const container of objectsOf(copy[key])) delete container['image'];
  }
  return copy;
}

function validateChange(pod: KubeObject, old: KubeObject): Cause[] {
  if (equal(pod['spec'], old['spec'])) return [];
  if (!equal(fixedPart(pod['spec']), fixedPart(old['spec']))) return [forbiddenField('spec', IMMUTABLE)];
  const before = objectsOf(at(old, 'spec', 'tolerations'));
  const after = objectsOf(at(pod, 'spec', 'tolerations'));
  if (
    before.some(
      (item) => !after.some((other) => equal({ ...item, tolerationSeconds: 0 }, { ...other, tolerationSeconds: 0 })),
    )
  ) {
    return [forbiddenField('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds')];
  }
  return [];
}

/** Pods. */
export const podStrategy: Strategy = {
  prepareCreate: (draft) => podDefaults(draft),
  prepareUpdate: (draft, old, { subresource }) => {
    if (subresource !== '') return;
    const spec = objectOf(draft['spec']);
    podSpecDefaults(spec);
    // What admission or the system filled in counts as unchanged when a client leaves it out.
    for (const key of [
      'nodeName',
      'priority',
      'preemptionPolicy',
      'enableServiceLinks',
      'serviceAccountName',
      'serviceAccount',
      'tolerations',
    ]) {
      const before = objectOf(old['spec'])[key];
      if (spec[key] === undefined && before !== undefined) spec[key] = clone(before);
    }
  },
  validate: (draft, old, { subresource }) => {
    if (old === undefined) return validatePodSpec(draft['spec'], 'spec');
    return subresource === '' ? validateChange(draft, old) : [];
  },
};
