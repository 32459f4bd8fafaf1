import { isDeepStrictEqual } from 'node:util';
import { cidrContains, isCidr, parseCidr } from '@ovenbird/crds';
import type {
  NetworkPolicy as KubeNetworkPolicy,
  Pod as KubePod,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '@ovenbird/kube';
import type { Meta } from '../store/meta.ts';
import { policyLogOf } from './log.ts';
import type {
  BlockPeer,
  NamedContainerPort,
  NetworkPolicy,
  PolicyPort,
  PolicyProtocol,
  PolicyRule,
  SelectorPeer,
} from './model.ts';
import { parseSelector } from './selector.ts';

const protocols: Readonly<Record<string, PolicyProtocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

const none: readonly NamedContainerPort[] = [];

/** Container ports with a name, those of sidecars (init containers that always restart) included. */
export function namedPortsOf({ spec }: KubePod): readonly NamedContainerPort[] {
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always');
  const ports: NamedContainerPort[] = [];
  for (const { name, protocol = 'TCP', containerPort } of [...(spec.containers ?? []), ...sidecars].flatMap(
    (container) => container.ports ?? [],
  )) {
    const known = protocols[protocol];
    if (name !== undefined && name !== '' && known !== undefined)
      ports.push({ name, protocol: known, number: containerPort });
  }
  return ports.length === 0 ? none : ports;
}

type KubeRule = {
  readonly peers: readonly NetworkPolicyPeer[] | null | undefined;
  readonly ports: readonly NetworkPolicyPort[] | null | undefined;
};

/**
 * What the controller keeps of a NetworkPolicy, with the API's defaults filled in. What cannot be read becomes a peer or
 * port that matches nothing: a policy may then let through less than it says, never more.
 */
export function parseNetworkPolicy({ spec, metadata }: KubeNetworkPolicy, meta: Meta): NetworkPolicy {
  const problems: string[] = [];
  const types =
    (spec.policyTypes ?? []).length > 0
      ? (spec.policyTypes ?? [])
      : (spec.egress ?? []).length > 0
        ? ['Ingress', 'Egress']
        : ['Ingress'];
  const rules = (field: string, list: readonly KubeRule[]): readonly PolicyRule[] =>
    list.map(({ peers, ports }, index) => {
      const where = `spec.${field}[${index}]`;
      return {
        ...((peers ?? []).length === 0 ? {} : { peers: peersOf(peers ?? [], where, problems) }),
        ...((ports ?? []).length === 0 ? {} : { ports: portsOf(ports ?? [], where, problems) }),
      };
    });
  const ingress = (spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
  const egress = (spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  const log = policyLogOf(metadata.annotations ?? {}, problems);
  return {
    ...meta,
    namespace: metadata.namespace ?? '',
    pods: parseSelector(spec.podSelector),
    ...(types.includes('Ingress') ? { ingress: rules('ingress', ingress) } : {}),
    ...(types.includes('Egress') ? { egress: rules('egress', egress) } : {}),
    ...(log === undefined ? {} : { log }),
    problems,
  };
}

function peersOf(
  peers: readonly NetworkPolicyPeer[],
  where: string,
  problems: string[],
): readonly (SelectorPeer | BlockPeer)[] {
  const parsed: (SelectorPeer | BlockPeer)[] = [];
  for (const { ipBlock, namespaceSelector, podSelector } of peers) {
    if (ipBlock === undefined) {
      parsed.push({
        ...(namespaceSelector === undefined ? {} : { namespaces: parseSelector(namespaceSelector) }),
        pods: parseSelector(podSelector ?? {}),
      });
      continue;
    }
    const except = ipBlock.except ?? [];
    const bad = [ipBlock.cidr, ...except].find((text) => !isCidr(text));
    const outside = bad === undefined ? except.find((text) => !cidrContains(ipBlock.cidr, text)) : undefined;
    if (bad !== undefined)
      problems.push(`${where}: "${bad.slice(0, 60)}" is not a CIDR such as 10.0.0.0/8 or fd00::/64`);
    else if (outside !== undefined) problems.push(`${where}: except "${outside}" is not in ${ipBlock.cidr}`);
    else parsed.push({ cidr: parseCidr(ipBlock.cidr), except: except.map((text) => parseCidr(text)) });
  }
  return parsed;
}

function portsOf(ports: readonly NetworkPolicyPort[], where: string, problems: string[]): readonly PolicyPort[] {
  const parsed: PolicyPort[] = [];
  for (const { protocol = 'TCP', port, endPort } of ports) {
    const known = protocols[protocol];
    if (known === undefined) problems.push(`${where}: protocol "${protocol.slice(0, 20)}" is none of TCP, UDP, SCTP`);
    else if (port === undefined) parsed.push({ protocol: known });
    else if (endPort === undefined) parsed.push({ protocol: known, port });
    else if (typeof port === 'number' && port <= endPort) parsed.push({ protocol: known, port, endPort });
    else problems.push(`${where}: endPort ${endPort} needs a port number that is not greater, not "${port}"`);
  }
  // The API admits one port twice; a named one would be one row twice.
  return parsed.filter((port, index) => parsed.findIndex((other) => isDeepStrictEqual(other, port)) === index);
}
