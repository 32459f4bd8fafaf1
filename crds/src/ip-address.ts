/** IP: one address in use or reserved. The controller writes one per port; people write one to reserve an address. */
import * as z from 'zod';
import { after, before, legalIps } from './cel-text.ts';
import { anyText, conditions, list, notBuilt, resourceName, text } from './fields.ts';
import { ipFamily, isCanonicalIp } from './ip.ts';
import { defineKind, type Kind } from './kind.ts';
import { isMac } from './mac.ts';
import type { Condition, CustomResource } from './metadata.ts';
import { type Rule, withRules } from './rule.ts';

/** The fields of an IP; `docs/ip.md` describes them. Empty strings are as good as absent fields. */
export interface IPSpec {
  /** Name of the Subnet. */
  readonly subnet: string;
  /** `v4`, `v6` or `v4,v6`: the same as the two fields below together. */
  readonly ipAddress?: string;
  readonly v4IpAddress?: string;
  readonly v6IpAddress?: string;
  /** Unicast, lower case, colons. */
  readonly macAddress?: string;
  /** Pod that has or shall have the address; empty for a reservation that anybody of the subnet may claim by name. */
  readonly podName?: string;
  readonly namespace?: string;
  /** Kind of the pod's owner, `StatefulSet` or `VirtualMachine`, or empty. */
  readonly podType?: string;
  readonly containerID?: string;
  readonly nodeName?: string;
  /** UID of the Pod or Node that holds the address; absent on reservations. */
  readonly ownerUID?: string;
  /** Which interface has the address, where it is not a pod's first one. */
  readonly attachment?: IPAttachment;
}

/** An interface beside the pods' first ones: a further one of a pod, or that of a container outside of Kubernetes. */
export interface IPAttachment {
  /** Name inside the container, such as `net1`. */
  readonly interface: string;
  /** Provider (`<nad>.<namespace>.ovn`) of a pod's interface; the CNI network's name otherwise. */
  readonly network: string;
  /** What a container outside of Kubernetes publishes on its node, as the runtime says it (CNI capability `portMappings`). */
  readonly ports?: readonly IPAttachmentPort[];
}

/** A published port; the fields are those of a container port of a Pod. */
export interface IPAttachmentPort {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** Address of the node; absent: all of them. */
  readonly hostIP?: string;
}

/** What the controller says about the address. */
export interface IPStatus {
  readonly conditions?: readonly Condition[];
}

/** An IP object. */
export type IP = CustomResource<IPSpec, IPStatus>;

/** An address in its shortest form; the empty string is as good as absent. */
export const addressRule = (family: 4 | 6, example: string): Rule<string> => ({
  rule: `self == '' || (isIP(self) && ip(self).family() == ${family} && ip.isCanonical(self))`,
  message: `write an IPv${family} address in its shortest form, such as ${example}`,
  holds: (value) => value === '' || (isCanonicalIp(value) && ipFamily(value) === family),
});

const parts = (csv: string): string[] => csv.split(',');
const csvRule: Rule<string> = {
  rule: `self == '' || (${legalIps('self')} && ip.isCanonical(${before('self')}) && ip.isCanonical(${after('self')}) && (!self.contains(',') || (ip(${before('self')}).family() == 4 && ip(${after('self')}).family() == 6)))`,
  message:
    'write one address in its shortest form, or an IPv4 and an IPv6 address joined by a comma, IPv4 first, such as 10.16.0.5,fd00:10:16::5',
  holds(value) {
    if (value === '') return true;
    const [one = '', two, ...more] = parts(value);
    if (more.length > 0 || !isCanonicalIp(one) || (two !== undefined && !isCanonicalIp(two))) return false;
    return two === undefined || (ipFamily(one) === 4 && ipFamily(two) === 6);
  },
};
/** A unicast MAC in lower case; the empty string is as good as absent. */
export const macRule: Rule<string> = {
  rule: `self == '' || (self.matches('^[0-9a-f][02468ace](:[0-9a-f][0-9a-f]){5}$') && self != '00:00:00:00:00:00')`,
  message: 'write a unicast MAC in lower case, such as 02:00:00:00:00:01 (the second digit is even)',
  holds: (value) => value === '' || (isMac(value) && value === value.toLowerCase() && !value.includes('-')),
};

