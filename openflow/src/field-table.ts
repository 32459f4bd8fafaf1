/**
 * Every match field, declared once (those of packet headers in packet-field-table.ts): names, widths, formats, prerequisites and numbers are those of ovs-fields(7) and
 * the OpenFlow 1.5.1 specification §7.2.3. Encoder, decoder, text formatter and text parser all read this table.
 * The order is that of encoded matches: prerequisites before what needs them.
 */
import { type FieldDeclaration, nxm, oxm } from './field.ts';
import { ARP, ETHERNET, IP, TRANSPORT } from './packet-field-table.ts';
import { OF15 } from './version.ts';

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

const METADATA: readonly FieldDeclaration[] = [
  {
    name: 'packet_type',
    bits: 32,
    format: 'packet_type',
    maskable: false,
    writable: false,
    codepoints: [oxm('OXM_OF_PACKET_TYPE', 44, OF15)],
  },
  {
    name: 'dp_hash',
    bits: 32,
    format: 'hex',
    writable: false,
    codepoints: [nxm('NXM_NX_DP_HASH', 35), nxm('NXOXM_ET_DP_HASH', 0)],
  },
  {
    name: 'recirc_id',
    bits: 32,
    format: 'decimal',
    maskable: false,
    writable: false,
    codepoints: [nxm('NXM_NX_RECIRC_ID', 36)],
  },
  {
    name: 'conj_id',
    bits: 32,
    format: 'decimal',
    maskable: false,
    writable: false,
    codepoints: [nxm('NXM_NX_CONJ_ID', 37)],
  },
  { name: 'in_port', bits: 16, format: 'port16', maskable: false, codepoints: [nxm('NXM_OF_IN_PORT', 0)] },
  { name: 'in_port_oxm', bits: 32, format: 'port32', maskable: false, codepoints: [oxm('OXM_OF_IN_PORT', 0)] },
  {
    name: 'in_phy_port',
    bits: 32,
    format: 'port32',
    maskable: false,
    writable: false,
    codepoints: [oxm('OXM_OF_IN_PHY_PORT', 1)],
  },
  {
    name: 'actset_output',
    bits: 32,
    format: 'port32',
    maskable: false,
    writable: false,
    codepoints: [oxm('ONFOXM_ET_ACTSET_OUTPUT', 43), oxm('OXM_OF_ACTSET_OUTPUT', 43, OF15)],
  },
];

const TUNNEL: readonly FieldDeclaration[] = [
  {
    name: 'tun_id',
    aliases: ['tunnel_id'],
    bits: 64,
    format: 'hex',
    codepoints: [oxm('OXM_OF_TUNNEL_ID', 38), nxm('NXM_NX_TUN_ID', 16)],
  },
  { name: 'tun_flags', bits: 1, bytes: 2, format: 'tunnel_flags', codepoints: [nxm('NXM_NX_TUN_FLAGS', 104)] },
  { name: 'tun_src', bits: 32, format: 'ipv4', codepoints: [nxm('NXM_NX_TUN_IPV4_SRC', 31)] },
  { name: 'tun_dst', bits: 32, format: 'ipv4', codepoints: [nxm('NXM_NX_TUN_IPV4_DST', 32)] },
  { name: 'tun_ipv6_src', bits: 128, format: 'ipv6', codepoints: [nxm('NXM_NX_TUN_IPV6_SRC', 109)] },
  { name: 'tun_ipv6_dst', bits: 128, format: 'ipv6', codepoints: [nxm('NXM_NX_TUN_IPV6_DST', 110)] },
  { name: 'tun_gbp_id', bits: 16, format: 'decimal', codepoints: [nxm('NXM_NX_TUN_GBP_ID', 38)] },
  { name: 'tun_gbp_flags', bits: 8, format: 'hex', codepoints: [nxm('NXM_NX_TUN_GBP_FLAGS', 39)] },
  { name: 'tun_erspan_idx', bits: 20, format: 'hex', codepoints: [nxm('NXOXM_ET_ERSPAN_IDX', 11)] },
  { name: 'tun_erspan_ver', bits: 4, format: 'decimal', codepoints: [nxm('NXOXM_ET_ERSPAN_VER', 12)] },
  { name: 'tun_erspan_dir', bits: 1, format: 'decimal', codepoints: [nxm('NXOXM_ET_ERSPAN_DIR', 13)] },
  { name: 'tun_erspan_hwid', bits: 6, format: 'hex', codepoints: [nxm('NXOXM_ET_ERSPAN_HWID', 14)] },
  { name: 'tun_gtpu_flags', bits: 8, format: 'hex', writable: false, codepoints: [nxm('NXOXM_ET_GTPU_FLAGS', 15)] },
  {
    name: 'tun_gtpu_msgtype',
    bits: 8,
    format: 'decimal',
    writable: false,
    codepoints: [nxm('NXOXM_ET_GTPU_MSGTYPE', 16)],
  },
  ...range(64).map((n) => ({
    name: `tun_metadata${n}`,
    bits: 992,
    format: 'hex' as const,
    fixedLength: false,
    codepoints: [nxm(`NXM_NX_TUN_METADATA${n}`, 40 + n)],
  })),
];

