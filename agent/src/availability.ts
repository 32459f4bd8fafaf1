import { type Subnet, splitDualCidr } from '@ovenbird/crds';
import type { AgentConfig } from './config.ts';
import { AgentError } from './error.ts';
import { askDaemon } from './ovs/control-socket.ts';
import type { InterfaceRow } from './ovs/database.ts';

/** What is wrong with the dataplane of this node, and whom it hurts. */
export interface DataplaneProblem {
  /** Pods that are attached already have no connectivity either. */
  readonly running: boolean;
  readonly message: string;
}

type RunDirectories = Pick<AgentConfig, 'ovsRunDir' | 'ovnRunDir'>;

/** ovs-vswitchd does not run. */
export function vswitchdAbsent({ ovsRunDir = '' }: RunDirectories): DataplaneProblem {
  const message = `ovs-vswitchd does not run on this node (no live control socket in ${ovsRunDir}): pods have no network until it is started`;
  return { running: true, message };
}

/** ovn-controller does not run. */
export function controllerAbsent({ ovnRunDir = '' }: RunDirectories): DataplaneProblem {
  const message = `ovn-controller does not run on this node (no live control socket in ${ovnRunDir}): running pods keep their network, new ones get none until it is started`;
  return { running: false, message };
}

/**
 * Whether ovs-vswitchd and ovn-controller run, and the latter has its southbound database.
 * @returns the worst problem; undefined when there is none, or when the configuration does not say where to look
 */
export async function dataplaneProblem(
  config: Pick<AgentConfig, 'ovsRunDir' | 'ovnRunDir' | 'ovnRemote'>,
): Promise<DataplaneProblem | undefined> {
  const { ovsRunDir, ovnRunDir } = config;
  const [vswitchd, controller] = await Promise.all([
    ovsRunDir === undefined ? undefined : askDaemon(ovsRunDir, 'ovs-vswitchd', 'version'),
    ovnRunDir === undefined ? undefined : askDaemon(ovnRunDir, 'ovn-controller', 'connection-status'),
  ]);
  if (vswitchd?.state === 'absent') return vswitchdAbsent(config);
  if (controller?.state === 'absent') return controllerAbsent(config);
  if (controller?.state === 'answered' && controller.text === 'not connected') {
    const message = `ovn-controller is not connected to the southbound database ${config.ovnRemote}: running pods keep their network, new ones get none; is the database up, and does this node reach it?`;
    return { running: false, message };
  }
  return undefined;
}

/**
 * Why it is not known that OVN works on this node: before the southbound database was reached no pod ever gets flows.
 * @param hostPort the node's own interface
 */
export async function unproven(
  config: Parameters<typeof dataplaneProblem>[0],
  hostPort: Pick<InterfaceRow, 'external_ids'> | undefined,
): Promise<string | undefined> {
  const problem = await dataplaneProblem(config);
  if (problem !== undefined) return problem.message;
  if (hostPort?.external_ids.get('ovn-installed') === 'true') return undefined;
  return `OVN has not installed the flows of the node's port: is ovn-controller connected to the southbound database ${config.ovnRemote}, and does ovn-northd run?`;
}

/** Whether a family of the Subnet has no free address; false while the controller has not counted them. */
function isExhausted({ spec, status }: Subnet): boolean {
  let families: ReturnType<typeof splitDualCidr>;
  try {
    families = splitDualCidr(spec.cidrBlock);
  } catch {
    return false;
  }
  return (
    (families.v4 !== undefined && status?.v4availableIPs === 0) ||
    (families.v6 !== undefined && status?.v6availableIPs === 0)
  );
}

/** Which Subnets {@link exhaustion} leaves out, or is about. */
export interface AddressesFor {
  /** The Subnet that connects the nodes. */
  readonly join: string | undefined;
  /** The Subnet that the network configuration names, as that of containers outside of Kubernetes does. */
  readonly subnet: string | undefined;
}

/**
 * Why nothing new can get an address, or undefined: the Subnet that is named is full, or every Subnet that pods' first
 * interfaces may be in. Which of several the next pod asks for is not known here.
 */
export function exhaustion(subnets: Iterable<Subnet>, { join, subnet }: AddressesFor): string | undefined {
  const usable = [...subnets].filter(({ metadata: { name }, spec: { provider = 'ovn' } }) =>
    // One with a provider of its own is for further interfaces (docs/attachments.md), and stays out unless it is named.
    subnet === undefined ? name !== join && provider === 'ovn' : name === subnet,
  );
  if (usable.length === 0 || !usable.every(isExhausted)) return undefined;
  const names = usable.map(({ metadata, spec }) => `${metadata.name} (${spec.cidrBlock})`).sort();
  return subnet === undefined
    ? `no Subnet has a free address: ${names.join(', ')}; add a Subnet or delete pods`
    : `Subnet ${names.join(', ')} has no free address: extend it, delete containers, or name another one`;
}

/** A problem of the dataplane as answer to STATUS. */
export function unavailable({ running, message }: DataplaneProblem): AgentError {
  return new AgentError(running ? 'limited-connectivity' : 'not-available', message);
}
