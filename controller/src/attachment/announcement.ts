import { announcement, isIpamOnly, multus, type PodInterface, providerKey } from '@ovenbird/crds';
import { AllocError } from '../alloc/error.ts';
import { attachmentPortName } from '../compile/attachment.ts';
import { familiesOf } from '../store/families.ts';
import type { Address, Pod } from '../store/model.ts';
import type { Reader } from '../store/state.ts';
import type { NetworkSelection } from './model.ts';
import { selectionsOf } from './wanted.ts';

type Annotations = Readonly<Record<string, string>>;

/** What a pod with further networks is told. */
export interface InterfacesAnnouncement {
  readonly wanted: Annotations;
  /** Written with the others, and left alone when somebody else (Multus) says something else. */
  readonly unguarded: Annotations;
}

const none: InterfacesAnnouncement = { wanted: {}, unguarded: {} };

/**
 * The annotations about a pod's further interfaces; nothing for a pod that asks for none. An interface is named from the
 * beginning, so that the agent knows who has the default routes; its address follows when its port is in the northbound
 * database.
 */
export function interfacesAnnouncement(reader: Reader, pod: Pod, primary: Address): InterfacesAnnouncement {
  let selections: readonly NetworkSelection[];
  try {
    selections = selectionsOf(pod);
  } catch (error) {
    if (!(error instanceof AllocError)) throw error;
    return none;
  }
  if (selections.length === 0) return none;
  const interfaces: PodInterface[] = [];
  const perProvider: Record<string, string> = {};
  const status: object[] = [];
  const seen = new Set<string>();
  for (const selection of selections) {
    const provider = reader.get('NetworkAttachment', selection.definition)?.provider;
    const found = interfaceOf(reader, pod, selection, provider);
    if (found === undefined) continue;
    interfaces.push(found);
    if (found.addresses === undefined) continue;
    const suffix = seen.has(found.provider) ? `.${found.name}` : '';
    seen.add(found.provider);
    const ips = found.addresses.map(({ address }) => address);
    const results = {
      allocated: 'true',
      ip_address: ips.join(','),
      mac_address: found.mac ?? '',
      cidr: cidrsOf(reader, found),
      gateway: found.addresses.map(({ gateway }) => gateway).join(','),
      logical_switch: found.subnet ?? '',
    };
    for (const [name, value] of Object.entries(results))
      perProvider[providerKey(found.provider, name + suffix)] = value;
    status.push({
      name: selection.definition,
      interface: found.name,
      ips,
      mac: found.mac,
      ...(found.defaultRoute === undefined ? {} : { default: true, gateway: selection.defaultRoute }),
      dns: {},
    });
  }
  const first = {
    name: 'ovenbird',
    interface: 'eth0',
    ips: [primary.v4, primary.v6].filter((ip) => ip !== undefined),
    mac: primary.mac,
    ...(interfaces.some(({ defaultRoute }) => defaultRoute === true) ? {} : { default: true }),
    dns: {},
  };
  return {
    wanted: { ...perProvider, [announcement.interfaces]: JSON.stringify(interfaces) },
    unguarded: { [multus.networkStatus]: JSON.stringify([first, ...status]) },
  };
}

function interfaceOf(
  reader: Reader,
  pod: Pod,
  selection: NetworkSelection,
  provider: string | undefined,
): PodInterface | undefined {
  const key = `${pod.namespace}/${pod.name}/${selection.ifname}`;
  const address = reader.get('AttachmentAddress', key);
  const known = address?.provider ?? provider;
  if (known === undefined || known === '') return undefined;
  const { defaultRoute } = selection;
  const byAnnotation = pod.annotations[providerKey(known, 'default_route')] === 'true';
  const base: PodInterface = {
    name: selection.ifname,
    provider: known,
    ...(defaultRoute === undefined && !byAnnotation ? {} : { defaultRoute: true }),
  };
  const subnet = address === undefined ? undefined : reader.get('UsableSubnet', address.subnet);
  if (address?.committed !== true || address.uid !== pod.uid || subnet === undefined) return base;
  const addresses = familiesOf(subnet).flatMap(([family, net]) => {
    const ip = family === 4 ? address.v4 : address.v6;
    const gateway = defaultRoute?.find((one) => one.includes(':') === (family === 6)) ?? net.gateway;
    return ip === undefined ? [] : [{ address: ip, prefix: net.prefix, gateway }];
  });
  return {
    ...base,
    ...(isIpamOnly(address.provider) ? {} : { port: attachmentPortName(key, address) }),
    subnet: subnet.name,
    mac: address.mac,
    addresses,
  };
}

function cidrsOf(reader: Reader, found: PodInterface): string {
  const subnet = reader.get('UsableSubnet', found.subnet ?? '');
  const nets = subnet === undefined ? [] : familiesOf(subnet);
  return nets
    .filter(([family]) => found.addresses?.some(({ address }) => address.includes(':') === (family === 6)))
    .map(([, net]) => net.cidr)
    .join(',');
}
