/** Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs: defaults, selectors, templates. */
import { type Cause, invalidValue, requiredValue } from './api-error.ts';
import {
  at,
  clone,
  ensureObject,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  objectOf,
  objectsOf,
  setDefault,
  stringOf,
} from './json.ts';
import { podSpecDefaults } from './pod-defaults.ts';
import { validatePodSpec } from './pods.ts';
import type { Strategy } from './resource.ts';
import { labelSelectorObject } from './selectors.ts';

function specOf(draft: KubeObject): JsonObject {
  return ensureObject(draft, 'spec');
}

function template(spec: JsonObject): void {
  const pod = ensureObject(spec, 'template');
  const metadata = ensureObject(pod, 'metadata');
  if (metadata['creationTimestamp'] === null) delete metadata['creationTimestamp'];
  podSpecDefaults(ensureObject(pod, 'spec'));
}

function validateSelector(draft: KubeObject): Cause[] {
  const selector = at(draft, 'spec', 'selector');
  if (!isObject(selector)) return [requiredValue('spec.selector')];
  const labels = objectOf(at(draft, 'spec', 'template', 'metadata', 'labels')) as Record<string, string>;
  if (
    Object.keys(objectOf(selector['matchLabels'])).length === 0 &&
    objectsOf(selector['matchExpressions']).length === 0
  ) {
    return [invalidValue('spec.selector', selector, 'empty selector is invalid')];
  }
  if (!labelSelectorObject(selector)(labels)) {
    return [invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`')];
  }
  return [];
}

function validateCounts(draft: KubeObject, ...names: string[]): Cause[] {
  return names.flatMap((name) => {
    const value = at(draft, 'spec', name);
    if (value === undefined || value === null) return [];
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return [];
    return [invalidValue(`spec.${name}`, value, 'must be greater than or equal to 0')];
  });
}

function validateWorkload(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const causes = [
    ...validateSelector(draft),
    ...validateCounts(draft, 'replicas', 'minReadySeconds', 'revisionHistoryLimit'),
    ...validatePodSpec(at(draft, 'spec', 'template', 'spec'), 'spec.template.spec'),
  ];
  const restart = at(draft, 'spec', 'template', 'spec', 'restartPolicy');
  if (restart !== 'Always') {
    causes.push({
      reason: 'FieldValueNotSupported',
      field: 'spec.template.spec.restartPolicy',
      message: `Unsupported value: ${JSON.stringify(restart)}: supported values: "Always"`,
    });
  }
  if (old !== undefined && !equal(at(old, 'spec', 'selector'), at(draft, 'spec', 'selector'))) {
    causes.push(invalidValue('spec.selector', at(draft, 'spec', 'selector'), 'field is immutable'));
  }
  return causes;
}

function strategy(
  defaults: (spec: JsonObject) => void,
  validate: (draft: KubeObject, old: KubeObject | undefined) => Cause[] = validateWorkload,
): Strategy {
  const prepare = (draft: KubeObject): void => {
    const spec = specOf(draft);
    template(spec);
    defaults(spec);
  };
  return {
    prepareCreate: (draft) => {
      delete draft['status'];
      prepare(draft);
      draft['status'] = {};
    },
    prepareUpdate: (draft, _old, { subresource }) => {
      if (subresource !== 'status') prepare(draft);
    },
    validate: (draft, old, { subresource }) => (subresource === 'status' ? [] : validate(draft, old)),
  };
}

const deployment = strategy((spec) => {
  setDefault(spec, 'replicas', 1);
  const update = ensureObject(spec, 'strategy');
  setDefault(update, 'type', 'RollingUpdate');
  if (update['type'] === 'RollingUpdate') {
    const rolling = ensureObject(update, 'rollingUpdate');
    setDefault(rolling, 'maxUnavailable', '25%');
    setDefault(rolling, 'maxSurge', '25%');
  }
  setDefault(spec, 'revisionHistoryLimit', 10);
  setDefault(spec, 'progressDeadlineSeconds', 600);
});

const replicaSet = strategy((spec) => setDefault(spec, 'replicas', 1));

const STATEFUL_MUTABLE = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

const statefulSet = strategy(
  (spec) => {
    setDefault(spec, 'replicas', 1);
    setDefault(spec, 'serviceName', '');
    setDefault(spec, 'podManagementPolicy', 'OrderedReady');
    const update = ensureObject(spec, 'updateStrategy');
    setDefault(update, 'type', 'RollingUpdate');
    if (update['type'] === 'RollingUpdate') setDefault(ensureObject(update, 'rollingUpdate'), 'partition', 0);
    setDefault(spec, 'revisionHistoryLimit', 10);
    setDefault(spec, 'persistentVolumeClaimRetentionPolicy', { whenDeleted: 'Retain', whenScaled: 'Retain' });
  },
  (draft, old) => {
    const causes = validateWorkload(draft, old);
    if (old === undefined) return causes;
    const fixed = (object: KubeObject): JsonObject => {
      const spec = { ...objectOf(object['spec']) };
      for (const key of STATEFUL_MUTABLE) delete spec[key];
      return spec;
    };
    if (!equal(fixed(draft), fixed(old))) {
      causes.push({
        reason: 'FieldValueForbidden',
        field: 'spec',
        message:
          "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
      });
    }
    return causes;
  },
);

const daemonSet = strategy((spec) => {
  const update = ensureObject(spec, 'updateStrategy');
  setDefault(update, 'type', 'RollingUpdate');
  if (update['type'] === 'RollingUpdate') {
    const rolling = ensureObject(update, 'rollingUpdate');
    setDefault(rolling, 'maxUnavailable', 1);
    setDefault(rolling, 'maxSurge', 0);
  }
  setDefault(spec, 'revisionHistoryLimit', 10);
});

const JOB_LABELS = ['batch.kubernetes.io/job-name', 'job-name'];
const JOB_UIDS = ['batch.kubernetes.io/controller-uid', 'controller-uid'];

function jobDefaults(spec: JsonObject): void {
  if (spec['completions'] === undefined && spec['parallelism'] === undefined) spec['completions'] = 1;
  setDefault(spec, 'parallelism', 1);
  setDefault(spec, 'backoffLimit', 6);
  setDefault(spec, 'completionMode', 'NonIndexed');
  setDefault(spec, 'suspend', false);
  setDefault(spec, 'manualSelector', false);
  setDefault(spec, 'podReplacementPolicy', 'TerminatingOrFailed');
}

function validateJob(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const causes = [
    ...validateCounts(
      draft,
      'completions',
      'parallelism',
      'backoffLimit',
      'activeDeadlineSeconds',
      'ttlSecondsAfterFinished',
    ),
    ...validatePodSpec(at(draft, 'spec', 'template', 'spec'), 'spec.template.spec'),
  ];
  const restart = stringOf(at(draft, 'spec', 'template', 'spec', 'restartPolicy'));
  if (restart !== 'OnFailure' && restart !== 'Never') {
    causes.push(requiredValue('spec.template.spec.restartPolicy', 'valid values: "OnFailure", "Never"'));
  }
  for (const name of ['selector', 'completions', 'template']) {
    const before = at(old, 'spec', name);
    if (old !== undefined && !equal(before, at(draft, 'spec', name))) {
      causes.push(invalidValue(`spec.${name}`, at(draft, 'spec', name), 'field is immutable'));
    }
  }
  return causes;
}

const jobBase = strategy(jobDefaults, validateJob);

const job: Strategy = {
  ...jobBase,
  prepareCreate: (draft, context) => {
    // A job finds its pods by labels that the server makes from its UID (job strategy GenerateSelector).
    const spec = specOf(draft);
    if (spec['manualSelector'] !== true) {
      const labels = ensureObject(spec, 'template', 'metadata', 'labels');
      for (const key of JOB_LABELS) labels[key] = draft.metadata.name;
      for (const key of JOB_UIDS) labels[key] = draft.metadata.uid;
      spec['selector'] = { matchLabels: { [JOB_UIDS[0] ?? '']: draft.metadata.uid } };
    }
    // Without a policy of its own a job's pod gets the pod default, which validation then refuses.
    jobBase.prepareCreate?.(draft, context);
  },
  prepareUpdate: (draft, old, context) => {
    const spec = specOf(draft);
    const before = objectOf(old['spec']);
    if (context.subresource === '' && spec['manualSelector'] !== true) {
      spec['selector'] ??= clone(before['selector']);
      const labels = ensureObject(spec, 'template', 'metadata', 'labels');
      const kept = objectOf(at(before, 'template', 'metadata', 'labels'));
      for (const key of [...JOB_LABELS, ...JOB_UIDS]) if (kept[key] !== undefined) labels[key] ??= kept[key];
    }
    jobBase.prepareUpdate?.(draft, old, context);
  },
};

/** Strategies by resource. */
export const workloadStrategies: Readonly<Record<string, Strategy>> = {
  'deployments.apps': deployment,
  'replicasets.apps': replicaSet,
  'statefulsets.apps': statefulSet,
  'daemonsets.apps': daemonSet,
  'jobs.batch': job,
};
