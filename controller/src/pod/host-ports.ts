import { ipFamily, isIp, parseIp } from '@ovenbird/crds';
import type { Pod as KubePod } from '@ovenbird/kube';
import type { PolicyProtocol } from '../policy/model.ts';

/** A port of a pod that its node publishes (`hostPort`). */
export interface HostPort {
  readonly protocol: PolicyProtocol;
  /** Address of the node, canonical text; absent: all of them. */
  readonly hostIp?: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

const protocols: Readonly<Record<string, PolicyProtocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
const unspecified: ReadonlySet<string> = new Set(['', '0.0.0.0', '::']);

/** Published ports, those of sidecars (init containers that always restart) included; undefined when there is none. */
export function hostPortsOf({ spec }: KubePod): readonly HostPort[] | undefined {
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  return publishedPorts([...(spec.containers ?? []), ...sidecars].flatMap((container) => container.ports ?? []));
}

/** A port as Pods and IP objects say it; without `hostPort` it is not published. */
interface PortFields {
  readonly hostPort?: number | undefined;
  readonly hostIP?: string | undefined;
  readonly protocol?: string | undefined;
  readonly containerPort: number;
}

/** Those that are published; undefined when there is none. */
export function publishedPorts(fields: readonly PortFields[]): readonly HostPort[] | undefined {
  const ports: HostPort[] = [];
  for (const { hostPort, hostIP = '', protocol = 'TCP', containerPort } of fields) {
    const known = protocols[protocol];
    if (hostPort === undefined || hostPort === 0 || known === undefined) continue;
    if (unspecified.has(hostIP)) ports.push({ protocol: known, hostPort, containerPort });
    // The API server takes anything for a hostIP; what is no address is published nowhere.
    else if (isIp(hostIP)) ports.push({ protocol: known, hostIp: parseIp(hostIP), hostPort, containerPort });
  }
  return ports.length === 0 ? undefined : ports;
}

const endpoint = (address: string, port: number): string =>
  ipFamily(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;

/**
 * Where OVN sends what is sent to published ports: by protocol, node address and port → pod address and port.
 * @param node addresses of the pod's node
 * @param pod its own addresses
 */
export function publishedAt(
  ports: readonly HostPort[],
  node: readonly string[],
  pod: readonly string[],
): ReadonlyMap<PolicyProtocol, ReadonlyMap<string, string>> {
  const found = new Map<PolicyProtocol, Map<string, string>>();
  for (const { protocol, hostIp, hostPort, containerPort } of ports) {
    for (const own of pod) {
      for (const address of node) {
        if (ipFamily(address) !== ipFamily(own) || (hostIp !== undefined && hostIp !== address)) continue;
        const vips = found.get(protocol) ?? new Map<string, string>();
        found.set(protocol, vips.set(endpoint(address, hostPort), endpoint(own, containerPort)));
      }
    }
  }
  return found;
}