/** Fields of the network service header. */
const SERVICE_HEADER: readonly FieldDeclaration[] = [
  { name: 'nsh_flags', bits: 8, format: 'decimal', prerequisite: 'nsh', codepoints: [nxm('NXOXM_NSH_FLAGS', 1)] },
  {
    name: 'nsh_ttl',
    bits: 8,
    format: 'decimal',
    maskable: false,
    prerequisite: 'nsh',
    codepoints: [nxm('NXOXM_NSH_TTL', 10)],
  },
  {
    name: 'nsh_mdtype',
    bits: 8,
    format: 'decimal',
    maskable: false,
    writable: false,
    prerequisite: 'nsh',
    codepoints: [nxm('NXOXM_NSH_MDTYPE', 2)],
  },
  {
    name: 'nsh_np',
    bits: 8,
    format: 'decimal',
    maskable: false,
    writable: false,
    prerequisite: 'nsh',
    codepoints: [nxm('NXOXM_NSH_NP', 3)],
  },
  {
    name: 'nsh_spi',
    aliases: ['nsp'],
    bits: 24,
    bytes: 4,
    format: 'hex',
    maskable: false,
    prerequisite: 'nsh',
    codepoints: [nxm('NXOXM_NSH_SPI', 4)],
  },
  {
    name: 'nsh_si',
    aliases: ['nsi'],
    bits: 8,
    format: 'decimal',
    maskable: false,
    prerequisite: 'nsh',
    codepoints: [nxm('NXOXM_NSH_SI', 5)],
  },
  ...[0, 1, 2, 3].map((n) => ({
    name: `nsh_c${n + 1}`,
    aliases: [`nshc${n + 1}`],
    bits: 32,
    format: 'hex' as const,
    prerequisite: 'nsh' as const,
    codepoints: [nxm(`NXOXM_NSH_C${n + 1}`, 6 + n)],
  })),
];

// Open vSwitch 3.7 doubles the registers. The codepoints of the first half are older: NXM numbers 0-15 and 111-114.
const REGISTERS: readonly FieldDeclaration[] = [
  ...range(32).map((n) => ({
    name: `reg${n}`,
    bits: 32,
    format: 'hex' as const,
    codepoints: [n < 16 ? nxm(`NXM_NX_REG${n}`, n) : nxm(`NXOXM_ET_REG${n}`, n + 1)],
  })),
  ...range(16).map((n) => ({
    name: `xreg${n}`,
    bits: 64,
    format: 'hex' as const,
    codepoints: [oxm(`OXM_OF_PKT_REG${n}`, n)],
  })),
  ...range(8).map((n) => ({
    name: `xxreg${n}`,
    bits: 128,
    format: 'hex' as const,
    codepoints: [n < 4 ? nxm(`NXM_NX_XXREG${n}`, 111 + n) : nxm(`NXOXM_ET_XXREG${n}`, 29 + n)],
  })),
];

const CONNECTION: readonly FieldDeclaration[] = [
  { name: 'pkt_mark', bits: 32, format: 'hex', codepoints: [nxm('NXM_NX_PKT_MARK', 33)] },
  { name: 'ct_state', bits: 32, format: 'ct_state', writable: false, codepoints: [nxm('NXM_NX_CT_STATE', 105)] },
  {
    name: 'ct_zone',
    bits: 16,
    format: 'hex',
    maskable: false,
    writable: false,
    codepoints: [nxm('NXM_NX_CT_ZONE', 106)],
  },
  { name: 'ct_mark', bits: 32, format: 'hex', codepoints: [nxm('NXM_NX_CT_MARK', 107)] },
  { name: 'ct_label', bits: 128, format: 'hex', codepoints: [nxm('NXM_NX_CT_LABEL', 108)] },
  {
    name: 'ct_nw_src',
    bits: 32,
    format: 'ipv4',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_NW_SRC', 120)],
  },
  {
    name: 'ct_ipv6_src',
    bits: 128,
    format: 'ipv6',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_IPV6_SRC', 122)],
  },
  {
    name: 'ct_nw_dst',
    bits: 32,
    format: 'ipv4',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_NW_DST', 121)],
  },
  {
    name: 'ct_ipv6_dst',
    bits: 128,
    format: 'ipv6',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_IPV6_DST', 123)],
  },
  {
    name: 'ct_nw_proto',
    bits: 8,
    format: 'decimal',
    maskable: false,
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_NW_PROTO', 119)],
  },
  {
    name: 'ct_tp_src',
    bits: 16,
    format: 'decimal',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_TP_SRC', 124)],
  },
  {
    name: 'ct_tp_dst',
    bits: 16,
    format: 'decimal',
    writable: false,
    prerequisite: 'ct',
    codepoints: [nxm('NXM_NX_CT_TP_DST', 125)],
  },
  { name: 'metadata', bits: 64, format: 'hex', codepoints: [oxm('OXM_OF_METADATA', 2)] },
];

/** The declarations in encoding order. */
export const FIELD_DECLARATIONS: readonly FieldDeclaration[] = [
  ...METADATA,
  ...ETHERNET,
  ...IP,
  ...TRANSPORT,
  ...ARP,
  ...TUNNEL,
  ...SERVICE_HEADER,
  ...REGISTERS,
  ...CONNECTION,
];
