import { isIpamOnly, providerOf } from '@ovenbird/crds';
import { type KubeObject, type ResourceKind, resourceKind } from '@ovenbird/kube';
import type { NetworkAttachment } from './model.ts';

/** A NetworkAttachmentDefinition, as the network plumbing working group defines it (version 1.3, §3.4.1). */
export interface NetworkAttachmentDefinition extends KubeObject {
  readonly spec?: {
    /** A CNI network configuration or list, as JSON text; empty: it stands in a file on the nodes. */
    readonly config?: string;
  };
}

export const NETWORK_ATTACHMENT_DEFINITIONS: ResourceKind<NetworkAttachmentDefinition> =
  resourceKind<NetworkAttachmentDefinition>({
    group: 'k8s.cni.cncf.io',
    version: 'v1',
    kind: 'NetworkAttachmentDefinition',
    plural: 'network-attachment-definitions',
    namespaced: true,
  });

/** Name of our plugin in network configurations. */
const PLUGIN = 'ovenbird';

interface PluginConfig {
  readonly type?: unknown;
  readonly provider?: unknown;
  readonly subnet?: unknown;
  readonly ipam?: { readonly type?: unknown; readonly provider?: unknown; readonly subnet?: unknown } | null;
  readonly plugins?: unknown;
}

/**
 * What is ours in a NetworkAttachmentDefinition: a plugin `ovenbird`, or `ovenbird` as IPAM of another plugin. Of a
 * definition that is none of our business the provider is empty.
 */
export function projectNetworkAttachment(object: NetworkAttachmentDefinition): NetworkAttachment {
  const { name, namespace = '', uid = '', creationTimestamp: created = '', deletionTimestamp } = object.metadata;
  const meta = { name, namespace, uid, created, deleting: deletionTimestamp !== undefined };
  const found = pluginsOf(object.spec?.config ?? '')
    .map((plugin) => ourPart(plugin))
    .find((part) => part !== undefined);
  if (found === undefined) return { ...meta, provider: '' };
  const { settings, ipamOnly } = found;
  const provider = typeof settings.provider === 'string' ? settings.provider : providerOf(namespace, name, ipamOnly);
  return {
    ...meta,
    // `ovn` or `x.y.ovn` for an address alone would promise a port that nobody makes, and the other way round.
    provider: provider !== 'ovn' && isIpamOnly(provider) !== ipamOnly ? '' : provider,
    ...(typeof settings.subnet === 'string' ? { subnet: settings.subnet } : {}),
  };
}

function pluginsOf(config: string): readonly PluginConfig[] {
  let value: unknown;
  try {
    value = JSON.parse(config);
  } catch {
    return [];
  }
  if (typeof value !== 'object' || value === null) return [];
  const { plugins } = value as PluginConfig;
  const all: readonly unknown[] = Array.isArray(plugins) ? plugins : [value];
  return all.filter((plugin): plugin is PluginConfig => typeof plugin === 'object' && plugin !== null);
}

function ourPart(
  plugin: PluginConfig,
):
  | { readonly settings: { readonly provider?: unknown; readonly subnet?: unknown }; readonly ipamOnly: boolean }
  | undefined {
  if (plugin.type === PLUGIN) return { settings: plugin, ipamOnly: false };
  if (plugin.ipam?.type === PLUGIN) return { settings: plugin.ipam, ipamOnly: true };
  return undefined;
}
