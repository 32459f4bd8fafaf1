import { allBuckets, isMember } from '../policy/pod-set.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';

/**
 * A pod's address → its memberships in the address sets of peers. Apart from the pod's port and of lower rank, so that of
 * many changes at once (a new policy) peers are known before pods are isolated.
 */
export function podPeersUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'PodAddress',
    rank: 3,
    lane: 'pod',
    of: 'Pod',
    compile(key, reader) {
      const address = reader.get('PodAddress', key);
      const pod = reader.get('Pod', key);
      if (address === undefined || pod === undefined || pod.uid !== address.uid) return [];
      const namespace = reader.get('Namespace', pod.namespace);
      const subnet = reader.get('UsableSubnet', address.subnet);
      if (namespace === undefined || subnet === undefined) return [];
      const rows = context.builder('PodAddress', key);
      const vpc = context.customVpc(subnet.vpc);
      for (const bucket of allBuckets(pod, namespace)) {
        for (const set of reader.index('PodSet', 'addresses', bucket)) {
          if (!isMember(set, pod, namespace, vpc)) continue;
          if (address.v4 !== undefined) rows.member(context.peerSet(set.id, 4), 'addresses', address.v4);
          if (address.v6 !== undefined) rows.member(context.peerSet(set.id, 6), 'addresses', address.v6);
        }
      }
      return rows.outputs;
    },
  };
}
