import { type KubeClient, type KubeObject, type ResourceKind, resourceKind } from '@ovenbird/kube';
import type { LabPod } from '../workloads/objects.ts';
import { CniError, type NetworkList, type PluginConfig, parseConflist } from './cni.ts';
import type { FurtherNetwork } from './pod-record.ts';

interface Definition extends KubeObject {
  readonly spec?: { readonly config?: string };
}
const DEFINITIONS: ResourceKind<Definition> = resourceKind<Definition>({
  group: 'k8s.cni.cncf.io',
  version: 'v1',
  kind: 'NetworkAttachmentDefinition',
  plural: 'network-attachment-definitions',
  namespaced: true,
});

interface Selection {
  readonly name: string;
  readonly namespace?: string;
  readonly interface?: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly bandwidth?: Readonly<Record<string, number>>;
  readonly portMappings?: readonly object[];
  readonly 'cni-args'?: Readonly<Record<string, unknown>>;
  readonly 'default-route'?: readonly string[];
}

/**
 * The networks that the annotation `k8s.v1.cni.cncf.io/networks` names, with the CNI calls that Multus makes for them:
 * interfaces are named `net1`, `net2` ... by their place, a configuration without a name gets the definition's,
 * addresses, MAC, limits and published ports go to plugins with the capability, the former two also into CNI_ARGS, and
 * `cni-args` into each plugin's `args.cni` (multus-cni, pkg/types/conf.go and pkg/multus/multus.go).
 * @param socket of the node's agent: the nodes of the lab share a filesystem, so none has it at the default place
 * @throws CniError, KubeError
 */
export async function furtherNetworks(
  pod: LabPod,
  client: KubeClient,
  socket: string | undefined,
): Promise<readonly FurtherNetwork[]> {
  const text = pod.metadata.annotations?.['k8s.v1.cni.cncf.io/networks']?.trim() ?? '';
  if (text === '') return [];
  const definitions = client.resource(DEFINITIONS);
  const networks: FurtherNetwork[] = [];
  for (const [index, selection] of selectionsOf(text).entries()) {
    const namespace = selection.namespace ?? pod.metadata.namespace ?? '';
    const definition = await definitions.find({ namespace, name: selection.name });
    if (definition === undefined)
      throw new CniError(`the NetworkAttachmentDefinition ${namespace}/${selection.name} does not exist`);
    const list = listOf(definition.spec?.config ?? '', `${namespace}/${selection.name}`, selection.name);
    const { ips, mac, bandwidth, portMappings } = selection;
    const given = Object.entries({ ips, mac, bandwidth, portMappings }).filter(([, value]) => value !== undefined);
    networks.push({
      ifname: selection.interface ?? `net${index + 1}`,
      network: withSocket(withArgs(list, selection['cni-args']), socket),
      runtimeConfig: Object.fromEntries(given),
      multus: [...(mac === undefined ? [] : [`MAC=${mac}`]), ...(ips === undefined ? [] : [`IP=${ips.join(',')}`])],
      gateways: selection['default-route'] ?? [],
    });
  }
  return networks;
}

function selectionsOf(text: string): readonly Selection[] {
  if (text.startsWith('[')) return JSON.parse(text) as Selection[];
  return text.split(',').map((part) => {
    const [path = '', ifname] = part.trim().split('@');
    const slash = path.indexOf('/');
    return {
      name: path.slice(slash + 1),
      ...(slash < 0 ? {} : { namespace: path.slice(0, slash) }),
      ...(ifname === undefined ? {} : { interface: ifname }),
    };
  });
}

/** A configuration of one plugin is a list of one (libcni, ConfListFromConf). */
function listOf(config: string, where: string, name: string): NetworkList {
  let value: { readonly plugins?: unknown; readonly cniVersion?: unknown };
  try {
    value = JSON.parse(config) as typeof value;
  } catch (cause) {
    throw new CniError(`${where}: spec.config is not JSON: ${String(cause)}`);
  }
  const list = { name, cniVersion: '0.3.1', ...(value.plugins === undefined ? { ...value, plugins: [value] } : value) };
  return parseConflist(JSON.stringify(list), where);
}

function withArgs(list: NetworkList, cni: Selection['cni-args']): NetworkList {
  if (cni === undefined) return list;
  const added = (plugin: PluginConfig): PluginConfig => {
    const before = plugin['args'] as { readonly cni?: object } | undefined;
    return { ...plugin, args: { ...before, cni: { ...before?.cni, ...cni } } };
  };
  return { ...list, plugins: list.plugins.map(added) };
}

function withSocket(list: NetworkList, socket: string | undefined): NetworkList {
  if (socket === undefined) return list;
  const plugins = list.plugins.map((plugin) => {
    const ipam = plugin['ipam'] as { readonly type?: unknown } | undefined;
    if (plugin.type === 'ovenbird') return { socket, ...plugin };
    return ipam?.type === 'ovenbird' ? { ...plugin, ipam: { socket, ...ipam } } : plugin;
  });
  return { ...list, plugins };
}
