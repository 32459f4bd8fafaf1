import { portOptionsOf } from '../pod/port-options.ts';
import { allBuckets, isMember, ownBuckets } from '../policy/pod-set.ts';
import { addressesOfVip, vipsOf } from '../vip/members.ts';
import type { CompileContext } from './context.ts';
import { dhcpColumns, podDhcpRows } from './dhcp.ts';
import type { UnitDefinition } from './engine.ts';
import { hostPortRows } from './host-port.ts';
import { joinSecurityGroups, limitInterface } from './interface.ts';
import { podPortName } from './names.ts';
import type { RowRef } from './rows-builder.ts';

/** Pod → Logical_Switch_Port with its memberships and bandwidth, from the address that alloc decided. */
export function podUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Pod',
    rank: 5,
    lane: 'pod',
    compile(key, reader) {
      const address = reader.get('PodAddress', key);
      const pod = reader.get('Pod', key);
      if (address === undefined || pod === undefined || pod.uid !== address.uid) return [];
      const subnet = reader.get('UsableSubnet', address.subnet);
      if (subnet === undefined) return [];
      const rows = context.builder('Pod', key);
      const name = podPortName(pod.namespace, pod.name);
      const addresses = [address.mac, address.v4, address.v6].filter((part) => part !== undefined).join(' ');
      const namespace = reader.get('Namespace', pod.namespace);
      const options = portOptionsOf(pod.annotations, namespace);
      const virtual = vipsOf(pod, subnet.name, reader).flatMap(addressesOfVip);
      const logicalSwitch = context.switch(subnet.name);
      // The UID is part of the key: a re-created pod of the same name is another port (delete + insert, one transaction).
      const port = rows.row(
        'Logical_Switch_Port',
        `${name}@${pod.uid}`,
        {
          name,
          addresses: options.forward ? [addresses, 'unknown'] : [addresses],
          port_security: options.secure ? [[addresses, ...options.vips, ...virtual].join(' ')] : [],
          ...dhcpColumns(context, subnet, address, podDhcpRows(rows, subnet, pod, reader)),
          // An old sandbox of the same name carries another iface-id-ver and cannot bind the port (ovn-nb(5)).
          options: new Map([
            ['iface-id-ver', pod.uid],
            ['requested-chassis', pod.node],
          ]),
        },
        {
          pod: key,
          'ovenbird/uid': pod.uid,
          'ovenbird/subnet': subnet.name,
          ...(address.keepFor === undefined ? {} : { 'ovenbird/keep-for': address.keepFor }),
          ...(address.via === undefined ? {} : { 'ovenbird/via': address.via }),
        },
      );
      rows.member(logicalSwitch, 'ports', port.uuid);
      const node = subnet.vpc === context.defaultVpc ? reader.get('Node', pod.node) : undefined;
      if (node !== undefined) {
        rows.member(context.nodePortGroup(pod.node), 'ports', port.uuid);
        const { uid, hostPorts = [] } = pod;
        hostPortRows(context, rows, { name, uid, ports: hostPorts, address, node });
      }
      // With the port, so that a pod is under its policies from its first packet.
      const groups = new Map<string, RowRef>();
      for (const bucket of namespace === undefined ? ownBuckets(pod) : allBuckets(pod, namespace)) {
        for (const set of reader.index('PodSet', 'ports', bucket)) {
          if (set.holds === 'group' || !isMember(set, pod, namespace, context.customVpc(subnet.vpc))) continue;
          const group = context.podSetGroup(set);
          groups.set(group.uuid, group);
        }
      }
      for (const group of groups.values()) rows.member(group, 'ports', port.uuid);
      const own = { key, pod, namespace, port: port.uuid, portName: name, subnet };
      joinSecurityGroups(context, rows, reader, own);
      limitInterface(context, rows, reader, own);
      return rows.outputs;
    },
  };
}
