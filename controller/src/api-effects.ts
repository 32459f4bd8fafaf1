import type { ClusterPolicy, ClusterPolicyKind } from './policy/cluster-model.ts';
import type { NetworkPolicy } from './policy/model.ts';
import type { IpRecord, Key, Node, Pod, Vip } from './store/model.ts';

/** Kinds whose objects stay until nothing of them is in use. */
export type Finalized = 'Subnet' | 'Vpc' | 'SecurityGroup';

/** Everything that follows from decisions and goes to the Kubernetes API; none of it is waited for. */
export interface ApiEffects {
  announcePod(key: Key): void;
  announceNode(name: Key): void;
  /** The IP object of a container outside of Kubernetes has to say what it got. */
  announceContainer(name: Key): void;
  /** The same, why it gets nothing. */
  refuseContainer(name: Key, reason: string, message: string): void;
  /** The IP object of an owner has to be brought up to date. */
  writeRecord(owner: string): void;
  /** The same without waiting for announcements: one waits for it. */
  writeRecordNow(owner: string): void;
  recordChanged(name: Key): void;
  event(
    object: {
      kind: 'Pod' | 'Node' | 'IP' | 'Vip' | 'NetworkPolicy' | ClusterPolicyKind;
      object: Pod | Node | Vip | IpRecord | NetworkPolicy | ClusterPolicy;
    },
    reason: string,
    message: string,
  ): void;
  writeStatus(
    kind: 'Subnet' | 'Vpc' | 'IPPool' | ClusterPolicyKind | 'Vip' | 'QoSPolicy' | 'SecurityGroup',
    name: string,
  ): void;
  writeFinalizer(kind: Finalized, name: string): void;
}
