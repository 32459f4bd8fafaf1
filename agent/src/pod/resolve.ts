import { type PodInterface, parseMac } from '@ovenbird/crds';
import type { Pod } from '@ovenbird/kube';
import { AgentError } from '../error.ts';
import { type Announcement, readAnnouncement } from './announcement.ts';
import type { PodContext } from './context.ts';
import { firstOfContainer } from './interface-row.ts';
import { readInterfaces } from './interfaces.ts';
import { type CniRequest, isContainer, isIpam, podIdentity } from './request.ts';
import { hostVethName } from './veth.ts';
import { type AnnounceDeadlines, waitAnnounced } from './wait-announced.ts';

/**
 * What the controller announced for the interface that a request names; waits for it. A pod's interface is the one that
 * its annotation lists under that name (Multus names them by their place), else the first one.
 * @throws AgentError
 */
export async function resolve(
  context: PodContext,
  request: CniRequest,
  signal: AbortSignal,
  deadlines: AnnounceDeadlines,
): Promise<Announcement> {
  if (isContainer(request)) {
    if (isIpam(request))
      throw new AgentError(
        'pod-unnamed',
        'addresses for interfaces that another plugin makes are given to pods only, and CNI_ARGS names none (K8S_POD_NAMESPACE, K8S_POD_NAME); for a container outside of Kubernetes use the plugin "ovenbird" itself',
      );
    const announced = await context.containers.announced(request, signal, deadlines.announceMs);
    const { containerId, ifname } = request;
    return {
      ...announced,
      defaultRoute: firstOfContainer(context.ovs, hostVethName(containerId, ifname), containerId),
    };
  }
  const source = { ...context, nodeName: context.config.nodeName };
  return await waitAnnounced(source, podIdentity(request), signal, deadlines, (pod) => interfaceOf(pod, request));
}

/** @returns undefined while it is not announced. @throws AgentError `pod-refused` */
export function interfaceOf(pod: Pod, request: CniRequest): Announcement | undefined {
  const first = readAnnouncement(pod);
  if (first === undefined) return undefined;
  const found = readInterfaces(pod.metadata.annotations ?? {}).find(({ name }) => name === request.ifname);
  const ipam = isIpam(request);
  const provider = (ipam ? request.config.ipam?.provider : request.config.provider) ?? 'ovn';
  // A definition that the controller has not seen yet: the interface will be listed.
  if (found === undefined) return ipam || provider !== 'ovn' ? undefined : first;
  const further = furtherInterface(first, found);
  if (further === undefined) return undefined;
  if (ipam !== (found.port === undefined)) {
    throw new AgentError(
      'invalid-config',
      `interface ${found.name} of ${first.label} ${ipam ? 'is a port of OVN' : 'is made by another plugin'} (provider ${found.provider}), and the network configuration says otherwise`,
    );
  }
  return further;
}

/** What is announced of a further interface; undefined while it has no address. */
function furtherInterface(
  first: Announcement,
  { name, port = '', defaultRoute, addresses, mac, subnet }: PodInterface,
): Announcement | undefined {
  if (addresses === undefined || mac === undefined || subnet === undefined) return undefined;
  return {
    ...first,
    label: `interface ${name} of ${first.label}`,
    portName: port,
    defaultRoute: defaultRoute === true,
    subnet,
    mac: parseMac(mac),
    addresses,
    routes: [],
  };
}

/**
 * What is announced now of the pod's interface that has a port.
 * @param isIt says so of the port's name
 * @throws Error when it cannot be read
 */
export function announcedPort(pod: Pod, isIt: (portName: string) => boolean): Announcement | undefined {
  const first = readAnnouncement(pod);
  if (first === undefined || isIt(first.portName)) return first;
  const found = readInterfaces(pod.metadata.annotations ?? {}).find(({ port }) => port !== undefined && isIt(port));
  return found && furtherInterface(first, found);
}
