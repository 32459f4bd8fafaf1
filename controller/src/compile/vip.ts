import { isPodsOwn, podsOfVip } from '../vip/members.ts';
import type { CompileContext } from './context.ts';
import type { UnitDefinition } from './engine.ts';
import { ADDRESS_KEY, podPortName, vipPortName } from './names.ts';

/**
 * Vip → a port of type `virtual` for each family. OVN binds it to the parent that sends a gratuitous ARP or an unsolicited
 * neighbour advertisement for the address (ovn-nb(5), "Options for virtual ports").
 */
export function vipUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Vip',
    rank: 6,
    lane: 'bulk',
    compile(name, reader) {
      const vip = reader.get('Vip', name);
      const address = reader.get('VipAddress', name);
      const subnet = address === undefined ? undefined : reader.get('UsableSubnet', address.subnet);
      if (vip === undefined || address === undefined || subnet === undefined || address.uid !== vip.uid) return [];
      // One pod has it as its own: there is nothing to share, and OVN answers for it by that pod's port.
      if (isPodsOwn(name, reader)) return [];
      const rows = context.builder('Vip', name);
      const parents = podsOfVip(vip, reader).map((pod) => podPortName(pod.namespace, pod.name));
      const { v4, v6, mac } = address;
      const whole = [mac, v4, v6].filter((part) => part !== undefined).join(' ');
      for (const [family, ip] of [
        [4, v4],
        [6, v6],
      ] as const) {
        if (ip === undefined) continue;
        const portName = vipPortName(name, family, v4 !== undefined);
        const port = rows.row(
          'Logical_Switch_Port',
          `${portName}@${vip.uid}`,
          {
            name: portName,
            type: 'virtual',
            options: new Map([
              ['virtual-ip', ip],
              ['virtual-parents', parents.join(',')],
            ]),
          },
          { 'ovenbird/uid': vip.uid, 'ovenbird/subnet': subnet.name, [ADDRESS_KEY]: whole },
        );
        rows.member(context.switch(subnet.name), 'ports', port.uuid);
      }
      return rows.outputs;
    },
  };
}