const field = (name: string): string => `(has(self.${name}) ? self.${name} : '')`;
const isText = (value: string | undefined): boolean => value !== undefined && value !== '';
const specRules: readonly Rule<IPSpec>[] = [
  {
    rule: `has(self.attachment) || ${field('ipAddress')} != '' || ${field('v4IpAddress')} != '' || ${field('v6IpAddress')} != ''`,
    message: 'an IP needs an address: write spec.v4IpAddress, spec.v6IpAddress, or both',
    holds: (value) =>
      value.attachment !== undefined ||
      [value.ipAddress, value.v4IpAddress, value.v6IpAddress].some((ip) => ip !== undefined && ip !== ''),
  },
  {
    rule: `${field('ipAddress')} == '' || (${field('v4IpAddress')} == '' && ${field('v6IpAddress')} == '') || ${field('ipAddress')} == ${field('v4IpAddress')} + (${field('v4IpAddress')} != '' && ${field('v6IpAddress')} != '' ? ',' : '') + ${field('v6IpAddress')}`,
    message: 'spec.ipAddress must say the same as spec.v4IpAddress and spec.v6IpAddress together; or remove it',
    holds(value) {
      const given = [value.v4IpAddress ?? '', value.v6IpAddress ?? ''].filter((ip) => ip !== '');
      return (value.ipAddress ?? '') === '' || given.length === 0 || value.ipAddress === given.join(',');
    },
  },
  {
    rule: `!has(self.attachment) || ${field('podName')} != '' || (${field('nodeName')} != '' && ${field('containerID')} != '')`,
    message:
      'an attachment belongs to a pod (spec.podName) or to a container of a node (spec.nodeName, spec.containerID)',
    holds: (value) =>
      value.attachment === undefined || isText(value.podName) || (isText(value.nodeName) && isText(value.containerID)),
  },
];

const portNumber = (description: string) => z.int().min(1).max(65_535).meta({ description });
const attachmentPort = () =>
  z.strictObject({
    hostPort: portNumber('Port of the node.'),
    containerPort: portNumber('Port of the container.'),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).meta({ description: 'Protocol of both.' }),
    hostIP: text('Address of the node; absent: all of them.', 45).exactOptional(),
  });

const spec = () =>
  withRules(
    z
      .strictObject({
        subnet: resourceName('Name of the Subnet.'),
        ipAddress: withRules(
          text('v4, v6 or v4,v6: the same as v4IpAddress and v6IpAddress together.', 64),
          csvRule,
        ).exactOptional(),
        v4IpAddress: withRules(text('IPv4 address.', 15), addressRule(4, '10.16.0.5')).exactOptional(),
        v6IpAddress: withRules(text('IPv6 address.', 39), addressRule(6, 'fd00:10:16::5')).exactOptional(),
        macAddress: withRules(
          text('MAC address of the port; made by the controller when absent.', 17),
          macRule,
        ).exactOptional(),
        podName: text('Pod that has or shall have the address.', 253).exactOptional(),
        namespace: text('Namespace of that pod.', 63).exactOptional(),
        podType: text('Kind of the owner of the pod, such as StatefulSet.', 64).exactOptional(),
        containerID: text('Container that uses the address.', 128).exactOptional(),
        nodeName: text('Node of the pod.', 253).exactOptional(),
        ownerUID: text('UID of the Pod or Node that holds the address; absent on a reservation.', 64).exactOptional(),
        attachment: z
          .strictObject({
            interface: text('Name of the interface inside the container, such as net1.', 15).min(1),
            network: text('Provider of a further interface of a pod, or name of the CNI network.', 253).min(1),
            ports: list('What the container publishes on its node.', attachmentPort(), 256).exactOptional(),
          })
          .meta({
            description:
              "Interface beside the pods' first ones: a further one of a pod (written by the controller), or one of a container outside of Kubernetes (written by the agent of its node).",
          })
          .exactOptional(),
        attachSubnets: notBuilt.list('spec.attachSubnets', 'Subnets of further interfaces.', anyText()).exactOptional(),
        attachIps: notBuilt.list('spec.attachIps', 'Addresses of further interfaces.', anyText()).exactOptional(),
        attachMacs: notBuilt.list('spec.attachMacs', 'MACs of further interfaces.', anyText()).exactOptional(),
      })
      .meta({ description: 'Which address it is, and whose.' }),
    ...specRules,
  );

const status = () =>
  z
    .strictObject({ conditions: conditions().exactOptional() })
    .meta({ description: 'Who has the address now, and whether a reservation holds; written by the controller.' });

/** The kind IP. */
export const IPS: Kind<IP> = defineKind<IPSpec, IPStatus>({
  kind: 'IP',
  plural: 'ips',
  shortNames: ['ip'],
  // One for each pod: a status of its own would make three writes of the two that a pod costs (docs/decisions/0020).
  statusSubresource: false,
  description: 'One address in use, or reserved by hand.',
  columns: [
    { name: 'V4IP', type: 'string', jsonPath: '.spec.v4IpAddress' },
    { name: 'V6IP', type: 'string', jsonPath: '.spec.v6IpAddress' },
    { name: 'MAC', type: 'string', jsonPath: '.spec.macAddress' },
    { name: 'Node', type: 'string', jsonPath: '.spec.nodeName' },
    { name: 'Subnet', type: 'string', jsonPath: '.spec.subnet' },
    { name: 'Namespace', type: 'string', jsonPath: '.spec.namespace' },
    { name: 'Pod', type: 'string', jsonPath: '.spec.podName' },
    // Kept for a pod that is not there now; a reservation by hand says in its condition what it is.
    { name: 'Reserved', type: 'string', jsonPath: '.metadata.labels.ovn\\.kubernetes\\.io/ip_reserved' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status', priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  ],
  spec,
  status,
});
