import type { ContainerPort, Endpoint, EndpointSlice, Service, ServicePort } from '@ovenbird/kube';
import { isReady, isTerminal, type LabPod } from './objects.ts';

/** Endpoints a slice holds at most, as the real controller's default. */
export const SLICE_SIZE = 100;

/** A port of a slice. */
export interface SlicePort {
  readonly name: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
  readonly appProtocol?: string | undefined;
}

/** One pod as an endpoint, with the ports its containers give to the Service's. */
export interface PodEndpoint {
  readonly endpoint: Endpoint;
  readonly ports: readonly SlicePort[];
}

/** IP families of a Service; an unset list means IPv4, the API server's default. */
export function familiesOf(service: Service): readonly ('IPv4' | 'IPv6')[] {
  const families = service.spec.ipFamilies ?? [];
  return families.length > 0 ? families : ['IPv4'];
}

/** The endpoints of a Service in one family: pods with an address of it that have not ended. Pure. */
export function podEndpoints(service: Service, pods: readonly LabPod[], family: 'IPv4' | 'IPv6'): PodEndpoint[] {
  return pods.flatMap((pod) => {
    const address = addressOf(pod, family);
    if (address === undefined || isTerminal(pod)) return [];
    const terminating = pod.metadata.deletionTimestamp !== undefined;
    const serving = isReady(pod);
    const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
    const { hostname, subdomain, nodeName } = pod.spec;
    const named = hostname && subdomain === service.metadata.name ? { hostname } : {};
    const { name, namespace, uid } = pod.metadata;
    const endpoint: Endpoint = {
      addresses: [address],
      conditions: { ready, serving, terminating },
      ...named,
      ...(nodeName ? { nodeName } : {}),
      targetRef: { kind: 'Pod', name, namespace, uid },
    };
    return [{ endpoint, ports: portsOf(service, pod) }];
  });
}

/** The ports a pod serves for a Service: a named target port is looked up in its containers, and may be missing. */
function portsOf(service: Service, pod: LabPod): SlicePort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetOf(port, pod);
    if (number === undefined) return [];
    const slicePort: SlicePort = { name: port.name ?? '', protocol: port.protocol ?? 'TCP', port: number };
    return [port.appProtocol === undefined ? slicePort : { ...slicePort, appProtocol: port.appProtocol }];
  });
}

function targetOf({ targetPort, port, protocol = 'TCP' }: ServicePort, pod: LabPod): number | undefined {
  if (targetPort === undefined || targetPort === 0) return port;
  if (typeof targetPort === 'number') return targetPort;
  const all: readonly ContainerPort[] = pod.spec.containers.flatMap((container) => container.ports ?? []);
  return all.find((known) => known.name === targetPort && (known.protocol ?? 'TCP') === protocol)?.containerPort;
}

/** An address of this family. */
function addressOf(pod: LabPod, family: 'IPv4' | 'IPv6'): string | undefined {
  return (pod.status?.podIPs ?? []).map(({ ip }) => ip).find((ip) => ip.includes(':') === (family === 'IPv6'));
}

/** What to do with the slices of a Service. */
export interface SlicePlan {
  readonly create: readonly SliceContent[];
  /** Slices whose content changes. */
  readonly update: readonly { readonly slice: EndpointSlice; readonly content: SliceContent }[];
  readonly delete: readonly EndpointSlice[];
}

/** The part of a slice that its controller owns. */
export interface SliceContent {
  readonly addressType: 'IPv4' | 'IPv6';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly Endpoint[];
}

/**
 * Distributes endpoints over slices. Pure. Pods with the same ports share slices; an endpoint stays in the slice it is
 * in, gaps are filled first, so one pod's change rewrites one slice. A family without endpoints keeps one empty slice.
 */
