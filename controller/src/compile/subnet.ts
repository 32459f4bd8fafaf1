import { isIpamOnly } from '@ovenbird/crds';
import { familiesOf } from '../store/families.ts';
import { dhcpAcls, subnetAcls, trackingAcl } from './acl.ts';
import type { CompileContext } from './context.ts';
import { dhcpRows, multicastConfig, routerAdvertisement } from './dhcp.ts';
import type { UnitDefinition } from './engine.ts';
import { logMeter } from './log-meter.ts';
import { macFromName } from './mac.ts';
import { routerName, routerPortName, switchName, switchRouterPortName } from './names.ts';

/** Subnet → Logical_Switch, its link to the VPC's router, and its ACLs. */
export function subnetUnit(context: CompileContext): UnitDefinition {
  return {
    kind: 'Subnet',
    rank: 1,
    lane: 'bulk',
    compile(name, reader) {
      const subnet = reader.get('UsableSubnet', name);
      // Addresses for other plugins' links: nothing of it is in OVN.
      if (subnet === undefined || isIpamOnly(subnet.provider)) return [];
      const rows = context.builder('Subnet', name);
      const { vpc } = subnet;
      const families = familiesOf(subnet);
      const cidr = families.map(([, net]) => net.cidr).join(',');
      const gateway = families.map(([, net]) => net.gateway).join(',');
      const logicalSwitch = rows.row(
        'Logical_Switch',
        switchName(name),
        { name: switchName(name), other_config: multicastConfig(subnet) },
        { vpc, cidr, gateway },
      );

      const routerPort = rows.row('Logical_Router_Port', routerPortName(vpc, name), {
        name: routerPortName(vpc, name),
        mac: macFromName(routerPortName(vpc, name)),
        networks: families.map(([, net]) => `${net.gateway}/${net.prefix}`),
        ipv6_ra_configs: routerAdvertisement(subnet, reader),
      });
      rows.member(context.router(vpc), 'ports', routerPort.uuid);
      const switchPort = rows.row(
        'Logical_Switch_Port',
        switchRouterPortName(name, vpc),
        {
          name: switchRouterPortName(name, vpc),
          type: 'router',
          addresses: ['router'],
          options: new Map([['router-port', routerPortName(vpc, name)]]),
        },
        { router: routerName(vpc) },
      );
      rows.member(logicalSwitch, 'ports', switchPort.uuid);
      dhcpRows(rows, subnet, reader);

      if (vpc === context.defaultVpc) {
        rows.member(logicalSwitch, 'load_balancer_group', context.balancerGroup(vpc).uuid);
        for (const [family, net] of families) {
          rows.member(context.internalSet(vpc, family), 'addresses', net.cidr);
        }
      }
      // Nodes live in the default VPC only, and the nodes' own network takes no isolation rules.
      const join = vpc === context.defaultVpc ? reader.get('UsableSubnet', context.joinSubnet) : undefined;
      const isolated = reader.list('Isolation').length > 0 ? [trackingAcl(name), ...dhcpAcls(subnet)] : [];
      const acls = name === context.joinSubnet ? [] : [...subnetAcls(subnet, join), ...isolated];
      for (const { key, tier, ...acl } of acls) {
        rows.member(logicalSwitch, 'acls', rows.row('ACL', key, { ...acl, ...context.tier(tier) }, { rule: key }).uuid);
      }
      if (acls.some(({ log }) => log === true)) logMeter(rows, 'subnet', name, subnet.aclLogRate);
      return rows.outputs;
    },
  };
}
