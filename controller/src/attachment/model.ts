import type { Wanted } from '../alloc/allocator.ts';
import type { Meta } from '../store/meta.ts';
import type { Address, Key } from '../store/model.ts';

/** A NetworkAttachmentDefinition whose interfaces or addresses are ours. */
export interface NetworkAttachment extends Meta {
  readonly namespace: string;
  /** `<nad>.<namespace>.ovn`, `<nad>.<namespace>` where only addresses are ours, or what its configuration says. */
  readonly provider: string;
  /** Subnet that its configuration names. */
  readonly subnet?: string;
}

/** One network that a pod asks for, in the annotation `k8s.v1.cni.cncf.io/networks`. */
export interface NetworkSelection {
  /** `namespace/name` of the NetworkAttachmentDefinition. */
  readonly definition: Key;
  /** Name of the interface. */
  readonly ifname: string;
  readonly ips: readonly string[];
  readonly mac?: string;
  /** Gateways of the default routes, when this interface shall have them. */
  readonly defaultRoute?: readonly string[];
}

/** A port beside pods' first ones, as it should be; the decision about it is an {@link AttachmentAddress}. */
export interface WantedAttachment {
  /** `<namespace>/<pod>/<interface>`, or the name of the IP object of a container outside of Kubernetes. */
  readonly key: Key;
  /** Of the pod, or of the IP object. */
  readonly uid: string;
  readonly node: string;
  readonly ifname: string;
  readonly pod?: Key;
  /** Namespace whose rights count; empty outside of Kubernetes. */
  readonly namespace: string;
  readonly provider: string;
  /** Subnet asked for by name. */
  readonly subnet?: string;
  readonly wanted: Wanted;
}

/** What alloc decided for an attachment, with what its port is made of. */
export interface AttachmentAddress extends Address {
  readonly node: string;
  readonly ifname: string;
  readonly pod?: Key;
  readonly provider: string;
  /** The northbound database has the port: it may be announced. */
  readonly committed: boolean;
}
