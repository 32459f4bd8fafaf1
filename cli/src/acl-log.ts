import type { AclLogEnd, AclLogEntry } from '@ovenbird/agent';
import { type IPSpec, isIp, parseIp } from '@ovenbird/crds';
import { table } from './table.ts';

/** What is read of an IP object. */
export type AddressRecord = Pick<IPSpec, 'v4IpAddress' | 'v6IpAddress' | 'podName' | 'namespace' | 'nodeName'>;

const ends = ({ source, destination }: AclLogEntry): readonly AclLogEnd[] => [source, destination];

/** Addresses of packets that no agent could name. */
export const unnamedAddresses = (entries: readonly AclLogEntry[]): ReadonlySet<string> =>
  new Set(
    entries
      .flatMap(ends)
      .filter(({ pod }) => pod === undefined)
      .flatMap(({ address }) => (address === undefined ? [] : [address])),
  );

/** Names the ends of packets by IP objects. An address that several have, in Vpcs of their own, stays without a name. */
export function withNames(entries: readonly AclLogEntry[], records: readonly AddressRecord[]): readonly AclLogEntry[] {
  const wanted = unnamedAddresses(entries);
  const holders = new Map<string, AddressRecord[]>();
  for (const record of records)
    for (const text of [record.v4IpAddress, record.v6IpAddress]) {
      const address = text !== undefined && isIp(text) ? parseIp(text) : undefined;
      if (address !== undefined && wanted.has(address)) holders.set(address, [...(holders.get(address) ?? []), record]);
    }
  const named = (end: AclLogEnd): AclLogEnd => {
    const [holder, other] = end.pod === undefined ? (holders.get(end.address ?? '') ?? []) : [];
    if (holder === undefined || other !== undefined) return end;
    const { podName = '', namespace = '', nodeName = '' } = holder;
    if (podName !== '') return { ...end, pod: `${namespace}/${podName}` };
    return nodeName === '' ? end : { ...end, node: nodeName };
  };
  return entries.map((entry) => ({ ...entry, source: named(entry.source), destination: named(entry.destination) }));
}

const columns = ['TIME', 'NODE', 'VERDICT', 'DIRECTION', 'PROTOCOL', 'SOURCE', 'DESTINATION', 'OBJECT', 'RULE'];

function cells(entry: AclLogEntry): readonly string[] {
  const text = ({ pod, node, address, mac, port }: AclLogEnd): string => {
    const name = pod ?? (node === undefined ? (address ?? mac) : `node ${node}`);
    return port === undefined ? name : name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`;
  };
  const { time, node, verdict, direction, protocol, icmpType, source, destination, object, rule } = entry;
  const key = object?.namespace === undefined ? object?.name : `${object.namespace}/${object.name}`;
  return [
    time,
    node,
    verdict,
    direction,
    icmpType === undefined ? protocol : `${protocol} ${icmpType}`,
    text(source),
    text(destination),
    object === undefined ? '(not Ovenbird)' : `${object.kind}/${key}`,
    rule,
  ];
}

/** Entries as a table, oldest first. */
export const renderAclLog = (entries: readonly AclLogEntry[]): string =>
  entries.length === 0 ? 'no packet met a logged rule\n' : table(columns, entries.map(cells));

/** Entries as lines that stand for themselves, since nobody knows how wide the next ones are. */
export const renderAclLines = (entries: readonly AclLogEntry[]): string =>
  entries.map((entry) => `${cells(entry).join('  ')}\n`).join('');

/** Tells the new ones of entries that are asked for again and again. Packets of one time may be told by equal entries. */
export class AclLogFollower {
  /** By node: the time of the last entry, and how many there were of that time. */
  readonly #last = new Map<string, { readonly time: string; readonly count: number }>();

  /** @param entries the last ones of all nodes, oldest first */
  next(entries: readonly AclLogEntry[]): readonly AclLogEntry[] {
    const found: AclLogEntry[] = [];
    for (const node of new Set(entries.map((entry) => entry.node))) {
      const own = entries.filter((entry) => entry.node === node);
      const last = this.#last.get(node);
      const time = own.at(-1)?.time ?? '';
      const known = own.filter((entry) => entry.time === last?.time).slice(0, last?.count ?? 0);
      found.push(...own.filter((entry) => entry.time >= (last?.time ?? '') && !known.includes(entry)));
      this.#last.set(node, { time, count: own.filter((entry) => entry.time === time).length });
    }
    return found.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  }
}
