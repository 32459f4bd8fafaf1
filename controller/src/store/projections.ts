import type {
  IP as IpObject,
  IPPool as IpPoolObject,
  QoSPortRange,
  QoSRule,
  QoSPolicy as QosPolicyObject,
  SecurityGroup as SecurityGroupObject,
  Subnet as SubnetObject,
  Vip as VipObject,
  Vpc as VpcObject,
} from '@ovenbird/crds';
import {
  DEFAULT_LOG_RATE,
  ipObject,
  isIp,
  multus,
  OVENBIRD_PREFIX,
  OVN_PREFIX,
  parseBits,
  parseIp,
} from '@ovenbird/crds';
import {
  type ClusterPolicyObject,
  type Namespace as KubeNamespace,
  type NetworkPolicy as KubeNetworkPolicy,
  type Node as KubeNode,
  type Pod as KubePod,
  type StatefulSet as KubeStatefulSet,
  type ObjectMeta,
  runtimeUid,
} from '@ovenbird/kube';
import { virtualMachine } from '../alloc/kept.ts';
import { hostPortsOf } from '../pod/host-ports.ts';
import type { ClusterPolicy, ClusterPolicyKind } from '../policy/cluster-model.ts';
import { parseClusterPolicy } from '../policy/cluster-parse.ts';
import type { NetworkPolicy } from '../policy/model.ts';
import { namedPortsOf, parseNetworkPolicy } from '../policy/parse.ts';
import { parseSelector } from '../policy/selector.ts';
import type { QosPolicy, QosRule } from '../qos/model.ts';
import type { SecurityGroup } from '../security-group/model.ts';
import { parseSecurityGroup } from '../security-group/parse.ts';
import type { IpPool, IpRecord, Meta, Namespace, Node, Pod, StatefulSet, Subnet, Vip, Vpc } from './model.ts';
import { podKey } from './model.ts';

/** Annotation prefixes that the controller reads; others come and go without waking it. */
const annotationPrefixes = [OVN_PREFIX, OVENBIRD_PREFIX];
/** What a pod with further networks asks for and was told about them: `<provider>.kubernetes.io/...`. */
const providerAnnotation = /\.kubernetes\.io\//;

function ours(annotations: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(annotations ?? {})) {
    if (annotationPrefixes.some((prefix) => key.startsWith(prefix))) kept[key] = value;
  }
  return kept;
}

const canonicalIp = (text: string): string | undefined => (isIp(text) ? parseIp(text) : undefined);

function ofPod(annotations: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const networks = annotations?.[multus.networks];
  if (annotations === undefined || networks === undefined) return ours(annotations);
  const kept = Object.entries(annotations).filter(([key]) => providerAnnotation.test(key));
  return { ...ours(annotations), ...Object.fromEntries(kept), [multus.networks]: networks };
}

function metaOf(metadata: ObjectMeta): Meta {
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    created: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
  };
}

export function projectPod(pod: KubePod): Pod {
  const { metadata, spec, status } = pod;
  const keeper = keeperOf(metadata.ownerReferences);
  const hostPorts = hostPortsOf(pod);
  const meta = metaOf(metadata);
  const uid = runtimeUid(metadata) ?? '';
  return {
    ...meta,
    uid,
    ...(uid === meta.uid ? {} : { objectUid: meta.uid }),
    namespace: metadata.namespace ?? '',
    node: spec.nodeName ?? '',
    hostNetwork: spec.hostNetwork ?? false,
    finished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    annotations: ofPod(metadata.annotations),
    labels: metadata.labels ?? {},
    namedPorts: namedPortsOf(pod),
    ...(hostPorts === undefined ? {} : { hostPorts }),
    ...(keeper === undefined ? {} : { keepFor: `${keeper.kind}/${podKey(metadata.namespace ?? '', keeper.name)}` }),
  };
}

/**
 * What keeps a pod's address when the pod is gone. The instance that KubeVirt makes for each run of a VirtualMachine has its
 * name. Others have kinds of these names as well, which are not watched.
 */
function keeperOf(owners: ObjectMeta['ownerReferences']): { readonly kind: string; readonly name: string } | undefined {
  const controller = owners?.find((owner) => owner.controller === true);
  if (controller?.kind === 'StatefulSet' && controller.apiVersion.startsWith('apps/')) return controller;
  if (controller?.kind === 'VirtualMachineInstance' && controller.apiVersion.startsWith('kubevirt.io/'))
    return { kind: virtualMachine, name: controller.name };
  return undefined;
}

