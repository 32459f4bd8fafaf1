import { PODS, type Requester, Resource, runtimeUid } from '@ovenbird/kube';
import { splitOwner } from '../compile/names.ts';
import { recordName } from '../records/ip-object.ts';
import type { State } from '../store/state.ts';

export interface DeletionEvidence {
  readonly client: Requester;
  readonly state: State;
  /** Owners of the ports that would go: `Pod/<namespace>/<name>`. */
  readonly owners: readonly string[];
  readonly signal: AbortSignal;
}

/** GETs at a time. */
const parallel = 16;

/**
 * Tells deletions that happened while no controller ran from an API server that lost its data. The pods were deleted when
 * each of them, asked for by name, is not there, while the API server still has the IP objects that only we write and
 * remove: a server that was emptied or restored from a backup has neither.
 * @throws KubeError when the API server cannot be asked; then nothing is known.
 */
export async function arePodsReallyGone({ client, state, owners, signal }: DeletionEvidence): Promise<boolean> {
  const pods = new Resource(client, PODS);
  const queue = [...owners];
  let gone = true;
  const worker = async (): Promise<void> => {
    for (let owner = queue.pop(); owner !== undefined && gone; owner = queue.pop()) {
      const [kind, key] = splitOwner(owner);
      // A further interface of a pod goes with it: `<namespace>/<pod>/<interface>`.
      const [namespace = '', name, ifname] = key.split('/');
      const record = state.get('IpRecord', recordName(owner));
      const ofPod = kind === 'Pod' || (kind === 'Attachment' && ifname !== undefined);
      if (!ofPod || name === undefined || record?.managed !== true) {
        gone = false;
        return;
      }
      const pod = await pods.find({ namespace, name }, { signal });
      // The same name with another UID is another pod: the one that the port was made for is gone as well.
      if (pod !== undefined && runtimeUid(pod.metadata) === record.ownerUid) gone = false;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return gone;
}
