import type { Node } from '@ovenbird/kube';
import type { OpenVswitch, Transaction } from '@ovenbird/ovsdb';
import type { AgentConfig } from './config.ts';
import { AgentError } from './error.ts';
import { INTEGRATION_BRIDGE, integrationBridge, newTransaction, noopQos, type Ovs, VENDOR } from './ovs/database.ts';

/**
 * What the agent wants in `Open_vSwitch.external_ids` (ovn-controller(8), "CONFIGURATION"). Keys that are not named here
 * belong to others and are left alone.
 * @param encapIp address of this node in the underlay
 */
export function chassisSettings(config: AgentConfig, encapIp: string): ReadonlyMap<string, string> {
  return new Map([
    // The chassis is called like the node, so that `requested-chassis` and people find it.
    ['system-id', config.nodeName],
    ['hostname', config.nodeName],
    ['ovn-remote', config.ovnRemote],
    ['ovn-encap-type', config.encapType],
    ['ovn-encap-ip', encapIp],
    // Else the route decides what address tunnels come from; the other end takes packets from the announced one only.
    ['ovn-set-local-ip', 'true'],
    ['ovn-bridge-datapath-type', config.datapathType],
    ['ovn-monitor-all', String(config.monitorAll)],
  ]);
}

/**
 * Set only where nobody has chosen a value. The probe's default of 5 s makes a briefly overloaded southbound server lose
 * all its clients at once, which then reload everything; TCP reports a server that really went away at once.
 */
const CHASSIS_DEFAULTS: ReadonlyMap<string, string> = new Map([['ovn-remote-probe-interval', '30000']]);

/** In `ovn-cms-options`, words for the network's own use: the controller removes the chassis with it whose Node is gone. */
const CMS_OPTION = 'ovenbird';

/** `ovn-cms-options` with our word; those of others stay. */
function cmsOptions(current: string | undefined): string {
  const words = (current ?? '').split(',').filter((word) => word !== '');
  return (words.includes(CMS_OPTION) ? words : [...words, CMS_OPTION]).join(',');
}

/** Whether tunnels forbid that their packets are fragmented; they do where nobody says otherwise (ovn-controller(8)). */
export const ENCAP_DF = 'ovn-encap-df_default';

const WAIT_BEFORE_CLEAR = 'ovn-ofctrl-wait-before-clear';

/**
 * Whether ovn-controller has installed flows on this node before. Only then is there something that
 * `ovn-ofctrl-wait-before-clear` protects; on a node that starts from nothing it would merely delay the first pod.
 */
function hasFlows(ovs: Ovs): boolean {
  return ovs.replica
    .table('Interface')
    .find('external_ids:vendor', VENDOR)
    .some((row) => row.external_ids.get('ovn-installed') === 'true');
}

/**
 * The transaction that brings the local database to what the agent needs: br-int and the chassis settings, or undefined
 * when both are right. br-int fails secure: without flows it forwards nothing instead of acting as a learning switch.
 * @param keepFlows false when br-int lost its flows (ovs-vswitchd does not run, or has just started): then ovn-controller
 *   has nothing to be careful with, and its waiting would only make the outage longer
 */
export function bootstrapTransaction(
  ovs: Ovs,
  config: AgentConfig,
  settings: ReadonlyMap<string, string>,
  keepFlows: boolean,
): Transaction<OpenVswitch> | undefined {
  const [root] = ovs.replica.table('Open_vSwitch').rows();
  if (root === undefined) return undefined;
  const transaction = newTransaction();
  let needed = false;
  const wanted = new Map([...settings, ['ovn-cms-options', cmsOptions(root.external_ids.get('ovn-cms-options'))]]);
  if (!keepFlows) wanted.set(WAIT_BEFORE_CLEAR, '0');
  else if (hasFlows(ovs)) wanted.set(WAIT_BEFORE_CLEAR, String(config.ofctrlWaitBeforeClear));
  const wrong = new Map([
    ...[...wanted].filter(([key, value]) => root.external_ids.get(key) !== value),
    ...[...CHASSIS_DEFAULTS].filter(([key]) => !root.external_ids.has(key)),
  ]);
  if (wrong.size > 0) {
    needed = true;
    transaction.mutate('Open_vSwitch', root._uuid, 'external_ids', 'delete', [...wrong.keys()]);
    transaction.mutate('Open_vSwitch', root._uuid, 'external_ids', 'insert', wrong);
  }
  const bridge = integrationBridge(ovs);
  if (bridge === undefined) {
    needed = true;
    const iface = transaction.insert('Interface', { name: INTEGRATION_BRIDGE, type: 'internal' });
    const port = transaction.insert('Port', { name: INTEGRATION_BRIDGE, interfaces: [iface] });
    const inserted = transaction.insert('Bridge', {
      name: INTEGRATION_BRIDGE,
      ports: [port],
      fail_mode: 'secure',
      datapath_type: config.datapathType,
    });
    transaction.mutate('Open_vSwitch', root._uuid, 'bridges', 'insert', [inserted]);
  } else if (bridge.fail_mode !== 'secure' || bridge.datapath_type !== config.datapathType) {
    needed = true;
    transaction.update('Bridge', bridge._uuid, { fail_mode: 'secure', datapath_type: config.datapathType });
  }
  if (noopQos(ovs) === undefined) {
    needed = true;
    transaction.insert('QoS', { type: 'linux-noop', external_ids: new Map([['vendor', VENDOR]]) });
  }
  return needed ? transaction.comment(`ovenbird agent of ${config.nodeName}: bootstrap`) : undefined;
}

/**
 * The address of this node's tunnels: the configured one, else the Node's first InternalIP.
 * @param node undefined while it has not been read
 * @throws AgentError `try-again` while there is none
 */
export function tunnelAddress(config: Pick<AgentConfig, 'encapIp' | 'nodeName'>, node: Node | undefined): string {
  const address = config.encapIp ?? node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  if (address !== undefined) return address;
  throw new AgentError(
    'try-again',
    node === undefined
      ? `the Node ${config.nodeName} has not been read yet: is the API server up, and does the Node exist?`
      : `the Node ${config.nodeName} has no InternalIP; set encapIp in the configuration`,
  );
}
