import { publishedAt } from '../pod/host-ports.ts';
import type { Address, Node, Pod } from '../store/model.ts';
import type { CompileContext } from './context.ts';
import { hostPortBalancerName } from './names.ts';
import type { RowBuilder } from './rows-builder.ts';

/**
 * A pod's published ports as Load_Balancers for the pods of its VPC, one for each protocol. Without them a pod's packet would be
 * translated on the publishing node, which would have to put its own address in the place of the client's, or the answer
 * would go straight to the client, past the translation; and policies would take every client for that node. OVN
 * translates where the client is, and the pod sees the client's own address.
 */
export function hostPortRows(context: CompileContext, rows: RowBuilder, pod: Pod, address: Address, node: Node): void {
  if (pod.hostPorts === undefined) return;
  const own = [address.v4, address.v6].filter((text) => text !== undefined);
  for (const [protocol, vips] of publishedAt(pod.hostPorts, node.addresses, own)) {
    const name = hostPortBalancerName(pod.namespace, pod.name, protocol);
    const balancer = rows.row('Load_Balancer', `${name}@${pod.uid}`, {
      name,
      protocol,
      vips,
      // A client that keeps sending UDP from one port would otherwise be sent to the pod's predecessor for good.
      options: new Map([['ct_flush', 'true']]),
    });
    rows.member(context.balancerGroup(context.defaultVpc), 'load_balancer', balancer.uuid);
  }
}
