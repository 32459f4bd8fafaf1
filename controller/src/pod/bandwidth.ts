/** One direction of a pod's bandwidth limit, in the units of ovn-nb(5) QoS.bandwidth. */
export interface BandwidthLimit {
  readonly direction: 'from-lport' | 'to-lport';
  readonly rateKbit: number;
  readonly burstKbit: number;
}

export interface Bandwidth {
  readonly limits: readonly BandwidthLimit[];
  /** What is wrong with the annotations, for the event; a bad value limits nothing. */
  readonly problems: readonly string[];
}

/** ovn-nb(5): QoS.bandwidth values are at most 4,294,967,295 kbit. */
const maxMbit = 4_294_967;

/**
 * Reads `ovn.kubernetes.io/{ingress,egress}_{rate,burst}`: whole Mbit/s and Mbit, from the pod's point of view (ingress = to
 * the pod = `to-lport`). Without a burst it is half a second of the rate: measured, less starves TCP and none lets a whole
 * second's worth through.
 */
export function bandwidthOf(annotations: Readonly<Record<string, string>>): Bandwidth {
  const limits: BandwidthLimit[] = [];
  const problems: string[] = [];
  const read = (key: string, unit: string): number | undefined => {
    const text = annotations[`ovn.kubernetes.io/${key}`];
    if (text === undefined || text === '' || text === '0') return undefined;
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isInteger(value) && value > 0 && value <= maxMbit) return value;
    problems.push(
      `annotation ovn.kubernetes.io/${key}: "${text.slice(0, 40)}" is not a whole number of ${unit} from 1 to ${maxMbit}`,
    );
    return undefined;
  };
  for (const [name, direction] of [
    ['egress', 'from-lport'],
    ['ingress', 'to-lport'],
  ] as const) {
    const rate = read(`${name}_rate`, 'Mbit/s');
    const burst = read(`${name}_burst`, 'Mbit');
    if (rate === undefined) continue;
    limits.push({ direction, rateKbit: rate * 1000, burstKbit: burst === undefined ? rate * 500 : burst * 1000 });
  }
  return { limits, problems };
}
