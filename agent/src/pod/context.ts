import { existsSync } from 'node:fs';
import { ipFamily } from '@ovenbird/crds';
import type { ObjectRef, Pod, Store } from '@ovenbird/kube';
import type { Logger } from 'pino';
import type { DataplaneProblem } from '../availability.ts';
import type { AgentConfig } from '../config.ts';
import { LEAST_IPV6_MTU } from '../host/link.ts';
import type { Ovs } from '../ovs/database.ts';
import type { SharedCommits } from '../ovs/shared-commits.ts';
import type { Announcement } from './announcement.ts';
import type { Containers } from './containers.ts';
import { hostVethMac, hostVethName, type VethPlan } from './veth.ts';

/** What attaching and detaching pods needs of the agent. */
export interface PodContext {
  readonly config: Pick<
    AgentConfig,
    'nodeName' | 'netnsDirs' | 'datapathType' | 'announceTimeout' | 'installTimeout' | 'ovsRunDir' | 'ovsdb'
  >;
  readonly ovs: Ovs;
  /** Attaches and detaches ports. */
  readonly commits: SharedCommits;
  /** The pods of this node. */
  readonly pods: Store<Pod>;
  /** Reads one pod from the API server itself; undefined when it does not exist. */
  readonly lookup: (ref: ObjectRef, signal: AbortSignal) => Promise<Pod | undefined>;
  /** Containers outside of Kubernetes on this node. */
  readonly containers: Containers;
  /** The IP object of an interface that is gone could not be removed: {@link Attachments.collectAbandoned} has to be called. */
  readonly onLeftover: () => void;
  /** MTU for pods of a Subnet. @throws AgentError `try-again` while it cannot be known */
  readonly mtuOf: (subnet: string) => number;
  /** What is wrong with the daemons of this node, if anything. */
  readonly dataplane: () => Promise<DataplaneProblem | undefined>;
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>;
}

/** The pod's own routes, each through the gateway of its family where none is named. */
function routesOf({ routes, addresses }: Announcement): VethPlan['routes'] {
  const gateways = new Map(addresses.map(({ gateway }) => [ipFamily(gateway), gateway]));
  return routes.flatMap(({ dst, gw = gateways.get(ipFamily(dst)) }) =>
    gw === undefined ? [] : [{ dst, gateway: gw }],
  );
}

/** What the cable of a pod has to look like. */
export function vethPlan(context: PodContext, pod: Announcement, containerId: string, ifname: string): VethPlan {
  const mtu = context.mtuOf(pod.subnet);
  return {
    hostName: hostVethName(containerId, ifname),
    hostMac: hostVethMac(containerId, ifname),
    ifname,
    mac: pod.mac,
    mtu,
    addresses: pod.addresses,
    defaultRoute: pod.defaultRoute,
    routes: routesOf(pod),
    disableOffload: context.config.datapathType === 'netdev',
    // The kernel has no IPv6 on links below its least MTU.
    ipv6: mtu >= LEAST_IPV6_MTU && existsSync('/proc/net/if_inet6'),
  };
}
