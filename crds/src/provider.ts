/** Suffix of the providers whose interfaces are ports of OVN. */
const OVN_SUFFIX = '.ovn';

/**
 * Whether a provider only gives addresses to interfaces that another plugin makes (`<nad>.<namespace>`), so that nothing of
 * its subnets is in OVN. Pods' first interfaces have the provider `ovn`, or none.
 */
export const isIpamOnly = (provider: string | undefined): boolean =>
  provider !== undefined && provider !== 'ovn' && !provider.endsWith(OVN_SUFFIX);

/** Provider of a NetworkAttachmentDefinition that names none. */
export const providerOf = (namespace: string, name: string, ipamOnly: boolean): string =>
  `${name}.${namespace}${ipamOnly ? '' : OVN_SUFFIX}`;
