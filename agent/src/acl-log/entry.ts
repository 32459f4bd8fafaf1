/** One end of a logged packet. */
export interface AclLogEnd {
  readonly address?: string;
  readonly port?: number;
  readonly mac: string;
  /** `namespace/name` of the pod, where it is known. */
  readonly pod?: string;
  /** Name of the Node, where the address is one's. */
  readonly node?: string;
}

/** A packet that met a logged rule. */
export interface AclLogEntry {
  /** RFC 3339, of ovn-controller. */
  readonly time: string;
  /** Node on which the rule met it. */
  readonly node: string;
  readonly verdict: string;
  readonly severity: string;
  /** From the pod's point of view. */
  readonly direction: 'ingress' | 'egress';
  /** `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, or what Open vSwitch calls it. */
  readonly protocol: string;
  readonly source: AclLogEnd;
  readonly destination: AclLogEnd;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  /** The object of the rule; absent for ACLs that are not Ovenbird's. */
  readonly object?: { readonly kind: string; readonly namespace?: string; readonly name: string };
  /** Which of the object's rules, as `ovenbird acls` shows it; of others' ACLs the name. */
  readonly rule: string;
}

/** Kinds by what names of ACLs begin with (docs/names.md). */
const kinds: Readonly<Record<string, { readonly kind: string; readonly namespaced: boolean }>> = {
  sg: { kind: 'SecurityGroup', namespaced: false },
  subnet: { kind: 'Subnet', namespaced: false },
  netpol: { kind: 'NetworkPolicy', namespaced: true },
};

/**
 * An entry of ovn-controller's log (ovn-controller(8), "acl_log"): the ACL's name, and the packet's fields as Open vSwitch
 * writes flows.
 * @param node name of the node whose log it is
 * @returns undefined for every other line
 */
export function parseAclLog(line: string, node: string): AclLogEntry | undefined {
  const found =
    /^([^|]+)\|\d+\|acl_log(?:\([^)]*\))?\|\w+\|name="([^"]*)", verdict=(\w+), severity=(\w+), direction=(from|to)-lport: (\S+)$/.exec(
      line,
    );
  if (found === null) return undefined;
  const [, time = '', name = '', verdict = '', severity = '', side, flow = ''] = found;
  const [protocol = '', ...pairs] = flow.split(',');
  const fields = new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  const number = (key: string): number | undefined => (fields.has(key) ? Number(fields.get(key)) : undefined);
  const end = (which: 'src' | 'dst'): AclLogEnd => {
    const address = fields.get(`nw_${which}`) ?? fields.get(`ipv6_${which}`);
    const port = number(`tp_${which}`);
    return {
      ...(address === undefined ? {} : { address }),
      ...(port === undefined ? {} : { port }),
      mac: fields.get(`dl_${which}`) ?? '',
    };
  };
  const [icmpType, icmpCode] = [number('icmp_type'), number('icmp_code')];
  return {
    time,
    node,
    verdict,
    severity,
    direction: side === 'to' ? 'ingress' : 'egress',
    protocol: protocol.replace(/^(tcp|udp|sctp)6$/, '$1'),
    source: end('src'),
    destination: end('dst'),
    ...(icmpType === undefined ? {} : { icmpType }),
    ...(icmpCode === undefined ? {} : { icmpCode }),
    ...objectOf(name),
  };
}

function objectOf(text: string): Pick<AclLogEntry, 'object' | 'rule'> {
  const [short = '', ...parts] = text.split('/');
  const known = kinds[short];
  if (known === undefined || parts.length < (known.namespaced ? 3 : 2)) return { rule: text };
  const { kind, namespaced } = known;
  const [first = '', second = ''] = parts;
  return namespaced
    ? { object: { kind, namespace: first, name: second }, rule: parts.slice(2).join('/') }
    : { object: { kind, name: first }, rule: parts.slice(1).join('/') };
}
