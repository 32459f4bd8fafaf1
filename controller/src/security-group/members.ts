import { request } from '@ovenbird/crds';
import type { PodSet } from '../policy/model.ts';
import { type Selector, selects } from '../policy/selector.ts';
import type { Namespace, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { GroupBinding, SecurityGroup } from './model.ts';

/** Names that the annotation `security_groups` lists. */
export const namedGroups = (pod: Pick<Pod, 'annotations' | 'hostNetwork'>): readonly string[] =>
  pod.hostNetwork
    ? []
    : (pod.annotations[request.securityGroups] ?? '')
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '');

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

/** Why a group that a pod names is not for it; undefined when it is. @param vpc VPC of the pod, where it is known */
export function groupProblem(pod: Pod, name: string, vpc: string | undefined, reader: Reader): string | undefined {
  const group = reader.get('GroupBinding', name);
  const why =
    group === undefined ? 'does not exist; correct the name or create it' : whyNotFor(group, pod, vpc, reader);
  return why === undefined
    ? undefined
    : `SecurityGroup "${name}", named by ${request.securityGroups}, ${why}. Until then the pod is closed but for what other groups allow`;
}

function whyNotFor(group: GroupBinding, pod: Pod, vpc: string | undefined, reader: Reader): string | undefined {
  const labels = reader.get('Namespace', pod.namespace)?.labels ?? {};
  if (!isFor(group, pod.namespace, labels))
    return `is not for namespace "${pod.namespace}": add it to the group's spec.namespaces, or name another group`;
  if (vpc !== undefined && vpc !== group.vpc)
    return `is for pods of vpc "${group.vpc}", and this one is in "${vpc}": name a group of that vpc`;
  return undefined;
}

/** The groups that a pod is in because it names them. @param vpc VPC of the pod */
export function groupsNamedBy(pod: Pod, vpc: string, reader: Reader): readonly GroupBinding[] {
  return [...new Set(namedGroups(pod))]
    .filter((name) => groupProblem(pod, name, vpc, reader) === undefined)
    .map((name) => reader.get('GroupBinding', name))
    .filter((binding) => binding !== undefined);
}

/** Pods with a port that name a group which is for them, sorted. */
export function podsNaming(group: SecurityGroup, reader: Reader): readonly Pod[] {
  return reader
    .index('Pod', 'securityGroup', group.name)
    .filter((pod) => {
      const address = reader.get('PodAddress', `${pod.namespace}/${pod.name}`);
      if (address?.uid !== pod.uid) return false;
      const vpc = reader.get('UsableSubnet', address.subnet)?.vpc;
      return vpc !== undefined && whyNotFor(group, pod, vpc, reader) === undefined;
    })
    .toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

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
        id: `group/${group.name}/${index}/${way}`,
        holds: 'group',
        group: portGroup,
        namespaces: [...selector.namespaces, ...scope],
        pods: selector.pods,
        ...(vpc === undefined ? {} : { vpc }),
      }),
    ),
  );
}
