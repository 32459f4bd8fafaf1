/** Which Service addresses and node ports are taken, and which come next. What is taken is read from the Services. */
import { bigintToIp, cidrContains, cidrRange, type Family, ipFamily, isIp, parseIp } from '@ovenbird/crds';
import { at, type KubeObject, listOf, numberOf, objectsOf } from './json.ts';

/** `IPv4` or `IPv6`, as in `spec.ipFamilies`. */
export type IpFamily = 'IPv4' | 'IPv6';

/** The family of an address, as Services name it. */
export function familyOf(address: string): IpFamily {
  return ipFamily(address) === 4 ? 'IPv4' : 'IPv6';
}

const NODE_PORT_FIRST = 30_000;
const NODE_PORT_LAST = 32_767;

class Range {
  readonly cidr: string;
  readonly family: Family;
  readonly #first: bigint;
  readonly #last: bigint;
  #next: bigint;

  constructor(cidr: string) {
    this.cidr = cidr;
    this.family = ipFamily(cidr.split('/')[0] ?? '');
    const { first, last } = cidrRange(cidr);
    this.#first = first + 1n;
    this.#last = this.family === 4 ? last - 1n : last;
    const size = this.#last - this.#first + 1n;
    // The lower part is left to addresses that are asked for (KEP-3070): between 16 and 256 of them.
    let band = size / 16n;
    if (band < 16n) band = 16n;
    if (band > 256n) band = 256n;
    this.#next = size > band * 2n ? this.#first + band : this.#first;
  }

  get first(): string {
    return bigintToIp(this.#first, this.family);
  }

  /** The next free address; a freed one is not taken again before all others were. */
  allocate(taken: ReadonlySet<string>): string | undefined {
    const size = this.#last - this.#first + 1n;
    const limit = size > BigInt(taken.size) ? BigInt(taken.size) + 1n : size;
    for (let tries = 0n; tries < limit; tries++) {
      const address = bigintToIp(this.#next, this.family);
      this.#next = this.#next >= this.#last ? this.#first : this.#next + 1n;
      if (!taken.has(address)) return address;
    }
    return undefined;
  }
}

/** Address ranges and node ports of Services. */
export class ServiceAddresses {
  readonly #ranges: readonly Range[];
  readonly #addresses = new Set<string>();
  /** `<protocol>/<port>` */
  readonly #nodePorts = new Set<string>();
  #nextNodePort = NODE_PORT_FIRST;

  /** @param cidrs one range per family, the default family first */
  constructor(cidrs: readonly string[]) {
    this.#ranges = cidrs.map((cidr) => new Range(cidr));
    if (new Set(this.families).size !== this.#ranges.length) {
      throw new Error(`serviceCidrs must be at most one range of each family, got ${cidrs.join(', ')}`);
    }
  }

  /** Families that have a range, the default first. */
  get families(): IpFamily[] {
    return this.#ranges.map(({ family }) => (family === 4 ? 'IPv4' : 'IPv6'));
  }

  /** The first address of the first range: that of `default/kubernetes`. */
  get first(): string {
    return this.#ranges[0]?.first ?? '';
  }

  /** A free address of a family; undefined when the range is full or missing. Not taken until {@link take}. */
  allocate(family: IpFamily): string | undefined {
    const range = this.#ranges.find((item) => (item.family === 4 ? 'IPv4' : 'IPv6') === family);
    return range?.allocate(this.#addresses);
  }

  /** Why an address that was asked for cannot be had. */
  problem(address: string): string | undefined {
    if (!isIp(address)) return 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
    const range = this.#ranges.find(({ cidr, family }) => family === ipFamily(address) && cidrContains(cidr, address));
    if (range === undefined) {
      const ranges = this.#ranges.map(({ cidr }) => cidr).join(', ');
      return `failed to allocate IP ${address}: the provided IP is not in the valid range (${ranges})`;
    }
    if (this.#addresses.has(parseIp(address)))
      return `failed to allocate IP ${address}: provided IP is already allocated`;
    return undefined;
  }

  /** A free node port for a protocol. */
  allocateNodePort(protocol: string, besides: ReadonlySet<string>): number | undefined {
    for (let tries = NODE_PORT_FIRST; tries <= NODE_PORT_LAST; tries++) {
      const port = this.#nextNodePort;
      this.#nextNodePort = port >= NODE_PORT_LAST ? NODE_PORT_FIRST : port + 1;
      const key = `${protocol}/${port}`;
      if (!this.#nodePorts.has(key) && !besides.has(key)) return port;
    }
    return undefined;
  }

  /** Why a node port that was asked for cannot be had. */
  nodePortProblem(protocol: string, port: number): string | undefined {
    if (port < NODE_PORT_FIRST || port > NODE_PORT_LAST) {
      return `provided port is not in the valid range. The range of valid ports is ${NODE_PORT_FIRST}-${NODE_PORT_LAST}`;
    }
    return this.#nodePorts.has(`${protocol}/${port}`) ? 'provided port is already allocated' : undefined;
  }

  /** Marks what a stored Service holds. */
  take(service: KubeObject): void {
    for (const address of held(service)) this.#addresses.add(address);
    for (const port of heldPorts(service)) this.#nodePorts.add(port);
  }

  /** Frees what a Service held. */
  release(service: KubeObject): void {
    for (const address of held(service)) this.#addresses.delete(address);
    for (const port of heldPorts(service)) this.#nodePorts.delete(port);
  }
}

function held(service: KubeObject): string[] {
  return listOf(at(service, 'spec', 'clusterIPs'))
    .filter((item): item is string => typeof item === 'string' && isIp(item))
    .map((item) => parseIp(item));
}

function heldPorts(service: KubeObject): string[] {
  return objectsOf(at(service, 'spec', 'ports'))
    .filter((port) => numberOf(port['nodePort']) !== undefined)
    .map((port) => `${String(port['protocol'])}/${String(port['nodePort'])}`);
}
