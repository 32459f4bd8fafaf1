import { ENCAP_DF } from '../bootstrap.ts';
import { smallForIpv6 } from '../host/link.ts';
import type { LinkState } from '../netlink/state.ts';

/** Lets tunnels fragment packets of an underlay that is too small for IPv6, as long as it is that, and tells people. */
export class UnderlaySize {
  readonly #tell: (message: string) => void;
  /** What was told; empty when it is no longer so. */
  #told: string | undefined;

  /** @param tell about an underlay that is too small, once */
  constructor(tell: (message: string) => void) {
    this.#tell = tell;
  }

  /**
   * What the chassis has to be told; nothing on a node whose underlay never was too small.
   * @param ipv6 whether the overlay has IPv6
   */
  settings(underlay: Pick<LinkState, 'ifname' | 'mtu'>, encapIp: string, ipv6: boolean): ReadonlyMap<string, string> {
    const small = ipv6 ? smallForIpv6(underlay, encapIp) : undefined;
    if (small !== undefined && small !== this.#told) this.#tell(small);
    if (small === undefined && this.#told === undefined) return new Map();
    this.#told = small ?? '';
    return new Map([[ENCAP_DF, String(small === undefined)]]);
  }
}
