import { announcement, type Route } from '@ovenbird/crds';
import type { AttachmentAddress } from '../attachment/model.ts';
import { attachmentPortName } from '../compile/attachment.ts';
import { nodePortName, routerName, switchName } from '../compile/names.ts';
import { familiesOf } from '../store/families.ts';
import type { Address, Node, Pod, UsableSubnet } from '../store/model.ts';
import { announcedRoutes } from './routes.ts';

type Annotations = Readonly<Record<string, string>>;

const joined = (values: readonly (string | undefined)[]): string =>
  values.filter((value) => value !== undefined).join(',');

function common(address: Address, subnet: UsableSubnet): Record<string, string> {
  const nets = familiesOf(subnet);
  const has = (family: 4 | 6): boolean => (family === 4 ? address.v4 : address.v6) !== undefined;
  const used = nets.filter(([family]) => has(family));
  return {
    [announcement.allocated]: 'true',
    [announcement.ipAddress]: joined([address.v4, address.v6]),
    [announcement.macAddress]: address.mac,
    [announcement.cidr]: joined(used.map(([, net]) => net.cidr)),
    [announcement.gateway]: joined(used.map(([, net]) => net.gateway)),
    [announcement.logicalSwitch]: switchName(subnet.name),
  };
}

/** The annotations that tell the pod's agent (and people) what the pod got. */
export function podAnnouncement(address: Address, subnet: UsableSubnet, routes: readonly Route[] = []): Annotations {
  const more = announcedRoutes(routes, subnet);
  return {
    ...common(address, subnet),
    [announcement.routed]: 'true',
    [announcement.logicalRouter]: routerName(subnet.vpc),
    [announcement.podNicType]: 'veth-pair',
    [announcement.announcedUid]: address.uid,
    ...(more === undefined ? {} : { [announcement.routes]: more }),
  };
}

/** What the IP object of a container outside of Kubernetes tells its agent: as a pod, with the name of the port. */
export function containerAnnouncement(name: string, address: AttachmentAddress, subnet: UsableSubnet): Annotations {
  return {
    ...common(address, subnet),
    [announcement.portName]: attachmentPortName(name, address),
    [announcement.announcedUid]: address.uid,
  };
}

/** The same for a node's `ovn0`. */
export function nodeAnnouncement(node: string, address: Address, subnet: UsableSubnet): Annotations {
  return { ...common(address, subnet), [announcement.portName]: nodePortName(node) };
}

/** Whether an object says everything that is announced, so that nothing needs to be written. */
export function isAnnounced(object: Pod | Node, wanted: Annotations): boolean {
  return Object.entries(wanted).every(([key, value]) => object.annotations[key] === value);
}
