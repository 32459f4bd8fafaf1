import { askedOf, type FurtherInterface, OVN_PREFIX } from '@ovenbird/crds';
import type { Pod } from '../store/model.ts';

type Direction = 'from-lport' | 'to-lport';

/** One direction of a pod's bandwidth limit, in the units of ovn-nb(5) QoS.bandwidth. */
export interface BandwidthLimit {
  readonly direction: Direction;
  readonly rateKbit: number;
  readonly burstKbit: number;
}

/** What a pod's bandwidth annotations say. */
export interface Bandwidth {
  readonly limits: readonly BandwidthLimit[];
  /** Directions about which they say nothing sensible. */
  readonly refused: readonly Direction[];
  /** What is wrong with them, for the event. */
  readonly problems: readonly string[];
}

/** ovn-nb(5): QoS.bandwidth values are at most 4,294,967,295 kbit. */
const maxMbit = 4_294_967;

/** Burst of a limit that names none, in the unit of its rate: half a second. Measured: less starves TCP, none lets a whole second's worth through. */
export const defaultBurst = (rate: number): number => Math.max(1, Math.round(rate / 2));

/**
 * Reads `ovn.kubernetes.io/{ingress,egress}_{rate,burst}`: whole Mbit/s and Mbit, from the pod's point of view (ingress = to
 * the pod = `to-lport`).
 * @param further absent for the pod's first interface
 */
export function bandwidthOf(pod: Pick<Pod, 'annotations'>, further?: FurtherInterface): Bandwidth {
  const limits: BandwidthLimit[] = [];
  const refused: Direction[] = [];
  const problems: string[] = [];
  const read = (name: string, unit: string): number | undefined => {
    const { key, text } = askedOf(pod, `${OVN_PREFIX}${name}`, further);
    if (text === undefined || text === '' || text === '0') return undefined;
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isInteger(value) && value > 0 && value <= maxMbit) return value;
    problems.push(`annotation ${key}: "${text.slice(0, 40)}" is not a whole number of ${unit} from 1 to ${maxMbit}`);
    return undefined;
  };
  for (const [name, direction] of [
    ['egress', 'from-lport'],
    ['ingress', 'to-lport'],
  ] as const) {
    const known = problems.length;
    const rate = read(`${name}_rate`, 'Mbit/s');
    const burst = read(`${name}_burst`, 'Mbit');
    if (problems.length > known) refused.push(direction);
    else if (rate !== undefined) {
      const rateKbit = rate * 1000;
      limits.push({ direction, rateKbit, burstKbit: burst === undefined ? defaultBurst(rateKbit) : burst * 1000 });
    }
  }
  return { limits, refused, problems };
}
