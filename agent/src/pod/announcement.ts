import {
  request as annotationRequest,
  announcement,
  dualValues,
  parseMac,
  parseRoutes,
  prefixLength,
  type Route,
  splitDual,
  splitDualCidr,
} from '@ovenbird/crds';
import type { Pod } from '@ovenbird/kube';
import { AgentError } from '../error.ts';
import { podPortName, readInterfaces } from './interfaces.ts';
import type { CniRequest } from './request.ts';
import type { PodAddress } from './veth.ts';

/** What the controller decided for an interface: a pod's first one, a further one, or that of a container. */
export interface Announcement {
  /** What it is, for messages: `pod default/a`. */
  readonly label: string;
  /** Empty for a container outside of Kubernetes, like `name`. */
  readonly namespace: string;
  readonly name: string;
  /** Of the pod, or of the container's IP object. */
  readonly uid: string;
  /** Name of the logical switch port; empty where only an address is given. */
  readonly portName: string;
  /** Whether the default routes go through it. */
  readonly defaultRoute: boolean;
  /** IP object of a container outside of Kubernetes. */
  readonly object?: string;
  /** Name of the Subnet. */
  readonly subnet: string;
  /** Lower case, with colons. */
  readonly mac: string;
  /** IPv4 first. */
  readonly addresses: readonly PodAddress[];
  /** More routes than the default one; each has its next hop. */
  readonly routes: readonly Route[];
}

/** Addresses, prefixes, gateways and MAC of a set of result annotations; Nodes carry them like Pods. */
export type AddressAnnotations = Pick<Announcement, 'mac' | 'addresses' | 'subnet'>;

/**
 * Reads result annotations.
 * @throws AddressError when one is malformed, Error when one is missing
 */
export function readAddresses(annotations: Readonly<Record<string, string>>): AddressAnnotations {
  const text = (key: string): string => {
    const value = annotations[key];
    if (value === undefined || value === '') throw new Error(`the annotation ${key} is missing`);
    return value;
  };
  const addresses = splitDual(text(announcement.ipAddress));
  const cidrs = splitDualCidr(text(announcement.cidr));
  const gateways = splitDual(text(announcement.gateway));
  const read = (family: 'v4' | 'v6'): PodAddress | undefined => {
    const address = addresses[family];
    const cidr = cidrs[family];
    const gateway = gateways[family];
    if (address === undefined) return undefined;
    if (cidr === undefined || gateway === undefined) throw new Error(`${address} has no cidr or no gateway`);
    return { address, prefix: prefixLength(cidr), gateway };
  };
  const v4 = read('v4');
  const v6 = read('v6');
  return {
    subnet: text(announcement.logicalSwitch),
    mac: parseMac(text(announcement.macAddress)),
    addresses: dualValues({ ...(v4 === undefined ? {} : { v4 }), ...(v6 === undefined ? {} : { v6 }) }),
  };
}

/**
 * What the controller announced on a pod; undefined while it has not.
 * @throws AgentError `pod-refused` when the annotations cannot be read
 */
export function readAnnouncement(pod: Pod): Announcement | undefined {
  const annotations = pod.metadata.annotations ?? {};
  const { namespace = '', name, uid } = pod.metadata;
  if (uid === undefined || annotations[announcement.announcedUid] !== uid) return undefined;
  if (annotations[announcement.allocated] !== 'true' || annotations[announcement.routed] !== 'true') return undefined;
  try {
    const routes = parseRoutes(annotations[announcement.routes] ?? '[]');
    return {
      label: `pod ${namespace}/${name}`,
      namespace,
      name,
      uid,
      portName: podPortName(namespace, name),
      // Another interface has them where the pod says so.
      defaultRoute: !readInterfaces(annotations).some((other) => other.defaultRoute === true),
      ...readAddresses(annotations),
      routes,
    };
  } catch (cause) {
    throw new AgentError(
      'pod-refused',
      `cannot read what the controller announced on pod ${namespace}/${name}: ${String(cause)}`,
      { cause },
    );
  }
}

/** Addresses that a runtime asks for; the configuration's win over those of CNI_ARGS. */
export function requestedIps({ config, args }: CniRequest): readonly string[] {
  return config.runtimeConfig?.ips ?? (args['IP'] === undefined ? [] : [args['IP']]);
}

/**
 * Refuses a request for another address or MAC than the pod has: Ovenbird takes them from the pod's annotations, and a
 * runtime that asks for one (`--ip`, capabilities `ips` and `mac`) must not silently get another.
 * @throws AgentError `address-mismatch`
 */
export function checkRequestedAddress(pod: Announcement, request: CniRequest): void {
  const { runtimeConfig } = request.config;
  const ips = requestedIps(request);
  const own = new Set(pod.addresses.map(({ address }) => address));
  for (const requested of ips) {
    const { v4, v6 } = readRequested(requested);
    const wanted = v4 ?? v6 ?? '';
    if (own.has(wanted)) continue;
    throw new AgentError(
      'address-mismatch',
      `the address ${requested} was asked for, but ${pod.label} has ${[...own].join(', ')}${hint(pod, annotationRequest.ipAddress)}`,
    );
  }
  const mac = runtimeConfig?.mac ?? request.args['MAC'];
  if (mac !== undefined && mac.toLowerCase() !== pod.mac) {
    throw new AgentError(
      'address-mismatch',
      `the MAC ${mac} was asked for, but ${pod.label} has ${pod.mac}${hint(pod, annotationRequest.macAddress)}`,
    );
  }
}

const hint = (pod: Announcement, annotation: string): string =>
  pod.object === undefined ? `; ask with the pod annotation ${annotation}` : '';

/** @throws AgentError `address-mismatch` */
export function readRequested(text: string): ReturnType<typeof splitDual> {
  try {
    return splitDual(text.split('/', 1)[0] ?? '');
  } catch (cause) {
    throw new AgentError('address-mismatch', `the requested address "${text}" is not an IP address`, { cause });
  }
}
