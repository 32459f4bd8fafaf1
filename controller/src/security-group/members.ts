import { askedOf, type FurtherInterface, isIpamOnly, request } from '@ovenbird/crds';
import { askedAnywhere, listOf } from '../pod/interface.ts';
import type { PodSet } from '../policy/model.ts';
import { allBuckets, isMember, ownBuckets } from '../policy/pod-set.ts';
import { type Selector, selects } from '../policy/selector.ts';
import type { Namespace, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { GroupBinding, SecurityGroup } from './model.ts';

/** Names that a pod's annotations list for any of its interfaces. */
export const namedGroups = (pod: Pick<Pod, 'annotations' | 'hostNetwork'>): readonly string[] =>
  pod.hostNetwork ? [] : [...new Set(askedAnywhere(pod, request.securityGroups).flatMap(listOf))];

/** Names that the annotation `security_groups` of an interface lists; of the first one when `further` is absent. */
const groupsAsked = (
  pod: Pod,
  further?: FurtherInterface,
): { readonly key: string; readonly names: readonly string[] } => {
  const { key, text } = askedOf(pod, request.securityGroups, further);
  return { key, names: pod.hostNetwork ? [] : [...new Set(listOf(text))] };
};

/** Label that the API server puts on every namespace (Kubernetes docs, "Automatic labelling"). */
const namespaceName = 'kubernetes.io/metadata.name';

/** Whether pods of a namespace may be in a group. */
function isFor(
  { namespaces, namespaceSelectors }: GroupBinding,
  namespace: string,
  labels: Namespace['labels'],
): boolean {
  if (namespaces.length === 0 && namespaceSelectors.length === 0) return true;
  return namespaces.includes(namespace) || namespaceSelectors.some((selector) => selects(selector, labels));
}

/** Why groups that an interface of a pod names are not for it. @param vpc VPC of the interface, where it is known */
export function groupProblems(
  pod: Pod,
  vpc: string | undefined,
  reader: Reader,
  further?: FurtherInterface,
): readonly string[] {
  const { key, names } = groupsAsked(pod, further);
  return names.flatMap((name) => {
    const why = groupProblem(pod, name, vpc, reader);
    const who = further === undefined ? 'the pod' : `interface ${further.ifname}`;
    return why === undefined
      ? []
      : [
          `SecurityGroup "${name}", named by ${key}, ${why}. Until then ${who} is closed but for what other groups allow`,
        ];
  });
}

function groupProblem(pod: Pod, name: string, vpc: string | undefined, reader: Reader): string | undefined {
  const group = reader.get('GroupBinding', name);
  return group === undefined ? 'does not exist; correct the name or create it' : whyNotFor(group, pod, vpc, reader);
}

function whyNotFor(group: GroupBinding, pod: Pod, vpc: string | undefined, reader: Reader): string | undefined {
  const labels = reader.get('Namespace', pod.namespace)?.labels ?? {};
  if (!isFor(group, pod.namespace, labels))
    return `is not for namespace "${pod.namespace}": add it to the group's spec.namespaces, or name another group`;
  if (vpc !== undefined && vpc !== group.vpc)
    return `is for pods of vpc "${group.vpc}", and this one is in "${vpc}": name a group of that vpc`;
  return undefined;
}

/** An interface of a pod, as far as its groups depend on it. */
export interface GroupedInterface {
  readonly pod: Pod;
  readonly namespace: Namespace | undefined;
  /** VPC of its subnet, and the same where that is not the default one. */
  readonly vpc: string;
  readonly customVpc: string | undefined;
  /** Absent for the pod's first interface. */
  readonly further?: FurtherInterface;
}

/**
 * Names of the groups that an interface of a pod is in: those that select the pod, and those that are named for it.
 * @returns `inVain`: it names others too, which it may not have
 */
export function groupsOf(
  { pod, namespace, vpc, customVpc, further }: GroupedInterface,
  reader: Reader,
): { readonly groups: ReadonlySet<string>; readonly inVain: boolean } {
  const groups = new Set<string>();
  for (const bucket of namespace === undefined ? ownBuckets(pod) : allBuckets(pod, namespace))
    for (const set of reader.index('PodSet', 'ports', bucket))
      if (set.holds === 'group' && isMember(set, pod, namespace, customVpc)) groups.add(groupOfSet(set));
  let inVain = false;
  for (const name of groupsAsked(pod, further).names) {
    if (groupProblem(pod, name, vpc, reader) === undefined) groups.add(name);
    else inVain = true;
  }
  return { groups, inVain };
}

/** Pods with a port that name a group which is for it, sorted. */
export function podsNaming(group: SecurityGroup, reader: Reader): readonly Pod[] {
  const isFor = (pod: Pod, subnet: string): boolean => {
    const vpc = reader.get('UsableSubnet', subnet)?.vpc;
    return vpc !== undefined && whyNotFor(group, pod, vpc, reader) === undefined;
  };
  return reader
    .index('Pod', 'securityGroup', group.name)
    .filter((pod) => {
      const key = `${pod.namespace}/${pod.name}`;
      const address = reader.get('PodAddress', key);
      if (address?.uid === pod.uid && groupsAsked(pod).names.includes(group.name) && isFor(pod, address.subnet))
        return true;
      return reader
        .index('AttachmentAddress', 'pod', key)
        .some(
          (further) =>
            further.uid === pod.uid &&
            !isIpamOnly(further.provider) &&
            groupsAsked(pod, further).names.includes(group.name) &&
            isFor(pod, further.subnet),
        );
    })
    .toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

const setId = (group: string, index: number, way: number): string => `group/${group}/${index}/${way}`;
/** The group whose pods a set has: names of groups hold no `/`. */
const groupOfSet = ({ id }: PodSet): string => id.split('/')[1] ?? '';

/**
 * The pods that a group selects, as sets whose members the pods emit: one for each selector and way to be for a namespace.
 * @param vpc undefined in the default VPC
 * @param portGroup the row that takes their ports
 */
export function podSetsOf(
  group: SecurityGroup,
  vpc: string | undefined,
  portGroup: { readonly name: string; readonly owner: string },
): readonly PodSet[] {
  const { namespaces, namespaceSelectors } = group;
  const scopes: readonly Selector[] =
    namespaces.length === 0 && namespaceSelectors.length === 0
      ? [[]]
      : [
          ...(namespaces.length === 0
            ? []
            : [[{ key: namespaceName, operator: 'In' as const, values: namespaces.toSorted() }]]),
          ...namespaceSelectors,
        ];
  return group.selectors.flatMap((selector, index) =>
    scopes.map(
      (scope, way): PodSet => ({
        id: setId(group.name, index, way),
        holds: 'group',
        group: portGroup,
        namespaces: [...selector.namespaces, ...scope],
        pods: selector.pods,
        ...(vpc === undefined ? {} : { vpc }),
      }),
    ),
  );
}
