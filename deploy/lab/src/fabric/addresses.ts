/** Addresses of the underlay: the "physical" network that joins the nodes. */
export const underlay = {
  /** Link name of the bridge in the fabric namespace. */
  bridge: 'fabric',
  bridgeMac: '02:ac:1e:00:00:01',
  ipv4: '172.30.0.1',
  ipv4Length: 16,
  ipv6: 'fd00:172:30::1',
  ipv6Length: 64,
  /** Bytes of an IP packet on the wire between nodes. */
  mtu: 1500,
  /** OVSDB of the southbound database, TLS. */
  southboundPort: 6642,
  /** Where the controller explains flows to agents, TLS. */
  lookupPort: 10_661,
  /** Metrics and health of each agent, on its node's address. */
  agentPort: 10_662,
  /** Kubernetes API. */
  apiPort: 6443,
  /**
   * A host beyond the nodes' default gateway (RFC 5737, RFC 3849), on the fabric's loopback link: what "outside of the
   * cluster" is in the lab.
   */
  outside: { ipv4: '198.51.100.1', ipv6: '2001:db8:ffff::1' },
} as const;

/** Link names inside a node. */
export const nodeLinks = { nic: 'eth0', bridge: 'br-underlay' } as const;

/** Addresses of one node on the underlay. */
export interface NodeAddresses {
  readonly ipv4: string;
  /** Absent in an IPv4-only lab. */
  readonly ipv6?: string;
  /** Of `br-underlay`; not the NIC's own, see underlay.ts. */
  readonly mac: string;
}

/** Most nodes that the address plan (and a laptop) holds. */
export const maxNodes = 200;

/** Addresses of node number `index`, from 1. */
export function nodeAddresses(index: number, dualStack: boolean): NodeAddresses {
  const hex = index.toString(16).padStart(2, '0');
  return {
    ipv4: `172.30.1.${index}`,
    ...(dualStack ? { ipv6: `fd00:172:30::1:${index}` } : {}),
    mac: `02:ac:1e:01:00:${hex}`,
  };
}
