import { IPPOOLS, IPS, ipObject, type Kind, QOSPOLICIES, SECURITYGROUPS, SUBNETS, VIPS, VPCS } from '@ovenbird/crds';
import { canonicalPair, canonicalRange } from './addresses.ts';
import { qosSpec } from './qos.ts';
import type { Manifest } from './report.ts';

type Spec = Readonly<Record<string, unknown>>;
/** Says what is not carried over. An empty field is the whole object. */
export type Say = (field: string, why: string) => void;

/** How one kind of Kube-OVN becomes ours. */
export interface KindImport {
  readonly kind: Pick<Kind<never>, 'kind' | 'plural' | 'problems'>;
  /** Fields without which the object would let through what it should not, or be another thing. */
  readonly essential: readonly string[];
  /** The spec in our form; undefined when the object has no counterpart, which was said. */
  convert(object: Manifest, say: Say): Spec | undefined;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '');
const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string').map((item) => item.trim()) : [];

/** Kube-OVN writes out what is absent: empty texts and lists, null and, where 0 means nothing, 0. */
function withoutEmpty(spec: Spec, ...zero: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(spec).filter(
      ([name, value]) =>
        value !== null &&
        value !== '' &&
        !(Array.isArray(value) && value.length === 0) &&
        !(value === 0 && zero.includes(name)),
    ),
  );
}

/** Replaces the text of a field, where there is one. */
function mapText(spec: Record<string, unknown>, names: readonly string[], map: (text: string) => string): void {
  for (const name of names) if (typeof spec[name] === 'string') spec[name] = map(spec[name]);
}

const vpc: KindImport = {
  kind: VPCS,
  essential: ['namespaces'],
  convert: ({ spec }) => withoutEmpty(spec ?? {}),
};

const subnet: KindImport = {
  kind: SUBNETS,
  essential: [
    'cidrBlock',
    'vpc',
    'protocol',
    'provider',
    'namespaces',
    'namespaceSelectors',
    'private',
    'allowSubnets',
    'acls',
  ],
  convert({ spec }, say) {
    const result = withoutEmpty(spec ?? {}, 'mtu', 'policyRoutingPriority', 'policyRoutingTableID');
    if (textOf(result['vlan']) !== '') {
      say('', 'not written: a subnet of an underlay network (spec.vlan) has no counterpart yet');
      return undefined;
    }
    mapText(result, ['cidrBlock', 'gateway'], canonicalPair);
    // Kube-OVN adds the gateway itself.
    const gateways = textOf(result['gateway']).split(',');
    const excluded = textsOf(result['excludeIps']).map(canonicalRange);
    if (excluded.length > 0) result['excludeIps'] = excluded.filter((entry) => !gateways.includes(entry));
    if (result['enableLb'] === true) delete result['enableLb'];
    return result;
  },
};

const pool: KindImport = {
  kind: IPPOOLS,
  essential: ['subnet', 'ips', 'namespaces'],
  convert({ spec }) {
    const result = withoutEmpty(spec ?? {});
    return { ...result, ips: textsOf(result['ips']).map(canonicalRange) };
  },
};

const vip: KindImport = {
  kind: VIPS,
  essential: ['subnet', 'namespace', 'type', 'selector'],
  convert({ spec, status }, say) {
    const result = withoutEmpty(spec ?? {});
    if (textOf(result['type']) !== '') {
      say('', `not written: a Vip of type ${textOf(result['type'])} has no counterpart yet`);
      return undefined;
    }
    // What it got, so that it gets it again.
    const got = (field: string, from: string): void => {
      const value = textOf(status?.[from]);
      if (textOf(result[field]) === '' && value !== '') result[field] = value;
    };
    got('v4ip', 'v4ip');
    got('v6ip', 'v6ip');
    got('macAddress', 'mac');
    mapText(result, ['v4ip', 'v6ip'], canonicalPair);
    mapText(result, ['macAddress'], (text) => text.toLowerCase());
    // The pods of a namespace may have it; of none nobody could.
    if (textOf(result['namespace']) === '')
      say('spec.namespace', 'needed: name the namespace whose pods may have the address');
    return result;
  },
};

const keepers: ReadonlySet<string> = new Set(['StatefulSet', 'VirtualMachine']);

const ip: KindImport = {
  kind: IPS,
  essential: ['subnet', 'v4IpAddress', 'v6IpAddress', 'ipAddress', 'podName', 'namespace'],
  convert({ metadata, spec }, say) {
    const { podType, podName } = spec ?? {};
    const reserved = metadata?.labels?.[ipObject.reserved] === 'true';
    if (!reserved && !keepers.has(textOf(podType))) {
      const who = textOf(podName).startsWith('node-') || textOf(podName) === '' ? 'a node or router' : 'a pod';
      say('', `not written: the record of ${who} that has the address now is made anew when it gets one`);
      return undefined;
    }
    const wanted = [
      'podName',
      'namespace',
      'subnet',
      'ipAddress',
      'v4IpAddress',
      'v6IpAddress',
      'macAddress',
      'podType',
    ];
    const kept = Object.entries(spec ?? {}).filter(([name]) => wanted.includes(name));
    const result = withoutEmpty(Object.fromEntries(kept));
    mapText(result, ['ipAddress', 'v4IpAddress', 'v6IpAddress'], canonicalPair);
    mapText(result, ['macAddress'], (text) => text.toLowerCase());
    for (const name of ['attachSubnets', 'attachIps', 'attachMacs'])
      if (textsOf(spec?.[name]).length > 0) say(`spec.${name}`, 'further interfaces have IP objects of their own');
    return result;
  },
};

const securityGroup: KindImport = {
  kind: SECURITYGROUPS,
  essential: ['ingressRules', 'egressRules', 'allowSameGroupTraffic', 'tier'],
  convert({ spec }) {
    const result = withoutEmpty(spec ?? {});
    for (const direction of ['ingressRules', 'egressRules']) {
      const rules = result[direction];
      if (!Array.isArray(rules)) continue;
      result[direction] = rules.map((rule: Spec) => {
        const slim = withoutEmpty(rule, 'portRangeMin', 'portRangeMax', 'sourcePortRangeMin', 'sourcePortRangeMax');
        mapText(slim, ['ipVersion', 'protocol', 'policy'], (text) => text.toLowerCase());
        mapText(slim, ['remoteAddress', 'localAddress'], canonicalPair);
        return slim;
      });
    }
    return result;
  },
};

const qosPolicy: KindImport = {
  kind: QOSPOLICIES,
  essential: ['ingress', 'egress', 'appliesTo', 'shared'],
  convert: ({ metadata, spec }, say) => qosSpec(metadata?.name ?? '', spec ?? {}, say),
};

/** The kinds that have a counterpart, in the order in which ours are applied. */
export const importedKinds: readonly KindImport[] = [vpc, subnet, pool, vip, securityGroup, qosPolicy, ip];