export function projectNamespace(namespace: KubeNamespace): Namespace {
  return {
    ...metaOf(namespace.metadata),
    annotations: ours(namespace.metadata.annotations),
    labels: namespace.metadata.labels ?? {},
  };
}

export function projectNode(node: KubeNode): Node {
  const of = (type: string): readonly string[] =>
    (node.status?.addresses ?? [])
      .filter((address) => address.type === type)
      .map((address) => canonicalIp(address.address))
      .filter((address) => address !== undefined);
  return {
    ...metaOf(node.metadata),
    addresses: of('InternalIP'),
    externalAddresses: of('ExternalIP'),
    labels: node.metadata.labels ?? {},
    annotations: ours(node.metadata.annotations),
  };
}

export function projectStatefulSet(set: KubeStatefulSet): StatefulSet {
  return {
    ...metaOf(set.metadata),
    namespace: set.metadata.namespace ?? '',
    firstOrdinal: set.spec.ordinals?.start ?? 0,
    template: ours(set.spec.template?.metadata?.annotations),
  };
}

export function projectNetworkPolicy(policy: KubeNetworkPolicy): NetworkPolicy {
  return parseNetworkPolicy(policy, metaOf(policy.metadata));
}

/** @param kind which of the three kinds the policy is */
export function projectClusterPolicy(kind: ClusterPolicyKind, policy: ClusterPolicyObject): ClusterPolicy {
  return parseClusterPolicy(kind, policy, metaOf(policy.metadata));
}

export function projectVpc(vpc: VpcObject): Vpc {
  return {
    ...metaOf(vpc.metadata),
    namespaces: vpc.spec?.namespaces ?? [],
    finalizers: vpc.metadata.finalizers ?? [],
    generation: vpc.metadata.generation ?? 0,
  };
}

/**
 * What the cluster cannot be without stays in force when somebody deletes it: a deletion cannot be taken back, so it waits
 * for ever behind our finalizer instead.
 */
export function lasting<T extends Meta & { readonly deletionIgnored?: true }>(object: T, names: readonly string[]): T {
  return object.deleting && names.includes(object.name)
    ? { ...object, deleting: false, deletionIgnored: true }
    : object;
}

export function projectSubnet(subnet: SubnetObject, defaultVpc: string): Subnet {
  const { spec } = subnet;
  return {
    ...metaOf(subnet.metadata),
    vpc: spec.vpc ?? defaultVpc,
    cidrBlock: spec.cidrBlock,
    gateway: spec.gateway ?? '',
    excludeIps: spec.excludeIps ?? [],
    namespaces: spec.namespaces ?? [],
    namespaceSelectors: (spec.namespaceSelectors ?? []).map(parseSelector),
    isDefault: spec.default ?? false,
    private: spec.private ?? false,
    allowSubnets: spec.allowSubnets ?? [],
    acls: spec.acls ?? [],
    aclLogRate: spec.aclLogRate ?? DEFAULT_LOG_RATE,
    allowEastWest: spec.allowEWTraffic ?? false,
    natOutgoing: spec.natOutgoing ?? false,
    ...(spec.provider === undefined || spec.provider === 'ovn' ? {} : { provider: spec.provider }),
    ...(spec.mtu === undefined || spec.mtu === 0 ? {} : { mtu: spec.mtu }),
    ...(spec.enableDHCP === true ? { dhcp: { v4: spec.dhcpV4Options ?? '', v6: spec.dhcpV6Options ?? '' } } : {}),
    ...(spec.enableIPv6RA === true ? { ra: spec.ipv6RAConfigs ?? '' } : {}),
    multicastSnoop: spec.enableMulticastSnoop ?? false,
    finalizers: subnet.metadata.finalizers ?? [],
    generation: subnet.metadata.generation ?? 0,
  };
}

export function projectSecurityGroup(group: SecurityGroupObject, defaultVpc: string): SecurityGroup {
  return parseSecurityGroup(group, metaOf(group.metadata), defaultVpc);
}

export function projectIpPool({ metadata, spec }: IpPoolObject): IpPool {
  return {
    ...metaOf(metadata),
    subnet: spec.subnet,
    ips: spec.ips,
    namespaces: spec.namespaces ?? [],
    addressSet: spec.enableAddressSet ?? false,
    generation: metadata.generation ?? 0,
  };
}