export function planSlices(
  existing: readonly EndpointSlice[],
  wanted: ReadonlyMap<'IPv4' | 'IPv6', readonly PodEndpoint[]>,
): SlicePlan {
  const create: SliceContent[] = [];
  const update: { slice: EndpointSlice; content: SliceContent }[] = [];
  const kept = new Set<EndpointSlice>();
  for (const [addressType, endpoints] of wanted) {
    const groups = Map.groupBy(endpoints, ({ ports }) => JSON.stringify(ports));
    if (groups.size === 0) groups.set('[]', []);
    const own = existing.filter((slice) => slice.addressType === addressType);
    for (const [key, members] of groups) {
      const ports = JSON.parse(key) as SlicePort[];
      // The empty placeholder has no ports: whatever slice there is will do.
      const slices = own.filter((slice) => !kept.has(slice) && (members.length === 0 || samePorts(slice, ports)));
      const left = new Map(members.map(({ endpoint }) => [idOf(endpoint), endpoint]));
      const contents = slices.map((slice) => ({ slice, endpoints: takeKnown(slice, left) }));
      for (const content of contents) fill(content.endpoints, left);
      const used = contents.filter(({ endpoints: list }) => list.length > 0);
      const [spare] = contents;
      if (used.length === 0 && left.size === 0 && spare) used.push(spare);
      for (const { slice, endpoints: list } of used) {
        kept.add(slice);
        const content = { addressType, ports, endpoints: list };
        if (!sameContent(slice, content)) update.push({ slice, content });
      }
      while (left.size > 0 || (used.length === 0 && create.every((made) => made.addressType !== addressType))) {
        const list: Endpoint[] = [];
        fill(list, left);
        create.push({ addressType, ports, endpoints: list });
        if (left.size === 0) break;
      }
    }
  }
  return { create, update, delete: existing.filter((slice) => !kept.has(slice)) };
}

function takeKnown(slice: EndpointSlice, left: Map<string, Endpoint>): Endpoint[] {
  return (slice.endpoints ?? []).flatMap((old) => {
    const now = left.get(idOf(old));
    left.delete(idOf(old));
    return now ? [now] : [];
  });
}

function fill(list: Endpoint[], left: Map<string, Endpoint>): void {
  for (const [id, endpoint] of left) {
    if (list.length >= SLICE_SIZE) return;
    list.push(endpoint);
    left.delete(id);
  }
}

function idOf(endpoint: Endpoint): string {
  return endpoint.targetRef?.uid ?? endpoint.addresses.join();
}

function samePorts(slice: EndpointSlice, ports: readonly SlicePort[]): boolean {
  return canonical(slice.ports ?? []) === canonical(ports);
}

function sameContent(slice: EndpointSlice, content: SliceContent): boolean {
  return samePorts(slice, content.ports) && canonical(slice.endpoints ?? []) === canonical(content.endpoints);
}

/** JSON text that does not depend on the order of members. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The `subsets` of the Endpoints object: the first family only, pods with the same ports together. Pure. */
export function endpointSubsets(service: Service, pods: readonly LabPod[]): Record<string, unknown>[] {
  const [family = 'IPv4'] = familiesOf(service);
  const include = service.spec.publishNotReadyAddresses === true;
  const members = podEndpoints(service, pods, family).filter(
    ({ endpoint }) => include || endpoint.conditions?.terminating !== true,
  );
  return [...Map.groupBy(members, ({ ports }) => JSON.stringify(ports))].map(([key, group]) => {
    const list = (ready: boolean): Record<string, unknown>[] =>
      group.flatMap(({ endpoint: { addresses, conditions, hostname, nodeName, targetRef } }) => {
        if ((conditions?.ready === true) !== ready) return [];
        return [{ ip: addresses[0], ...(hostname ? { hostname } : {}), ...(nodeName ? { nodeName } : {}), targetRef }];
      });
    const [ready, notReady] = [list(true), list(false)];
    const ports = (JSON.parse(key) as SlicePort[]).map(({ name, ...port }) => (name === '' ? port : { name, ...port }));
    return {
      ...(ready.length > 0 ? { addresses: ready } : {}),
      ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    };
  });
}
