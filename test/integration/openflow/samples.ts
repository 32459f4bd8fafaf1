/** Texts that name every field and every action, in ovs-ofctl syntax. */
import { type Action, FIELDS, type Field, type FieldFormat, type Prerequisite } from '@ovenbird/openflow';

/** Fields that Open vSwitch 3.1 does not have; each is checked to be refused by it. */
export const NEWER: ReadonlySet<string> = new Set([
  ...Array.from({ length: 16 }, (_, n) => `reg${16 + n}`),
  ...Array.from({ length: 8 }, (_, n) => `xreg${8 + n}`),
  ...Array.from({ length: 4 }, (_, n) => `xxreg${4 + n}`),
  // Of OpenFlow, and never of Open vSwitch.
  ...['in_phy_port', 'pbb_isid', 'pbb_uca', 'ipv6_exthdr'],
]);

/** Fields that a flow of OpenFlow 1.3 to 1.5 has no text for. */
const WITHOUT_TEXT: ReadonlySet<string> = new Set([
  // Only the 32-bit form can be said.
  'in_port',
]);

/** What a match must say besides. */
const NEEDS: Readonly<Record<Prerequisite, string>> = {
  none: '',
  ethernet: '',
  vlan: 'vlan_tci=0x1000/0x1000,',
  arp: 'arp,',
  ipv4: 'ip,',
  ipv6: 'ipv6,',
  ip: 'ip,',
  mpls: 'mpls,',
  nsh: 'eth_type=0x894f,',
  tcp: 'tcp,',
  udp: 'udp,',
  sctp: 'sctp,',
  icmpv4: 'icmp,',
  icmpv6: 'icmp6,',
  nd: 'icmp6,icmp_type=136,icmp_code=0,',
  nd_solicit: 'icmp6,icmp_type=135,icmp_code=0,',
  nd_advert: 'icmp6,icmp_type=136,icmp_code=0,',
  ct: 'ct_state=+trk+est,ip,',
};

/** Fields that mean something only beside another one, so that Open vSwitch leaves them out without it. */
const BESIDE: Readonly<Record<string, string>> = {
  tun_erspan_idx: 'tun_erspan_ver=1,',
  tun_erspan_dir: 'tun_erspan_ver=2,',
  tun_erspan_hwid: 'tun_erspan_ver=2,',
  nsh_c1: 'nsh_mdtype=1,',
  nsh_c2: 'nsh_mdtype=1,',
  nsh_c3: 'nsh_mdtype=1,',
  nsh_c4: 'nsh_mdtype=1,',
  ct_tp_src: 'ct_nw_proto=6,',
  ct_tp_dst: 'ct_nw_proto=6,',
};

/** Fields whose range is smaller than their width. */
const OWN_VALUES: Readonly<Record<string, readonly [exact: string, masked: string]>> = {
  arp_op: ['2', '2'],
  nsh_ttl: ['63', '63'],
  nsh_mdtype: ['1', '1'],
  nw_tos: ['16', '16'],
  vlan_vid: ['0x1005', '0x1001/0x100f'],
};

/** A value of a format and, for fields that take masks, one with a mask. */
const VALUES: Readonly<Partial<Record<FieldFormat, readonly [exact: string, masked: string]>>> = {
  ethernet: ['02:00:5e:10:00:07', '01:00:00:00:00:00/01:00:00:00:00:00'],
  ipv4: ['10.1.2.3', '10.1.0.0/255.255.0.255'],
  ipv6: ['fd00:10::1:2', 'fd00:10::/64'],
  port32: ['7', '7'],
  frag: ['later', 'no'],
  tunnel_flags: ['oam', '+oam'],
  tcp_flags: ['0x12', '+syn-ack'],
  ct_state: ['0x21', '+trk-inv'],
  packet_type: ['(1,0x800)', '(1,0x800)'],
};

