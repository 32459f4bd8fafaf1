import { announcement, type IP, IPS, ipObject, isIp, parseIp, parseMac } from '@ovenbird/crds';
import { isKubeError, type Node, type Requester, Resource, type Store } from '@ovenbird/kube';
import { AgentError, type AgentErrorCode, messageOf } from '../error.ts';
import { waitFor } from '../wait-for.ts';
import { type Announcement, readAddresses, readRequested, requestedIps } from './announcement.ts';
import type { CniRequest } from './request.ts';
import { hostVethName } from './veth.ts';

/** How long one request to the API server may take, milliseconds. */
const REQUEST_MS = 5000;

/** The CNI error for a reason that the controller gives (condition `Ready`); all others mean "not with this subnet". */
const CODES: Readonly<Record<string, AgentErrorCode>> = {
  AddressTaken: 'address-mismatch',
  AddressOutsideSubnet: 'address-mismatch',
  AddressExcluded: 'address-mismatch',
  SubnetExhausted: 'try-again',
  SubnetNotUsable: 'try-again',
};

export interface ContainersOptions {
  /** Those of this node, as far as the watch has come. */
  readonly objects: Store<IP>;
  readonly client: Requester;
  readonly node: () => Node | undefined;
  readonly nodeName: string;
}

/**
 * Containers outside of Kubernetes (podman, cnitool): each of their interfaces is an IP object, which this agent creates for
 * its own node, the controller fills in, and DEL, GC or the end of the container removes. The object belongs to the Node:
 * it goes with it.
 */
export class Containers {
  readonly objects: Store<IP>;
  readonly #options: ContainersOptions;
  readonly #ips: Resource<IP>;
  /** UIDs of objects that were removed; the watch may still show them. */
  readonly #removed = new Set<string>();

  constructor(options: ContainersOptions) {
    this.#options = options;
    this.objects = options.objects;
    this.#ips = new Resource<IP>(options.client, IPS);
    this.objects.onChange((changes) => {
      for (const { old } of changes) {
        const uid = old?.metadata.uid ?? '';
        if (this.objects.get(old?.metadata.name ?? '')?.metadata.uid !== uid) this.#removed.delete(uid);
      }
    });
  }

  /** The object of an interface, if it has one. */
  of(containerId: string, ifname: string): IP | undefined {
    return this.#current(this.#nameOf(containerId, ifname));
  }

  /** All objects of this node, with the host end of their interface. */
  all(): readonly { readonly object: IP; readonly hostName: string }[] {
    return [...this.objects.values()]
      .filter((object) => this.#current(object.metadata.name) !== undefined)
      .map((object) => {
        const { containerID = '', attachment } = object.spec;
        return { object, hostName: hostVethName(containerID, attachment?.interface ?? '') };
      });
  }

  /**
   * Makes the object that asks for an interface's address; does nothing where it is there.
   * @throws AgentError `address-mismatch` for an address or MAC that is none, `try-again` without API server
   */
  async ensure(request: CniRequest, signal: AbortSignal): Promise<void> {
    const { containerId, ifname, config } = request;
    if (this.of(containerId, ifname) !== undefined) return;
    const { nodeName } = this.#options;
    const node = this.#options.node();
    if (node?.metadata.uid === undefined) throw new AgentError('try-again', `the Node ${nodeName} does not exist`);
    const object: IP = {
      apiVersion: 'ovenbird.io/v1',
      kind: 'IP',
      metadata: {
        name: this.#nameOf(containerId, ifname),
        labels: { [ipObject.attachment]: 'true', [ipObject.nodeName]: nodeName },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.metadata.uid }],
      },
      spec: {
        subnet: config.subnet ?? '',
        nodeName,
        containerID: containerId,
        attachment: { interface: ifname, network: config.name, ...publishedBy(request) },
        ...requestedOf(request),
      },
    };
    try {
      await this.#ips.create(object, { signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]) });
    } catch (cause) {
      // The watch lags: it is there.
      if (isKubeError(cause, 'already-exists')) return;
      const what = `cannot create the IP object ${object.metadata.name} at the API server: ${messageOf(cause)}`;
      throw new AgentError(isKubeError(cause, 'invalid', 'forbidden') ? 'pod-refused' : 'try-again', what, { cause });
    }
  }

  /**
   * Waits until the controller has given the container an address.
   * @throws AgentError with what it says is wrong; `try-again` when it says nothing in time
   */
  async announced(request: CniRequest, signal: AbortSignal, deadlineMs: number): Promise<Announcement> {
    const { containerId, ifname } = request;
    const name = this.#nameOf(containerId, ifname);
    const look = (): Announcement | undefined => {
      const object = this.#current(name);
      return object === undefined ? undefined : readContainer(object);
    };
    return await waitFor([(changed) => this.objects.onChange(changed)], look, {
      deadlineMs,
      signal,
      expired: () =>
        new AgentError(
          'try-again',
          this.#current(name) === undefined
            ? `there is no IP object ${name} for this container`
            : `waited ${deadlineMs / 1000} s for the controller to give the IP object ${name} an address; is it running?`,
        ),
    });
  }

  /** Removes an object; one that is gone is fine. @throws KubeError */
  async remove(object: IP): Promise<void> {
    const { name, uid = '' } = object.metadata;
    try {
      await this.#ips.delete({ name }, { uid, signal: AbortSignal.timeout(REQUEST_MS) });
    } catch (error) {
      if (!isKubeError(error, 'not-found', 'conflict')) throw error;
    }
    if (this.objects.get(name)?.metadata.uid === uid) this.#removed.add(uid);
  }

  #current(name: string): IP | undefined {
    const object = this.objects.get(name);
    const gone = object?.metadata.deletionTimestamp !== undefined || this.#removed.has(object?.metadata.uid ?? '');
    return gone ? undefined : object;
  }

  /** `attach-<12 hex of a hash of container id and interface>-<node>`: the same for the same interface, another on another node. */
  #nameOf(containerId: string, ifname: string): string {
    return `attach-${hostVethName(containerId, ifname).slice(1)}-${this.#options.nodeName}`;
  }
}

