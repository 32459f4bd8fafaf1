import { annotationNotes } from './annotations.ts';
import { type Candidate, fit } from './fit.ts';
import { importedKinds } from './kinds.ts';
import { orderNotes } from './order.ts';
import type { Manifest, Note } from './report.ts';
import { nameOf } from './report.ts';

/** What became of somebody's manifests. */
export interface Imported {
  /** Ours, in an order in which they can be applied. */
  readonly objects: readonly Candidate[];
  readonly notes: readonly Note[];
}

const group = 'kubeovn.io/';

/** Why kinds have no counterpart; the others simply have none. */
const without: Readonly<Record<string, string>> = {
  Vlan: 'networks of the underlay are not built yet',
  ProviderNetwork: 'networks of the underlay are not built yet',
  SwitchLBRule: 'load balancing by rules of its own is not built; use a Service',
  VpcDns: 'a DNS server in a Vpc is not built',
  VpcNatGateway: 'NAT gateways are not built; subnets masquerade at the node with spec.natOutgoing',
  VpcEgressGateway: 'egress gateways are not built; subnets masquerade at the node with spec.natOutgoing',
};
const natKinds = /^(Ovn|Iptables)/;

/** Labels that Kube-OVN's controller writes. */
const theirLabel = /^(ovn\.kubernetes\.io|kubeovn\.io|kube-ovn)\//;

/** Kube-OVN's manifests as ours, with what has no counterpart and why. Lists are taken apart. */
export function convert(manifests: readonly Manifest[]): Imported {
  const notes: Note[] = [];
  const flat = manifests.flatMap((manifest) => manifest.items ?? [manifest]);
  const written = importedKinds.flatMap((entry) =>
    flat
      .filter(({ apiVersion, kind }) => apiVersion?.startsWith(group) === true && kind === entry.kind.kind)
      .map((manifest) => {
        const object = nameOf(manifest);
        const say = (field: string, why: string): void => void notes.push({ object, field, why });
        const spec = entry.convert(manifest, say);
        const { name = '', labels } = manifest.metadata ?? {};
        if (spec === undefined) return undefined;
        const kept = Object.entries(labels ?? {}).filter(
          ([key, value]) => !theirLabel.test(key) && key !== spec['subnet'] && value !== '',
        );
        const candidate: Candidate = {
          apiVersion: 'ovenbird.io/v1',
          kind: entry.kind.kind,
          metadata: { name, ...(kept.length > 0 ? { labels: Object.fromEntries(kept) } : {}) },
          spec,
        };
        const fitting = fit(candidate, entry.kind, entry.essential, (note) => notes.push(note));
        if (fitting !== undefined) notes.push(...orderNotes(fitting));
        return fitting;
      })
      .filter((object) => object !== undefined),
  );
  for (const manifest of flat) {
    const { apiVersion = '', kind = '' } = manifest;
    if (!apiVersion.startsWith(group)) notes.push(...annotationNotes(manifest));
    else if (!importedKinds.some((entry) => entry.kind.kind === kind)) {
      const why = without[kind] ?? (natKinds.test(kind) ? 'NAT addresses and rules are not built' : 'no counterpart');
      notes.push({ object: nameOf(manifest), field: '', why: `not written: ${why}` });
    }
  }
  return { objects: written, notes };
}
