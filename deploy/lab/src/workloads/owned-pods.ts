import { createHash, randomInt } from 'node:crypto';
import {
  apiVersionOf,
  type Change,
  isKubeError,
  type KubeObject,
  type OwnerReference,
  type ResourceKind,
  type Store,
  systemClock,
  WorkQueue,
} from '@ovenbird/kube';
import { Expectations } from './expectations.ts';
import { ownersTouched, type WorkloadContext, whenSynced } from './informers.ts';
import { LAB_PODS, type LabPod, type PodTemplate } from './objects.ts';

/** Parallel writes for one owner; the API server is on the same machine. */
const BATCH = 16;

/** The letters of generated names: no vowels, so no words (apimachinery, util/rand). */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** Five random letters, as `generateName` appends them. */
export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
}

/** Short stable hash of a template, for `pod-template-hash` and `controller-revision-hash`. */
export function templateHash(template: PodTemplate): string {
  return createHash('sha256').update(stableJson(template)).digest('hex').slice(0, 10);
}

function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The reference that makes `owner` the controller of what it creates. */
export function controllerReference<T extends KubeObject>(kind: ResourceKind<T>, owner: T): OwnerReference {
  return {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** What a controller of pods does with one owner. */
export interface PodOwnerOptions<T extends KubeObject> {
  readonly context: WorkloadContext;
  readonly kind: ResourceKind<T>;
  /** Brings the pods of `owner` closer to what its spec wants. Called again after every change of either. */
  readonly sync: (
    owner: T,
    pods: readonly LabPod[],
    writer: PodWriter,
  ) => Promise<{ requeueAfterMs: number } | undefined>;
}

/** Creates and deletes pods for an owner, remembering what the watch has yet to show. */
export interface PodWriter {
  create(pods: readonly NewPod[]): Promise<void>;
  delete(pods: readonly LabPod[]): Promise<void>;
}

/** A pod to make from the owner's template. */
export interface NewPod {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Changes to the template's spec. */
  readonly spec?: Partial<LabPod['spec']>;
  readonly template: PodTemplate;
}

/**
 * Runs a controller whose objects own pods. An object that is being deleted is left alone: its pods are the garbage
 * collector's.
 *
 * @returns a function that has the owner of this store key looked at again
 */
export function controlPods<T extends KubeObject>(options: PodOwnerOptions<T>): (key: string) => void {
  const { context, kind } = options;
  const { informers, signal, onError } = context;
  const owners = informers.get(kind);
  const pods = informers.get(LAB_PODS);
  const expectations = new Expectations(systemClock);
  const keyByUid = new Map<string, string>();
  const queue = new WorkQueue<string>({
    concurrency: 4,
    backoff: { initialMs: 50, maxMs: 30_000 },
    signal,
    process: async ({ key }) => {
      const owner = owners.get(key);
      if (!owner || owner.metadata.deletionTimestamp !== undefined) return undefined;
      const uid = owner.metadata.uid ?? '';
      if (!expectations.met(uid)) return undefined; // the change that meets them comes through the watch
      const writer = podWriter(context, kind, owner, pods, expectations);
      return await options.sync(owner, pods.byIndex('owner', uid), writer);
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'aborted')) onError(`${kind.kind} ${key}`, failure.error);
    },
  });
  owners.onChange((changes) => {
    for (const { key, old, new: now } of changes) {
      if (old && old.metadata.uid !== now?.metadata.uid) {
        keyByUid.delete(old.metadata.uid ?? '');
        expectations.forget(old.metadata.uid ?? '');
      }
      if (!now) continue;
      keyByUid.set(now.metadata.uid ?? '', key);
      queue.add(key);
    }
  });
  pods.onChange((changes: readonly Change<LabPod>[]) => {
    for (const change of changes) {
      for (const uid of ownersTouched(change)) {
        expectations.observe(uid, change);
        const key = keyByUid.get(uid);
        if (key !== undefined) queue.add(key);
      }
    }
  });
  whenSynced(informers, () => queue.start());
  return (key) => queue.add(key);
}

function podWriter<T extends KubeObject>(
  context: WorkloadContext,
  kind: ResourceKind<T>,
  owner: T,
  store: Store<LabPod>,
  expectations: Expectations,
): PodWriter {
  const resource = context.client.resource(LAB_PODS);
  const { namespace, uid = '' } = owner.metadata;
  const call = { signal: context.signal, fieldManager: 'kube-controller-manager' };
  return {
    create: async (pods) => {
      await inBatches(pods, async ({ name, labels, spec, template }) => {
        const made = await resource.create(
          {
            metadata: {
              name,
              namespace,
              labels: { ...template.metadata?.labels, ...labels },
              annotations: template.metadata?.annotations,
              ownerReferences: [controllerReference(kind, owner)],
            },
            spec: { ...template.spec, ...spec },
          },
          call,
        );
        const shown = store.get(`${namespace ?? ''}/${name}`)?.metadata.uid === made.metadata.uid;
        expectations.expect(uid, made.metadata.uid ?? '', shown);
      });
    },
    delete: async (pods) => {
      await inBatches(pods, async (pod) => {
        if (pod.metadata.deletionTimestamp !== undefined) return;
        const ref = { name: pod.metadata.name, namespace };
        try {
          await resource.delete(ref, { uid: pod.metadata.uid, signal: context.signal });
        } catch (error) {
          if (!isKubeError(error, 'not-found', 'conflict')) throw error;
        }
        const shown = store.get(`${namespace ?? ''}/${pod.metadata.name}`);
        const done = shown?.metadata.uid !== pod.metadata.uid || shown?.metadata.deletionTimestamp !== undefined;
        expectations.expect(uid, pod.metadata.uid ?? '', done);
      });
    },
  };
}

async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += BATCH) {
    const outcomes = await Promise.allSettled(items.slice(start, start + BATCH).map(work));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason as Error;
  }
}
