import { type HostPort, publishedAt } from '../pod/host-ports.ts';
import type { Address, Node } from '../store/model.ts';
import type { CompileContext } from './context.ts';
import { hostPortBalancerName } from './names.ts';
import type { RowBuilder } from './rows-builder.ts';

/** A pod, or a container outside of Kubernetes, that publishes ports on its node. */
export interface Publisher {
  /** Name of its Logical_Switch_Port. */
  readonly name: string;
  readonly uid: string;
  readonly ports: readonly HostPort[];
  readonly address: Address;
  readonly node: Node;
}

/**
 * Published ports as Load_Balancers for the pods of the default VPC, one for each protocol. Without them a pod's packet would be
 * translated on the publishing node, which would have to put its own address in the place of the client's, or the answer
 * would go straight to the client, past the translation; and policies would take every client for that node. OVN
 * translates where the client is, and the publisher sees the client's own address.
 */
export function hostPortRows(context: CompileContext, rows: RowBuilder, publisher: Publisher): void {
  const { name: port, uid, ports, address, node } = publisher;
  const own = [address.v4, address.v6].filter((text) => text !== undefined);
  for (const [protocol, vips] of publishedAt(ports, node.addresses, own)) {
    const name = hostPortBalancerName(port, protocol);
    const balancer = rows.row('Load_Balancer', `${name}@${uid}`, {
      name,
      protocol,
      vips,
      // A client that keeps sending UDP from one port would otherwise be sent to the predecessor for good.
      options: new Map([['ct_flush', 'true']]),
    });
    rows.member(context.balancerGroup(context.defaultVpc), 'load_balancer', balancer.uuid);
  }
}
