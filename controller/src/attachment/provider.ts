import { OVN_SUFFIX } from '@ovenbird/crds';

export { isIpamOnly } from '@ovenbird/crds';

/** Provider of a NetworkAttachmentDefinition that names none. */
export const providerOf = (namespace: string, name: string, ipamOnly: boolean): string =>
  `${name}.${namespace}${ipamOnly ? '' : OVN_SUFFIX}`;
