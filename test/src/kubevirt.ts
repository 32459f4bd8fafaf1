import type { Manifest } from './lab.ts';

/** The two kinds of KubeVirt that addresses depend on, by their public names and without their schemas. */
export const kubevirtDefinitions: readonly Manifest[] = [
  ['VirtualMachine', 'virtualmachines', 'vm'],
  ['VirtualMachineInstance', 'virtualmachineinstances', 'vmi'],
].map(([kind = '', plural = '', shortName = '']) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.kubevirt.io` },
  spec: {
    group: 'kubevirt.io',
    scope: 'Namespaced',
    names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: [shortName] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}));
