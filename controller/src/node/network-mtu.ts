import { NODE_MTU } from '@ovenbird/crds';
import type { Key } from '../store/model.ts';
import type { State } from '../store/state.ts';

/** The one key of `NetworkMtu`. */
export const networkMtuKey = 'pods';

/** The agent's own limits (agent/src/config.ts). */
const isMtu = (text: string | undefined): text is string =>
  text !== undefined && /^\d{3,5}$/.test(text) && Number(text) >= 576 && Number(text) <= 65_535;

/**
 * The MTU that every pod of a Subnet without one has at least: the smallest of what the agents say on their Nodes. Clients of
 * DHCP are told this one, since a packet that fits it fits every tunnel.
 */
export class NetworkMtu {
  readonly #state: State;
  readonly #byNode = new Map<Key, number>();

  constructor(state: State) {
    this.#state = state;
  }

  /** A Node appeared, changed or went. What an agent has not said yet counts for nothing. */
  changed(name: Key): void {
    const text = this.#state.get('Node', name)?.annotations[NODE_MTU];
    const mtu = isMtu(text) ? Number(text) : undefined;
    if (this.#byNode.get(name) === mtu) return;
    if (mtu === undefined) this.#byNode.delete(name);
    else this.#byNode.set(name, mtu);
    if (this.#byNode.size === 0) this.#state.delete('NetworkMtu', networkMtuKey);
    else this.#state.set('NetworkMtu', networkMtuKey, { mtu: Math.min(...this.#byNode.values()) });
  }
}