/** A few bits set, of as many as the field has. */
function numbers({ bits, fixedLength }: Field): readonly [exact: string, masked: string] {
  const ones = (1n << BigInt(fixedLength ? bits : 32)) - 1n;
  const value = 0x1234_5678_9abc_def0_1234_5678_9abc_def1n & ones;
  const mask = 0x00ff_0f0f_00ff_0f0f_00ff_0f0f_00ff_0f0fn & ones;
  const text = (number: bigint): string => `0x${number.toString(16)}`;
  return [text(value), mask === 0n ? text(value) : `${text(value & mask)}/${text(mask)}`];
}

const valuesOf = (field: Field): readonly [exact: string, masked: string] =>
  OWN_VALUES[field.name] ?? VALUES[field.format] ?? numbers(field);

/** Matches with this field. */
export function matchesWith(field: Field): readonly string[] {
  if (WITHOUT_TEXT.has(field.name)) return [];
  const name = field.name === 'in_port_oxm' ? 'in_port' : field.name;
  const needs = field.name.startsWith('ct_ipv6') ? 'ct_state=+trk+est,ipv6,' : NEEDS[field.prerequisite];
  const [exact, masked] = valuesOf(field);
  // All bits of a field that does not fill its bytes, by a mask: not the same as no mask.
  const all = field.bits < field.bytes * 8 && masked.includes('/') ? [`${exact}/0x${field.ones.toString(16)}`] : [];
  const values = [exact, ...(field.maskable && masked !== exact ? [masked, ...all] : [])];
  return values.map((value) => `${needs}${BESIDE[field.name] ?? ''}${name}=${value}`);
}

/** Actions on this field, with the match that they need. */
export function actionsOn(field: Field): readonly string[] {
  // Open vSwitch calls every value of in_port a bad argument.
  if (WITHOUT_TEXT.has(field.name) || field.name === 'in_port_oxm' || !field.writable) return [];
  const needs = field.name === 'vlan_vid' ? 'vlan_tci=0x1000/0x1000,' : NEEDS[field.prerequisite];
  const [exact, masked] = valuesOf(field);
  const values = [exact, ...(field.maskable && masked !== exact && field.format !== 'tunnel_flags' ? [masked] : [])];
  const actions = values.map((value) => `set_field:${value}->${field.name}`);
  // Fields of the connection tracker can be set when a connection is committed only.
  const isTracked = field.name.startsWith('ct_');
  return actions.map((action) => (isTracked ? `ip,actions=ct(commit,exec(${action}))` : `${needs}actions=${action}`));
}

/** Fields that can be tried with Open vSwitch 3.1. */
export const KNOWN: readonly Field[] = FIELDS.filter((field) => !NEWER.has(field.name));

