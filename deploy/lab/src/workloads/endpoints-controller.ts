import {
  ENDPOINTSLICES,
  type EndpointSlice,
  isKubeError,
  SERVICES,
  type Service,
  systemClock,
  WorkQueue,
} from '@ovenbird/kube';
import { canonical, endpointSubsets, familiesOf, planSlices, podEndpoints, type SliceContent } from './endpoints.ts';
import { Expectations } from './expectations.ts';
import { ownersTouched, type WorkloadContext, whenSynced } from './informers.ts';
import { ENDPOINTS, LAB_PODS, type LabPod } from './objects.ts';
import { controllerReference, randomSuffix } from './owned-pods.ts';

const SERVICE = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';
/** Changes of pods are gathered this long: a Deployment that starts should not rewrite a slice per pod. */
const GATHER_MS = 50;

/** Keeps the Endpoints and EndpointSlices of Services with a selector. Those without one belong to people. */
export function startEndpoints(context: WorkloadContext): void {
  const { informers, signal, onError, client } = context;
  const services = informers.get(SERVICES);
  const pods = informers.get(LAB_PODS);
  const slices = informers.get(ENDPOINTSLICES);
  const endpoints = informers.get(ENDPOINTS);
  const expectations = new Expectations(systemClock);

  const sync = async (service: Service): Promise<void> => {
    const { namespace = '', uid = '' } = service.metadata;
    if (!expectations.met(uid)) return; // a slice made a moment ago is not in the store yet: it brings us back
    // Sorted: the result must not depend on the order of arrival.
    const members = pods
      .byIndex('namespace', namespace)
      .filter((pod) => selects(service, pod))
      .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
    await syncSlices(service, members);
    await syncEndpoints(service, members);
  };

  const syncSlices = async (service: Service, members: readonly LabPod[]): Promise<void> => {
    const { namespace = '', name, uid = '' } = service.metadata;
    const own = slices
      .byIndex('namespace', namespace)
      .filter(({ metadata }) => metadata.labels?.[SERVICE] === name && metadata.labels[MANAGED_BY] === MANAGER)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
    const wanted = new Map(familiesOf(service).map((family) => [family, podEndpoints(service, members, family)]));
    const plan = planSlices(own, wanted);
    const resource = client.resource(ENDPOINTSLICES);
    for (const content of plan.create) {
      const { metadata } = await resource.create(newSlice(service, content), by);
      expectations.expect(uid, metadata.uid ?? '', slices.has(`${namespace}/${metadata.name}`));
    }
    // The version of the slice guards the update: planned from an old one, it is a conflict and comes again.
    for (const { slice, content } of plan.update) await resource.replace({ ...slice, ...content }, by);
    for (const { metadata } of plan.delete) await resource.delete(metadata, { uid: metadata.uid });
  };

  const syncEndpoints = async (service: Service, members: readonly LabPod[]): Promise<void> => {
    const { namespace = '', name } = service.metadata;
    const subsets = endpointSubsets(service, members);
    const known = endpoints.get(`${namespace}/${name}`);
    const resource = client.resource(ENDPOINTS);
    const { labels } = service.metadata;
    if (!known) await resource.create({ metadata: { name, namespace, labels }, subsets }, by);
    else if (canonical(known.subsets ?? []) !== canonical(subsets)) {
      await resource.replace({ ...known, subsets }, by);
    }
  };

  const queue = new WorkQueue<string>({
    concurrency: 4,
    backoff: { initialMs: 50, maxMs: 30_000 },
    signal,
    process: async ({ key }) => {
      const service = services.get(key);
      if (service && isManaged(service) && service.metadata.deletionTimestamp === undefined) await sync(service);
      else await removeEndpoints(key, service);
    },
    onReport: ({ key, failure }) => {
      if (failure && !isKubeError(failure.error, 'conflict', 'already-exists', 'not-found', 'aborted')) {
        onError(`endpoints of ${key}`, failure.error);
      }
    },
  });

  /** Slices have an owner and are collected; Endpoints go by name. */
  const removeEndpoints = async (key: string, service: Service | undefined): Promise<void> => {
    const known = endpoints.get(key);
    if (!known || service) return; // a Service that lost its selector leaves its Endpoints to people
    await client.resource(ENDPOINTS).delete(known.metadata, { uid: known.metadata.uid });
  };

  services.onChange((changes) => {
    for (const { key } of changes) queue.add(key);
  });
  pods.onChange((changes) => {
    for (const { old, new: now } of changes) {
      if (old && now && viewOf(old) === viewOf(now)) continue;
      for (const pod of [old, now]) {
        if (!pod) continue;
        for (const service of services.byIndex('namespace', pod.metadata.namespace ?? '')) {
          if (selects(service, pod)) queue.add(services.keyOf(service), { delayMs: GATHER_MS });
        }
      }
    }
  });
  slices.onChange((changes) => {
    for (const change of changes) {
      for (const uid of ownersTouched(change)) expectations.observe(uid, change);
      const { labels, namespace } = (change.new ?? change.old)?.metadata ?? {};
      const name = labels?.[SERVICE];
      if (name !== undefined) queue.add(`${namespace ?? ''}/${name}`);
    }
  });
  endpoints.onChange((changes) => {
    for (const { key } of changes) queue.add(key);
  });
  whenSynced(informers, () => queue.start());
}

const by = { fieldManager: 'kube-controller-manager' } as const;

function newSlice(service: Service, content: SliceContent): EndpointSlice {
  const { name, namespace, labels } = service.metadata;
  return {
    metadata: {
      name: `${name.slice(0, 57)}-${randomSuffix()}`,
      namespace,
      labels: { ...labels, [SERVICE]: name, [MANAGED_BY]: MANAGER },
      ownerReferences: [controllerReference(SERVICES, service)],
    },
    ...content,
  };
}

function isManaged(service: Service): boolean {
  return Object.keys(service.spec.selector ?? {}).length > 0 && service.spec.type !== 'ExternalName';
}

function selects(service: Service, pod: LabPod): boolean {
  const selector = Object.entries(service.spec.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => pod.metadata.labels?.[key] === value);
}

/** Everything of a pod that endpoints depend on. */
function viewOf(pod: LabPod): string {
  const { uid, labels, deletionTimestamp } = pod.metadata;
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const { podIPs, phase } = pod.status ?? {};
  return JSON.stringify([uid, labels, deletionTimestamp, ready, podIPs, phase, pod.spec.nodeName]);
}