/** @throws AgentError `address-mismatch` */
function requestedOf(request: CniRequest): Partial<IP['spec']> {
  const wanted: { v4IpAddress?: string; v6IpAddress?: string; macAddress?: string } = {};
  for (const text of requestedIps(request)) {
    const { v4, v6 } = readRequested(text);
    if (v4 !== undefined) wanted.v4IpAddress = v4;
    if (v6 !== undefined) wanted.v6IpAddress = v6;
  }
  const mac = request.config.runtimeConfig?.mac ?? request.args['MAC'];
  if (mac === undefined) return wanted;
  try {
    return { ...wanted, macAddress: parseMac(mac) };
  } catch (cause) {
    throw new AgentError('address-mismatch', `the requested MAC "${mac}" is not a unicast MAC address`, { cause });
  }
}

const PROTOCOLS = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' } as const;

/** What the container publishes, as its IP object says it. @throws AgentError `invalid-config` */
export function publishedBy({ config }: CniRequest): Pick<NonNullable<IP['spec']['attachment']>, 'ports'> {
  // portmap passes over those without a port of the node.
  const mappings = (config.runtimeConfig?.portMappings ?? []).filter(({ hostPort }) => (hostPort ?? 0) > 0);
  const ports = mappings.map(({ hostPort = 0, containerPort = 0, protocol = 'tcp', hostIP = '' }) => {
    const text = `runtimeConfig.portMappings: port ${hostPort} of the node`;
    const known = Object.entries(PROTOCOLS).find(([name]) => name === protocol.toLowerCase())?.[1];
    if (known === undefined) throw new AgentError('invalid-config', `${text}: "${protocol}" is not tcp, udp or sctp`);
    if (containerPort === 0) throw new AgentError('invalid-config', `${text}: containerPort is missing`);
    if (hostIP !== '' && !isIp(hostIP)) throw new AgentError('invalid-config', `${text}: "${hostIP}" is no address`);
    return { hostPort, containerPort, protocol: known, ...(hostIP === '' ? {} : { hostIP: parseIp(hostIP) }) };
  });
  return ports.length === 0 ? {} : { ports };
}

/** What the controller wrote into an IP object; undefined while it has not. @throws AgentError why there is no address */
export function readContainer(object: IP): Announcement | undefined {
  const { name, uid = '', annotations = {} } = object.metadata;
  if (annotations[announcement.announcedUid] === uid && uid !== '') {
    return {
      label: `container ${object.spec.containerID?.slice(0, 13) ?? ''} (${name})`,
      namespace: '',
      name: '',
      uid,
      object: name,
      portName: annotations[announcement.portName] ?? '',
      defaultRoute: true,
      ...readAddresses(annotations),
      routes: [],
    };
  }
  const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'False') return undefined;
  throw new AgentError(CODES[ready.reason] ?? 'pod-refused', ready.message);
}
