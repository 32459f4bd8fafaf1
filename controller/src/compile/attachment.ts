import { isIpamOnly } from '@ovenbird/crds';
import type { AttachmentAddress } from '../attachment/model.ts';
import { publishedPorts } from '../pod/host-ports.ts';
import type { Key } from '../store/model.ts';
import type { CompileContext } from './context.ts';
import { dhcpColumns } from './dhcp.ts';
import type { UnitDefinition } from './engine.ts';
import { hostPortRows } from './host-port.ts';
import { joinSecurityGroups, limitInterface } from './interface.ts';
import { attachedPortName, interfacePortName } from './names.ts';

/** Name of an attachment's Logical_Switch_Port, the `iface-id` of its Interface. */
export function attachmentPortName(key: Key, { pod, node, ifname }: AttachmentAddress): string {
  if (pod === undefined) return attachedPortName(node, key);
  const slash = pod.indexOf('/');
  return interfacePortName(pod.slice(0, slash), pod.slice(slash + 1), ifname);
}

/** A further interface of a pod, or that of a container outside of Kubernetes → its Logical_Switch_Port. */
export function attachmentUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'AttachmentAddress',
    rank: 5,
    lane: 'pod',
    compile(key, reader) {
      const address = reader.get('AttachmentAddress', key);
      const subnet = address === undefined ? undefined : reader.get('UsableSubnet', address.subnet);
      if (address === undefined || subnet === undefined || isIpamOnly(address.provider)) return [];
      const rows = context.builder('Attachment', key);
      const name = attachmentPortName(key, address);
      const addresses = [address.mac, address.v4, address.v6].filter((part) => part !== undefined).join(' ');
      const port = rows.row(
        'Logical_Switch_Port',
        `${name}@${address.uid}`,
        {
          name,
          addresses: [addresses],
          port_security: [addresses],
          ...dhcpColumns(context, subnet, address),
          options: new Map([
            ['iface-id-ver', address.uid],
            ['requested-chassis', address.node],
          ]),
        },
        {
          ...(address.pod === undefined ? { node: address.node } : { pod: address.pod }),
          'ovenbird/uid': address.uid,
          'ovenbird/subnet': subnet.name,
          'ovenbird/interface': address.ifname,
          'ovenbird/network': address.provider,
        },
      );
      rows.member(context.switch(subnet.name), 'ports', port.uuid);
      const node = subnet.vpc === context.defaultVpc ? reader.get('Node', address.node) : undefined;
      if (node !== undefined) {
        // The node's group gives it the way out of the cluster, and lets its own node in.
        rows.member(context.nodePortGroup(address.node), 'ports', port.uuid);
        const record = address.pod === undefined ? reader.get('IpRecord', key) : undefined;
        const ports = publishedPorts(record?.attachment?.ports ?? []) ?? [];
        hostPortRows(context, rows, { name, uid: address.uid, ports, address, node });
      }
      const pod = address.pod === undefined ? undefined : reader.get('Pod', address.pod);
      if (pod?.uid === address.uid) {
        const namespace = reader.get('Namespace', pod.namespace);
        const own = { key, pod, namespace, port: port.uuid, portName: name, subnet, further: address };
        joinSecurityGroups(context, rows, reader, own);
        limitInterface(context, rows, reader, own);
      }
      return rows.outputs;
    },
  };
}