/** The texts of every action; the compiler finds one that is missing. A match that an action needs stands in front. */
export const ACTION_TEXTS: Readonly<Record<Action['type'], readonly string[]>> = {
  output: [
    ...['actions=output:7', 'actions=NORMAL', 'actions=FLOOD', 'actions=ALL', 'actions=LOCAL', 'actions=IN_PORT'],
    ...['actions=CONTROLLER', 'actions=CONTROLLER:128', 'actions=controller(max_len=99)', 'actions=7', 'actions=TABLE'],
    'actions=enqueue:3:4',
  ],
  output_reg: ['actions=output:NXM_NX_REG1[0..15]', 'actions=output:reg3', 'actions=output:NXM_NX_XXREG1[32..63]'],
  output_trunc: ['actions=output(port=3,max_len=100)'],
  controller: [
    ...[
      'actions=controller(reason=no_match)',
      'actions=controller(id=5)',
      'actions=controller(reason=invalid_ttl,id=5)',
    ],
    ...['actions=controller(userdata=01.02.03.04.05)', 'actions=controller(pause)', 'actions=controller(meter_id=3)'],
    'actions=controller(reason=group,max_len=77,id=3,userdata=ff,pause,meter_id=5)',
  ],
  group: ['actions=group:9'],
  set_queue: ['actions=set_queue:4294967295'],
  push_vlan: ['actions=push_vlan:0x8100', 'actions=push_vlan:0x88a8'],
  push_mpls: ['ip,actions=push_mpls:0x8847'],
  pop_mpls: ['mpls,actions=pop_mpls:0x0800'],
  mod_nw_ttl: ['ip,actions=mod_nw_ttl:64'],
  set_mpls_ttl: ['mpls,actions=set_mpls_ttl:7'],
  dec_ttl: ['ip,actions=dec_ttl', 'ip,actions=dec_ttl(1,2,3,4)'],
  pop_vlan: ['vlan_tci=0x1000/0x1000,actions=pop_vlan', 'vlan_tci=0x1000/0x1000,actions=strip_vlan'],
  pop_queue: ['actions=pop_queue'],
  dec_mpls_ttl: ['mpls,actions=dec_mpls_ttl'],
  copy_ttl_out: [],
  copy_ttl_in: [],
  dec_nsh_ttl: ['eth_type=0x894f,actions=dec_nsh_ttl'],
  ct_clear: ['actions=ct_clear'],
  exit: ['actions=exit'],
  clear_actions: ['actions=clear_actions', 'actions=output:1,clear_actions,goto_table:5'],
  set_field: [
    ...['actions=set_tunnel:5', 'actions=set_tunnel64:0x123456789', 'actions=mod_dl_src:02:00:00:00:00:01'],
    ...['actions=mod_dl_dst:02:00:00:00:00:01', 'ip,actions=mod_nw_src:10.0.0.1', 'ip,actions=mod_nw_dst:10.0.0.1'],
    ...[
      'ip,actions=mod_nw_tos:16',
      'ip,actions=mod_nw_ecn:2',
      'mpls,actions=set_mpls_label:5',
      'mpls,actions=set_mpls_tc:3',
    ],
  ],
  load: [
    ...['actions=load:0x5->NXM_NX_REG1[]', 'actions=load:0x5->NXM_NX_REG1[4..7]', 'actions=load:1->reg2[31]'],
    ...['ip,actions=load:0xa000001->NXM_OF_IP_SRC[]', 'actions=load:0xff->NXM_NX_XXREG0[64..71]'],
    'actions=load:0x7->OXM_OF_METADATA[8..11]',
  ],
  move: [
    ...['actions=move:NXM_NX_REG1[0..15]->NXM_NX_REG2[16..31]', 'actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]'],
    ...['actions=move:NXM_NX_XXREG0[]->NXM_NX_XXREG1[]', 'ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]'],
    ...[
      'actions=move:OXM_OF_PKT_REG1[]->OXM_OF_METADATA[]',
      'actions=move:NXM_NX_TUN_METADATA0[16..30]->NXM_NX_REG14[0..14]',
    ],
    'actions=move:NXM_NX_TUN_ID[0..23]->OXM_OF_METADATA[0..23]',
  ],
  push: ['actions=push:NXM_NX_REG1[]', 'actions=push:NXM_NX_REG1[3..7]'],
  pop: ['actions=pop:NXM_NX_REG2[]', 'actions=pop:NXM_OF_ETH_DST[]'],
  delete_field: ['actions=delete_field:tun_metadata3'],
  check_pkt_larger: ['actions=check_pkt_larger(1500)->NXM_NX_REG0[3]'],
  resubmit: [
    ...['actions=resubmit:7', 'actions=resubmit(7,5)', 'actions=resubmit(,5)', 'actions=resubmit(LOCAL,)'],
    ...[
      'ct_state=+trk+est,ip,actions=resubmit(,5,ct)',
      'ct_state=+trk+est,ip,actions=resubmit(2,5,ct)',
      'actions=resubmit(2,)',
    ],
  ],
  clone: ['actions=clone(output:1,set_field:5->reg0,clone(output:2)),output:3'],
  conjunction: ['ip,actions=conjunction(4294967295,1/2),conjunction(8,64/64)'],
  ct: [
    ...['ip,actions=ct', 'ip,actions=ct()', 'ip,actions=ct(commit)', 'ip,actions=ct(table=7,zone=5)'],
    ...[
      'ip,actions=ct(zone=NXM_NX_REG4[0..15],table=3,nat)',
      'ip,actions=ct(commit,force,zone=2)',
      'tcp,actions=ct(commit,alg=ftp)',
    ],
    ...['udp,actions=ct(commit,alg=tftp)', 'ip,actions=ct(commit,nat(src))', 'ip,actions=ct(commit,nat(src=10.0.0.1))'],
    ...[
      'ip,actions=ct(commit,nat(src=10.0.0.1-10.0.0.9:1000-2000,random,persistent))',
      'ip,actions=ct(commit,nat(dst=10.0.0.1:80,hash))',
    ],
    ...[
      'ipv6,actions=ct(commit,nat(dst=fd00::1))',
      'ipv6,actions=ct(commit,nat(dst=[fd00::1]:80))',
      'ipv6,actions=ct(commit,nat(src=fd00::1-fd00::9))',
    ],
    ...['ip,actions=ct(commit,exec(load:0x5->NXM_NX_CT_MARK[0..7],set_field:0x1/0xf->ct_label))'],
    'ip,actions=ct(commit,zone=1,nat(dst=10.0.0.1),exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[]))',
  ],
  learn: [
    'actions=learn(table=2,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])',
    'tcp,actions=learn(table=3,idle_timeout=1,hard_timeout=2,fin_idle_timeout=3,fin_hard_timeout=4,priority=5,cookie=0x6,send_flow_rem,delete_learned,eth_type=0x800,nw_proto=6,NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],load:NXM_NX_REG0[0..7]->NXM_NX_REG1[8..15],load:0x5->NXM_NX_REG2[])',
    'ip,actions=learn(table=3,limit=7,result_dst=NXM_NX_REG0[3],eth_type=0x800,nw_src=10.0.0.1,reg5[0..3]=0x7)',
    'ip,actions=learn(table=3,limit=9,NXM_NX_REG1[])',
    'actions=learn(table=3)',
  ],
  note: ['actions=note:', 'actions=note:01.02.03', 'actions=note:00.01.02.03.04.05.06.07.08'],
  fin_timeout: ['tcp,actions=fin_timeout(idle_timeout=5)', 'tcp,actions=fin_timeout(idle_timeout=5,hard_timeout=9)'],
  multipath: [
    'actions=multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])',
    'actions=multipath(symmetric_l4,1024,hrw,12,7,NXM_NX_REG0[4..7])',
    'actions=multipath(symmetric_l3l4+udp,7,iter_hash,3,9,NXM_NX_REG1[0..7])',
    'actions=multipath(nw_src,0,hash_threshold,3,0,NXM_NX_REG1[0..7])',
  ],
  bundle: [
    'actions=bundle(eth_src,0,hrw,ofport,members:4,8)',
    'actions=bundle(nw_dst,7,active_backup,ofport,members:)',
    'actions=bundle_load(symmetric_l3,60,hrw,ofport,NXM_NX_REG0[],members:1,2,3)',
  ],
  sample: [
    'actions=sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3)',
    'actions=sample(probability=12345,sampling_port=7)',
    'actions=sample(probability=12345,collector_set_id=1,sampling_port=7,ingress)',
    'actions=sample(probability=12345,collector_set_id=1,egress)',
  ],
  encap: [
    ...['actions=encap(nsh)', 'actions=encap(nsh(md_type=1))', 'packet_type=(1,0x800),actions=encap(ethernet)'],
    'actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876543210)))',
  ],
  decap: [
    'actions=decap()',
    'eth_type=0x894f,actions=decap(packet_type(ns=0,type=0))',
    'eth_type=0x894f,actions=decap()',
  ],
  meter: ['actions=meter:5', 'actions=meter:5,output:1,goto_table:3'],
  write_metadata: [
    'actions=write_metadata:0x5',
    'actions=write_metadata:0x5/0xff',
    'actions=output:1,write_metadata:0x5/0xff,goto_table:9',
  ],
  write_actions: ['actions=write_actions(output:1)', 'actions=write_actions(set_field:5->reg0,group:7),goto_table:200'],
  goto_table: ['actions=goto_table:254'],
  unknown_action: [],
  // ovs-ofctl sends the instruction instead: messages.test prints it.
  nx_write_metadata: [],
  unknown_instruction: [],
};
