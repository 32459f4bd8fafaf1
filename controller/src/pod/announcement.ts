import { nodePortName, routerName, switchName } from '../compile/names.ts';
import { familiesOf } from '../store/families.ts';
import type { Address, Node, Pod, UsableSubnet } from '../store/model.ts';

type Annotations = Readonly<Record<string, string>>;

const prefix = 'ovn.kubernetes.io/';
/** Ties an announcement to one pod: a template could carry the other keys, but not a UID (docs/architecture.md §4). */
export const announcedUidKey = 'ovenbird.io/announced-uid';

const joined = (values: readonly (string | undefined)[]): string =>
  values.filter((value) => value !== undefined).join(',');

function common(address: Address, subnet: UsableSubnet): Record<string, string> {
  const nets = familiesOf(subnet);
  const has = (family: 4 | 6): boolean => (family === 4 ? address.v4 : address.v6) !== undefined;
  const used = nets.filter(([family]) => has(family));
  return {
    [`${prefix}allocated`]: 'true',
    [`${prefix}ip_address`]: joined([address.v4, address.v6]),
    [`${prefix}mac_address`]: address.mac,
    [`${prefix}cidr`]: joined(used.map(([, net]) => net.cidr)),
    [`${prefix}gateway`]: joined(used.map(([, net]) => net.gateway)),
    [`${prefix}logical_switch`]: switchName(subnet.name),
  };
}

/** The annotations that tell the pod's agent (and people) what the pod got. */
export function podAnnouncement(address: Address, subnet: UsableSubnet): Annotations {
  return {
    ...common(address, subnet),
    [`${prefix}routed`]: 'true',
    [`${prefix}logical_router`]: routerName(subnet.vpc),
    [`${prefix}pod_nic_type`]: 'veth-pair',
    [announcedUidKey]: address.uid,
  };
}

/** The same for a node's `ovn0`. */
export function nodeAnnouncement(node: string, address: Address, subnet: UsableSubnet): Annotations {
  return { ...common(address, subnet), [`${prefix}port_name`]: nodePortName(node) };
}

/** Whether an object says everything that is announced, so that nothing needs to be written. */
export function isAnnounced(object: Pod | Node, announcement: Annotations): boolean {
  return Object.entries(announcement).every(([key, value]) => object.annotations[key] === value);
}

/** Whether the pod's own annotations are an announcement of ours (and so no request of the user's). */
export const carriesAnnouncement = (pod: Pod): boolean => pod.annotations[announcedUidKey] === pod.uid;
