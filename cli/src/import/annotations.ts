import { announcement, request } from '@ovenbird/crds';
import type { Manifest, Note } from './report.ts';
import { nameOf } from './report.ts';

/** Keys that mean the same here, and those that both controllers write. */
const carried: ReadonlySet<string> = new Set(
  [...Object.values(request), ...Object.values(announcement)].map((key) => key.slice(key.indexOf('/') + 1)),
);

/** Keys that Kube-OVN's controller writes about what it decided. */
const results: ReadonlySet<string> = new Set([
  'exclude_ips',
  'vlan_id',
  'provider_network',
  'virtualmachine',
  'chassis',
]);

const reasons: Readonly<Record<string, string>> = {
  bgp: 'nothing is announced by BGP',
  default_route: 'not built yet; the first interface has the default routes',
  eip: 'there are no EIPs; the subnet masquerades with spec.natOutgoing',
  mirror: 'traffic is not mirrored yet',
  north_gateway: 'not built yet; pods leave by their node',
  snat: 'there are no SNAT addresses; the subnet masquerades with spec.natOutgoing',
};

/** A pod's template in a workload, wherever its kind has it. */
interface WithTemplate {
  readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | null } };
  readonly jobTemplate?: { readonly spec?: WithTemplate };
}

/**
 * What annotations of Kube-OVN an object has that mean nothing here. They carry over unchanged, so objects of Kubernetes need no
 * writing; `<provider>.kubernetes.io/...` are those of further interfaces.
 */
export function annotationNotes(object: Manifest): readonly Note[] {
  const spec = (object.spec ?? {}) as WithTemplate;
  const template = spec.template ?? spec.jobTemplate?.spec?.template;
  const all = { ...template?.metadata?.annotations, ...object.metadata?.annotations };
  return Object.keys(all).flatMap((key) => {
    const [provider = '', name] = key.split('.kubernetes.io/');
    const theirs = provider === 'ovn' || provider.endsWith('.ovn');
    if (!theirs || name === undefined || carried.has(name) || results.has(name)) return [];
    return [{ object: nameOf(object), field: key, why: reasons[name] ?? 'this annotation is not built' }];
  });
}
