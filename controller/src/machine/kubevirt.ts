import { OVENBIRD_PREFIX, OVN_PREFIX } from '@ovenbird/crds';
import { type KubeObject, type ResourceKind, resourceKind } from '@ovenbird/kube';
import type { VirtualMachine, VirtualMachineInstance } from '../store/model.ts';

/** `kubevirt.io/v1` VirtualMachine, as far as it is read: KubeVirt gives the template's annotations to its pods. */
export interface VirtualMachineObject extends KubeObject {
  readonly spec?: {
    readonly template?: {
      readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
    };
  };
}

const kubevirt = { group: 'kubevirt.io', version: 'v1', namespaced: true } as const;

export const VIRTUALMACHINES: ResourceKind<VirtualMachineObject> = resourceKind<VirtualMachineObject>({
  ...kubevirt,
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
});

export const VIRTUALMACHINEINSTANCES: ResourceKind = resourceKind<KubeObject>({
  ...kubevirt,
  kind: 'VirtualMachineInstance',
  plural: 'virtualmachineinstances',
});

/** What is kept of a VirtualMachine. */
export function projectVirtualMachine(object: VirtualMachineObject): VirtualMachine {
  const annotations = Object.entries(object.spec?.template?.metadata?.annotations ?? {});
  return {
    ...projectVirtualMachineInstance(object),
    template: Object.fromEntries(
      annotations.filter(([key]) => key.startsWith(OVN_PREFIX) || key.startsWith(OVENBIRD_PREFIX)),
    ),
  };
}

/** What is kept of a VirtualMachineInstance. */
export function projectVirtualMachineInstance({ metadata }: KubeObject): VirtualMachineInstance {
  const { name, namespace = '', uid = '', creationTimestamp: created = '', deletionTimestamp } = metadata;
  return { name, namespace, uid, created, deleting: deletionTimestamp !== undefined };
}
