import { splitOwner } from '../compile/names.ts';
import type { BandwidthLimit } from '../pod/bandwidth.ts';
import type { Key } from '../store/model.ts';
import type { PodBandwidth } from './model.ts';

/** What is read of a row of a pod's bandwidth annotations. */
export interface QosRow {
  readonly owner: string;
  readonly uid: string;
  readonly direction: BandwidthLimit['direction'];
  readonly bandwidth: ReadonlyMap<string, number>;
}

/** The limits of pods that rows tell of, by interface (see PodQos). */
export function bandwidthsOf(rows: readonly QosRow[]): ReadonlyMap<Key, PodBandwidth> {
  const found = new Map<Key, PodBandwidth>();
  for (const { owner, uid, direction, bandwidth } of rows) {
    const [rateKbit, burstKbit] = [bandwidth.get('rate'), bandwidth.get('burst')];
    const [kind, key] = splitOwner(owner);
    if ((kind !== 'Pod' && kind !== 'Attachment') || rateKbit === undefined || burstKbit === undefined) continue;
    const limits = found.get(key)?.limits ?? [];
    found.set(key, { uid, limits: [...limits, { direction, rateKbit, burstKbit }] });
  }
  return found;
}
