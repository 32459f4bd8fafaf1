/** A flow table like those of a node's pipeline: classification, policies, load balancing, ARP, VLANs, both families. */

const byte = (number: number): string => (number & 0xff).toString(16).padStart(2, '0');
const ipv4 = (number: number): string => `10.${(number >> 16) & 0xff}.${(number >> 8) & 0xff}.${number & 0xff}`;

/** What one flow in eight is. */
const KINDS: readonly ((at: number) => string)[] = [
  (at) => `table=10,priority=200,ip,in_port=${1 + (at % 60)},nw_src=${ipv4(at)},actions=goto_table:20`,
  (at) => `table=20,priority=190,tcp,nw_dst=${ipv4(at)},tp_dst=${80 + (at % 1000)},actions=ct(table=30,zone=65520,nat)`,
  (at) =>
    `table=30,priority=100,ct_state=+trk+new-inv,ip,nw_dst=${ipv4(at)},reg0=0x${byte(at)}/0xff,actions=conjunction(${at + 1},1/2)`,
  (at) =>
    `table=40,priority=210,arp,arp_tpa=${ipv4(at)},arp_op=1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:02:00:00:00:00:01->eth_src,set_field:2->arp_op,IN_PORT`,
  (at) =>
    `table=50,priority=200,dl_vlan=${1 + (at % 4000)},dl_dst=02:00:0a:${byte(at >> 16)}:${byte(at >> 8)}:${byte(at)},actions=pop_vlan,output:${1 + (at % 60)}`,
  (at) =>
    `table=60,priority=200,udp,nw_dst=${ipv4(at)},tp_dst=${1 + (at % 60000)},actions=set_field:0x${at.toString(16)}->reg1,set_field:0x10000/0x70000->reg4,resubmit(,61)`,
  (at) =>
    `table=70,priority=150,ipv6,ipv6_dst=fd00:10:16::${(at >> 16).toString(16)}:${(at & 0xffff).toString(16)},actions=set_field:02:00:00:00:00:02->eth_dst,dec_ttl,output:${1 + (at % 60)}`,
  (at) =>
    `table=80,priority=100,metadata=0x${(at % 500).toString(16)},reg15=0x${at.toString(16)},actions=load:0x1->NXM_NX_REG10[0],output:NXM_NX_REG15[0..15]`,
];

/** So many flows, one a line, as `ovs-ofctl add-flows` reads them. */
export function flowFile(count: number): string {
  let text = '';
  for (let at = 0; at < count; at += 1) {
    text += `cookie=0x${(0x1_0002_0000_0000 + at).toString(16)},${KINDS[at % KINDS.length]?.(at)}\n`;
  }
  return text;
}