export function projectQosPolicy({ metadata, spec }: QosPolicyObject): QosPolicy {
  return {
    ...metaOf(metadata),
    priority: spec.priority ?? 100,
    shared: spec.shared ?? false,
    targets: (spec.appliesTo ?? []).map(({ namespaces, namespaceSelector, podSelector, subnets }) => ({
      pods: parseSelector(podSelector ?? {}),
      ...(namespaces === undefined ? {} : { namespaces }),
      ...(namespaceSelector === undefined ? {} : { namespaceSelector: parseSelector(namespaceSelector) }),
      ...(subnets === undefined ? {} : { subnets }),
    })),
    allowedNamespaces: spec.allowedNamespaces ?? [],
    ingress: (spec.ingress ?? []).map(qosRule),
    egress: (spec.egress ?? []).map(qosRule),
  };
}

function qosRule({ rate, burst, dscp, cidrs = [], protocol, localPorts = [], remotePorts = [] }: QoSRule): QosRule {
  const ranges = (ports: readonly QoSPortRange[]): QosRule['localPorts'] =>
    ports.map(({ port, endPort = port }) => ({ first: port, last: endPort }));
  return {
    cidrs,
    localPorts: ranges(localPorts),
    remotePorts: ranges(remotePorts),
    ...(protocol === undefined ? {} : { protocol }),
    ...(rate === undefined ? {} : { rateKbit: parseBits(rate) }),
    ...(burst === undefined ? {} : { burstKbit: parseBits(burst) }),
    ...(dscp === undefined ? {} : { dscp }),
  };
}

export function projectVip({ metadata, spec, status }: VipObject): Vip {
  const given = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
  const [v4, v6, mac] = [given(spec.v4ip), given(spec.v6ip), given(spec.macAddress)];
  const [hadV4, hadV6] = [given(status?.v4ip), given(status?.v6ip)];
  return {
    ...metaOf(metadata),
    subnet: spec.subnet,
    namespace: spec.namespace,
    ...(v4 === undefined ? {} : { v4 }),
    ...(v6 === undefined ? {} : { v6 }),
    ...(mac === undefined ? {} : { mac }),
    selector: (spec.selector ?? []).map((entry) => {
      const colon = entry.indexOf(':');
      return [entry.slice(0, colon).trim(), entry.slice(colon + 1).trim()] as const;
    }),
    had: { ...(hadV4 === undefined ? {} : { v4: hadV4 }), ...(hadV6 === undefined ? {} : { v6: hadV6 }) },
  };
}

/** The same few words for every object, and not as many copies of them. */
const knownReasons = new Map(['InUse', 'Reserved'].map((reason) => [reason, reason]));

function readyOf({ status }: IpObject): IpRecord['ready'] {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True') return undefined;
  const { reason, lastTransitionTime: since, observedGeneration: observed } = ready;
  return { reason: knownReasons.get(reason) ?? reason, since, ...(observed === undefined ? {} : { observed }) };
}

export function projectIp(record: IpObject): IpRecord {
  const { metadata, spec } = record;
  const managed = metadata.labels?.[ipObject.managed] === 'true';
  const text = (value: string | undefined): string | undefined =>
    value === undefined || value === '' ? undefined : value;
  const v4 = text(spec.v4IpAddress) ?? familyOf(spec.ipAddress, false);
  const v6 = text(spec.v6IpAddress) ?? familyOf(spec.ipAddress, true);
  const optional = {
    v4: v4 === undefined ? undefined : canonicalIp(v4),
    v6: v6 === undefined ? undefined : canonicalIp(v6),
    mac: text(spec.macAddress)?.toLowerCase(),
    podName: text(spec.podName),
    namespace: text(spec.namespace),
    nodeName: text(spec.nodeName),
    ownerUid: text(spec.ownerUID),
    keepFor: text(metadata.annotations?.[ipObject.keepFor]),
    vip: text(metadata.labels?.[ipObject.vip]),
    ofMachine: spec.podType === virtualMachine ? true : undefined,
    attachment: spec.attachment,
    annotations: spec.attachment === undefined ? undefined : ours(metadata.annotations),
    ready: managed ? readyOf(record) : undefined,
    generation: managed || spec.attachment !== undefined ? metadata.generation : undefined,
  };
  return {
    ...metaOf(metadata),
    subnet: spec.subnet,
    managed,
    reserved: metadata.labels?.[ipObject.reserved] === 'true',
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as Partial<IpRecord>),
  };
}

function familyOf(csv: string | undefined, v6: boolean): string | undefined {
  return csv?.split(',').find((part) => part !== '' && part.includes(':') === v6);
}
