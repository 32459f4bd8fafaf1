import type { Subnet } from '@ovenbird/crds';
import { type Clock, sleep } from '@ovenbird/kube';
import type { NodeNetwork } from '../networks.ts';
import { GATEWAY_HEALTHY, type NodeConditionInput, TUNNELS_HEALTHY } from './conditions.ts';
import type { ProbeAnswer } from './probe.ts';

/** Somebody whom this node asks. */
export interface Peer {
  /** Name of the Node; `gateway` for the join network's router. */
  readonly name: string;
  readonly address: string;
}

/** What is known of a peer. */
export interface PeerHealth extends Peer {
  /** Undefined before the first answer, or the first {@link FAILURES} silences. */
  readonly healthy: boolean | undefined;
  /** Of the last answer, milliseconds. */
  readonly ms: number | undefined;
  readonly why: string | undefined;
}

/** Name of the peer that stands for the join network's router. */
export const GATEWAY = 'gateway';

/** How often a healthy peer is asked, milliseconds; one that did not answer is asked again sooner. */
const INTERVAL_MS = 10_000;
const AGAIN_MS = 1000;
const PATIENCE_MS = 1000;
/** Silences in a row that count. */
const FAILURES = 3;
/** How many nodes each one asks: those after it in the order of names, so that every node is asked by as many. */
const NEIGHBOURS = 2;

/** The nodes that a node asks: the next ones in the circle of names. Nothing here grows with the number of nodes. */
export function neighboursOf(self: string, nodes: readonly Peer[]): readonly Peer[] {
  const others = nodes.filter(({ name }) => name !== self).sort((a, b) => (a.name < b.name ? -1 : 1));
  const at = others.findIndex(({ name }) => name > self);
  return [...others.slice(Math.max(0, at)), ...others.slice(0, Math.max(0, at))].slice(0, NEIGHBOURS);
}

/**
 * Whom a node asks: the routers of its join Subnet, and its neighbours by their first address there, which is IPv4 where there
 * is one.
 */
export function peersOf(
  nodeName: string,
  own: Pick<NodeNetwork, 'addresses'>,
  join: Subnet | undefined,
): readonly Peer[] {
  const nodes = (join?.status?.nodes ?? []).flatMap(({ name, join: [address] }) =>
    address === undefined ? [] : [{ name, address }],
  );
  const gateways = own.addresses.map(({ gateway }) => ({ name: GATEWAY, address: gateway }));
  return [...gateways, ...neighboursOf(nodeName, nodes)];
}

/** What {@link Health} needs. */
export interface HealthOptions {
  readonly probe: (address: string, timeoutMs: number) => Promise<ProbeAnswer>;
  /** Health of some peer is different. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

interface Watched {
  health: PeerHealth;
  failures: number;
  readonly stop: AbortController;
}

/** Asks the gateway and some neighbours through the overlay, and remembers who answers. */
export class Health {
  readonly #options: HealthOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Whom to ask from now on; those that stay keep their history. */
  follow(peers: readonly Peer[]): void {
    const wanted = new Map(peers.map((peer) => [`${peer.name} ${peer.address}`, peer]));
    for (const [key, { stop }] of this.#watched) {
      if (wanted.has(key)) continue;
      stop.abort();
      this.#watched.delete(key);
    }
    for (const [key, peer] of wanted) {
      if (this.#watched.has(key)) continue;
      const health = { ...peer, healthy: undefined, ms: undefined, why: undefined };
      const watched: Watched = { health, failures: 0, stop: new AbortController() };
      this.#watched.set(key, watched);
      void this.#ask(watched);
    }
    this.#options.onChange();
  }

  /** All that are asked. */
  get peers(): readonly PeerHealth[] {
    return [...this.#watched.values()].map(({ health }) => health);
  }

  async #ask(watched: Watched): Promise<void> {
    const { probe, onChange, clock, signal: outer } = this.#options;
    const signal = AbortSignal.any([outer, watched.stop.signal]);
    while (!signal.aborted) {
      const answer = await probe(watched.health.address, PATIENCE_MS);
      if (signal.aborted) return;
      const before = watched.health;
      watched.failures = answer.answered ? 0 : watched.failures + 1;
      watched.health = answer.answered
        ? { ...before, healthy: true, ms: answer.ms, why: undefined }
        : { ...before, healthy: watched.failures >= FAILURES ? false : before.healthy, why: answer.why };
      if (before.healthy !== watched.health.healthy) onChange();
      await sleep(clock, answer.answered ? INTERVAL_MS : AGAIN_MS, signal);
    }
  }
}

interface Family {
  readonly type: string;
  readonly well: string;
  readonly ill: string;
}

const GATEWAYS: Family = {
  type: GATEWAY_HEALTHY,
  well: "the join network's router answers",
  ill: 'the router of the join network does not answer on ovn0; look at ovs-vswitchd and ovn-controller of this node',
};
const NODES: Family = {
  type: TUNNELS_HEALTHY,
  well: 'the neighbours that were asked answer',
  ill: 'nodes do not answer through the tunnel; see whether UDP port 6081 passes between the nodes, and whether they run',
};

function conditionOf(
  { type, well, ill }: Family,
  peers: readonly PeerHealth[],
  had: boolean,
): NodeConditionInput | undefined {
  // Those that it was about are gone.
  if (peers.length === 0)
    return had ? { type, status: 'True', reason: 'NobodyToAsk', message: 'there is nobody to ask' } : undefined;
  const sick = peers.filter(({ healthy }) => healthy === false);
  if (sick.length > 0) {
    const list = sick.map(({ name, address, why }) =>
      name === GATEWAY ? `${address}: ${why}` : `${name} (${address}): ${why}`,
    );
    return { type, status: 'False', reason: 'NoAnswer', message: `${ill}: ${list.sort().join(', ')}` };
  }
  const isKnown = peers.some(({ healthy }) => healthy === true);
  return isKnown ? { type, status: 'True', reason: 'Answers', message: well } : undefined;
}

/**
 * The Node's conditions that follow; a family of peers of which nothing is known yet has none.
 * @param had types of conditions that the Node has: of a family that has become empty they must not stay as they were
 */
export function healthConditions(
  peers: readonly PeerHealth[],
  had: ReadonlySet<string> = new Set(),
): readonly NodeConditionInput[] {
  return [GATEWAYS, NODES]
    .map((family) => {
      const own = peers.filter(({ name }) => (name === GATEWAY) === (family === GATEWAYS));
      return conditionOf(family, own, had.has(family.type));
    })
    .filter((one) => one !== undefined);
}
