import type { Client, OvnNorthbound } from '@ovenbird/ovsdb';
import type { DurablePort } from './alloc/load.ts';
import { ADDRESS_KEY } from './compile/names.ts';
import { OWNER_KEY, VENDOR } from './northbound/rows.ts';
import { bandwidthsOf, type QosRow } from './qos/live.ts';
import type { PodBandwidth } from './qos/model.ts';
import type { LiveSubnet } from './subnet/verdict.ts';

/** A durable port, and the row it was read from. */
export interface LivePort extends DurablePort {
  readonly uuid: string;
}

/** What the northbound database says about subnets, addresses and limits at start; it wins over every other record. */
export interface Known {
  readonly subnets: ReadonlyMap<string, LiveSubnet>;
  readonly ports: readonly DurablePort[];
  /** Limits of pods by their annotations, by pod. */
  readonly bandwidths: ReadonlyMap<string, PodBandwidth>;
}

/** The same with the rows. */
export interface Live extends Known {
  readonly ports: readonly LivePort[];
}

/** Reads our switches and ports from a synced replica. */
export function readLive(db: Client<OvnNorthbound>): Live {
  const subnets = new Map<string, LiveSubnet>();
  for (const row of db.replica.table('Logical_Switch').rows()) {
    const ids = row.external_ids;
    const cidr = ids.get('cidr');
    if (ids.get('vendor') !== VENDOR || cidr === undefined) continue;
    subnets.set(row.name, { vpc: ids.get('vpc') ?? '', cidr, gateway: ids.get('gateway') ?? '' });
  }
  const ports: LivePort[] = [];
  for (const row of db.replica.table('Logical_Switch_Port').rows()) {
    const ids = row.external_ids;
    const owner = ids.get(OWNER_KEY);
    const uid = ids.get('ovenbird/uid');
    const subnet = ids.get('ovenbird/subnet');
    // A virtual port has its address in external_ids: OVN must not answer for it by itself.
    const addresses = row.addresses.find((text) => text !== 'unknown') ?? ids.get(ADDRESS_KEY);
    if (ids.get('vendor') !== VENDOR || owner === undefined || uid === undefined || subnet === undefined) continue;
    if (addresses === undefined) continue;
    const keepFor = ids.get('ovenbird/keep-for');
    const network = ids.get('ovenbird/network');
    const via = ids.get('ovenbird/via');
    ports.push({
      uuid: row._uuid,
      owner,
      uid,
      subnet,
      addresses,
      ...(keepFor === undefined ? {} : { keepFor }),
      ...(network === undefined ? {} : { network }),
      ...(via === undefined ? {} : { via }),
    });
  }
  const limits: QosRow[] = [];
  for (const { external_ids: ids, direction, bandwidth } of db.replica.table('QoS').rows()) {
    const owner = ids.get(OWNER_KEY);
    const uid = ids.get('ovenbird/uid');
    if (ids.get('vendor') !== VENDOR || owner === undefined || uid === undefined) continue;
    limits.push({ owner, uid, direction, bandwidth });
  }
  return { subnets, ports, bandwidths: bandwidthsOf(limits) };
}
