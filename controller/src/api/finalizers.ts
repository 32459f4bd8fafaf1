import { CONTROLLER_FINALIZER, SECURITYGROUPS, SUBNETS, VPCS } from '@ovenbird/crds';
import {
  type CallOptions,
  KubeError,
  type KubeObject,
  type Requester,
  Resource,
  type ResourceKind,
  WorkQueue,
} from '@ovenbird/kube';
import type { Finalized } from '../api-effects.ts';
import type { State } from '../store/state.ts';

const resources: Readonly<Record<Finalized, ResourceKind>> = {
  Subnet: SUBNETS,
  Vpc: VPCS,
  SecurityGroup: SECURITYGROUPS,
};

export interface FinalizerOptions {
  readonly client: Requester;
  readonly state: State;
  readonly signal: AbortSignal;
  /** Whether nothing of the deleted object is left. */
  readonly isFinished: (kind: Finalized, name: string) => boolean;
}

/** Puts our finalizer on every Subnet, Vpc and SecurityGroup, and takes it off when the last address, port and row of a deleted one is gone. */
export class Finalizers {
  readonly #options: FinalizerOptions;
  readonly #queue: WorkQueue<string>;

  constructor(options: FinalizerOptions) {
    this.#options = options;
    this.#queue = new WorkQueue<string>({
      process: async ({ key, signal }) => {
        const slash = key.indexOf('/');
        await this.#write(key.slice(0, slash) as Finalized, key.slice(slash + 1), signal);
      },
      concurrency: 4,
      signal: options.signal,
    });
    this.#queue.start();
  }

  enqueue(kind: Finalized, name: string): void {
    this.#queue.add(`${kind}/${name}`);
  }

  async #write(kind: Finalized, name: string, signal: AbortSignal): Promise<void> {
    const { state, client, isFinished } = this.#options;
    const object = state.get(kind, name);
    if (object === undefined) return;
    const has = object.finalizers.includes(CONTROLLER_FINALIZER);
    const wanted = !object.deleting || (has && !isFinished(kind, name));
    if (has === wanted) return;
    const resource = new Resource<KubeObject>(client, resources[kind]);
    await setFinalizer(resource, name, object.uid, wanted, { signal });
  }
}

/** Read and compare-and-swap: a merge patch replaces the whole list, and others have finalizers too. */
async function setFinalizer<T extends KubeObject>(
  resource: Resource<T>,
  name: string,
  uid: string,
  wanted: boolean,
  options: CallOptions,
): Promise<void> {
  const current = await resource.find({ name }, options);
  if (current === undefined || current.metadata.uid !== uid) return;
  const others = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CONTROLLER_FINALIZER);
  const finalizers = wanted ? [...others, CONTROLLER_FINALIZER] : others;
  const { resourceVersion } = current.metadata;
  try {
    await resource.patch({ name }, { metadata: { uid, resourceVersion, finalizers } }, options);
  } catch (error) {
    if (error instanceof KubeError && error.code === 'not-found') return;
    throw error;
  }
}
