/**
 * Actions and instructions as values. As in ovs-ofctl, one list holds both: what belongs into an Apply-Actions
 * instruction and what is an instruction of its own is known from the type. Names are those of ovs-actions(7).
 */
import type { Field, FieldValue } from './field.ts';
import type { Subfield } from './subfield.ts';

/** Sends the packet to a port. */
export interface Output {
  readonly type: 'output';
  readonly port: number;
  /** To a controller: how many bytes of the packet, at most; 0xffff: all of it. */
  readonly maxLen?: number | undefined;
}

/** Sends the packet to the port whose number a field holds. */
export interface OutputReg {
  readonly type: 'output_reg';
  readonly src: Subfield;
  readonly maxLen?: number | undefined;
}

/** Sends at most so many bytes of the packet to a port. */
export interface OutputTrunc {
  readonly type: 'output_trunc';
  readonly port: number;
  readonly maxLen: number;
}

/** Sends the packet to a controller. */
export interface Controller {
  readonly type: 'controller';
  /** How many bytes of the packet at most; default 0xffff, all of it. */
  readonly maxLen?: number | undefined;
  /** Only controllers with this id get it (NXT_SET_CONTROLLER_ID); default 0. */
  readonly controllerId?: number | undefined;
  readonly reason?: PacketInReason | undefined;
  /** Comes back in the packet-in. */
  readonly userdata?: Uint8Array | undefined;
  /** Stop until the controller resumes the packet (NXT_RESUME). */
  readonly pause?: boolean | undefined;
  readonly meter?: number | undefined;
}

/** Why a packet was sent to a controller (OpenFlow 1.5.1 §7.4.1); a number for what has no word. */
export type PacketInReason = 'no_match' | 'action' | 'invalid_ttl' | 'action_set' | 'group' | 'packet_out' | number;

/** Runs a group. */
export interface Group {
  readonly type: 'group';
  readonly group: number;
}

/** Sets the queue of later outputs. */
export interface SetQueue {
  readonly type: 'set_queue';
  readonly queue: number;
}

/** Pushes a VLAN tag. */
export interface PushVlan {
  readonly type: 'push_vlan';
  readonly ethertype: number;
}

/** Pushes an MPLS label. */
export interface PushMpls {
  readonly type: 'push_mpls';
  readonly ethertype: number;
}

/** Pops an MPLS label. */
export interface PopMpls {
  readonly type: 'pop_mpls';
  /** What the packet is then. */
  readonly ethertype: number;
}

/** Sets a time to live. */
export interface SetTtl {
  readonly type: 'mod_nw_ttl' | 'set_mpls_ttl';
  readonly ttl: number;
}

/** Decrements the IP time to live. */
export interface DecTtl {
  readonly type: 'dec_ttl';
  /** Controllers that hear of packets whose time is up; default those with id 0. */
  readonly controllerIds?: readonly number[] | undefined;
}

/** Actions that say it all by their name. */
export interface Plain {
  readonly type:
    | 'pop_vlan'
    | 'pop_queue'
    | 'dec_mpls_ttl'
    | 'copy_ttl_out'
    | 'copy_ttl_in'
    | 'dec_nsh_ttl'
    | 'ct_clear'
    | 'exit'
    | 'clear_actions';
}

/** Sets a field, or the bits of it that the mask has. */
export interface SetField {
  readonly type: 'set_field';
  readonly field: Field;
  readonly value: FieldValue;
  /** Undefined for the whole field. */
  readonly mask?: FieldValue | undefined;
}

/** Sets bits of a field. OpenFlow 1.5 writes it as a set_field with a mask, and gives it back as one. */
export interface Load {
  readonly type: 'load';
  readonly dst: Subfield;
  readonly value: FieldValue;
}

/** Copies bits. */
export interface Move {
  readonly type: 'move';
  readonly src: Subfield;
  readonly dst: Subfield;
}

/** Pushes bits on the stack, pops them from it. */
export interface Stack {
  readonly type: 'push' | 'pop';
  readonly subfield: Subfield;
}

/** Deletes a field (tunnel options). */
export interface DeleteField {
  readonly type: 'delete_field';
  readonly field: Field;
}

/** Sets a bit when the packet is larger than so many bytes. */
export interface CheckPktLarger {
  readonly type: 'check_pkt_larger';
  readonly length: number;
  readonly dst: Subfield;
}

/** Looks the packet up again. */
export interface Resubmit {
  readonly type: 'resubmit';
  /** As if it came in there; default IN_PORT, the port it did come in on. */
  readonly port?: number | undefined;
  /** In that table; default 255, the table of the flow. */
  readonly table?: number | undefined;
  /** With the addresses of the original direction of its connection. */
  readonly ct?: boolean | undefined;
}

/** Runs actions on a copy. */
export interface Clone {
  readonly type: 'clone';
  readonly actions: readonly Action[];
}

/** Part of a conjunctive match (ovs-fields(7)). */
export interface Conjunction {
  readonly type: 'conjunction';
  readonly id: number;
  /** From 1 to `clauses`. */
  readonly clause: number;
  readonly clauses: number;
}

/** Sends the packet to the connection tracker. */
export interface Ct {
  readonly type: 'ct';
  readonly commit?: boolean | undefined;
  /** Replaces a connection that exists in the other direction. */
  readonly force?: boolean | undefined;
  /** A number, or where it stands; default 0. */
  readonly zone?: number | Subfield | undefined;
  /** Continue there; undefined: do not. */
  readonly table?: number | undefined;
  /** 21 for ftp, 69 for tftp. */
  readonly alg?: number | undefined;
  readonly nat?: Nat | undefined;
  /** Run when the connection is committed; they may set ct_mark and ct_label. */
  readonly exec?: readonly Action[] | undefined;
}

/** Address translation of a connection. Without `kind`: as the connection was set up. */
export interface Nat {
  readonly kind?: 'src' | 'dst' | undefined;
  readonly min?: NatAddress | undefined;
  readonly max?: NatAddress | undefined;
  readonly portMin?: number | undefined;
  readonly portMax?: number | undefined;
  readonly persistent?: boolean | undefined;
  readonly hash?: boolean | undefined;
  readonly random?: boolean | undefined;
}

/** A number is an IPv4 address, a bigint an IPv6 one. */
export type NatAddress = number | bigint;

/** Part of a flow that `learn` makes. */
export type LearnSpec =
  | { readonly kind: 'match'; readonly src: LearnSource; readonly dst: Subfield }
  | { readonly kind: 'load'; readonly src: LearnSource; readonly dst: Subfield }
  | { readonly kind: 'output'; readonly src: LearnSource };

/** A value, or where it stands in the packet. */
export type LearnSource = { readonly value: bigint; readonly bits: number } | Subfield;

/** Adds a flow made from the packet. */
export interface Learn {
  readonly type: 'learn';
  readonly table?: number | undefined;
  readonly idleTimeout?: number | undefined;
  readonly hardTimeout?: number | undefined;
  readonly finIdleTimeout?: number | undefined;
  readonly finHardTimeout?: number | undefined;
  readonly priority?: number | undefined;
  readonly cookie?: bigint | undefined;
  readonly sendFlowRem?: boolean | undefined;
  readonly deleteLearned?: boolean | undefined;
  /** At most so many flows with this cookie. */
  readonly limit?: number | undefined;
  /** Set to 1 when the flow was added, to 0 when it was not. */
  readonly resultDst?: Subfield | undefined;
  readonly specs: readonly LearnSpec[];
}

/** Carries bytes; does nothing. */
export interface Note {
  readonly type: 'note';
  readonly data: Uint8Array;
}

/** Shortens the timeouts of the flow when TCP ends. */
export interface FinTimeout {
  readonly type: 'fin_timeout';
  readonly idleTimeout: number;
  readonly hardTimeout: number;
}

/** Hashes a packet to a link number. */
export interface Multipath {
  readonly type: 'multipath';
  readonly fields: HashFields;
  readonly basis: number;
  readonly algorithm: 'modulo_n' | 'hash_threshold' | 'hrw' | 'iter_hash' | number;
  readonly links: number;
  readonly arg: number;
  readonly dst: Subfield;
}

/** What is hashed (ovs-actions(7)). */
export type HashFields =
  | 'eth_src'
  | 'symmetric_l4'
  | 'symmetric_l3l4'
  | 'symmetric_l3l4+udp'
  | 'nw_src'
  | 'nw_dst'
  | 'symmetric_l3'
  | number;

/** Chooses a port and sends the packet there, or loads its number. */
export interface Bundle {
  readonly type: 'bundle';
  readonly fields: HashFields;
  readonly basis: number;
  readonly algorithm: 'active_backup' | 'hrw' | number;
  readonly members: readonly number[];
  /** Where the port's number goes; undefined: send the packet. */
  readonly dst?: Subfield | undefined;
}

/** Samples packets. */
export interface Sample {
  readonly type: 'sample';
  /** Out of 65,535. */
  readonly probability: number;
  readonly collectorSetId?: number | undefined;
  /** Or the field that holds it (Open vSwitch 3.4). */
  readonly obsDomainId?: number | Subfield | undefined;
  readonly obsPointId?: number | Subfield | undefined;
  readonly samplingPort?: number | undefined;
  readonly direction?: 'ingress' | 'egress' | undefined;
}

/** Adds a header. */
export interface Encap {
  readonly type: 'encap';
  /** Namespace and type (OpenFlow 1.5.1 §7.2.3.11). */
  readonly packetType: number;
  readonly headerSize?: number | undefined;
  readonly properties?: readonly EncapProperty[] | undefined;
}

/** A property of a new header: class 4 is NSH; type 1 is its metadata type, type 2 a TLV. */
export interface EncapProperty {
  readonly propertyClass: number;
  readonly propertyType: number;
  readonly data: Uint8Array;
}

/** Removes a header. */
export interface Decap {
  readonly type: 'decap';
  /** What the packet is then; 0xfffe: find out. */
  readonly packetType?: number | undefined;
}

/** Applies a meter: an instruction up to OpenFlow 1.4, an action since 1.5. */
export interface Meter {
  readonly type: 'meter';
  readonly meter: number;
}

/** Instruction: sets metadata. */
export interface WriteMetadata {
  readonly type: 'write_metadata';
  readonly value: bigint;
  readonly mask?: bigint | undefined;
}

/**
 * The same as an action, Nicira's, from before there were instructions. Open vSwitch reads it as the instruction, and
 * prints it alike.
 */
export interface WriteMetadataAction {
  readonly type: 'nx_write_metadata';
  readonly value: bigint;
  readonly mask?: bigint | undefined;
}

/** Instruction: adds to the action set. */
export interface WriteActions {
  readonly type: 'write_actions';
  readonly actions: readonly Action[];
}

/** Instruction: continues in a later table. */
export interface GotoTable {
  readonly type: 'goto_table';
  readonly table: number;
}

/** An action that this package does not know, kept as it is. */
export interface UnknownAction {
  readonly type: 'unknown_action';
  /** With its header. */
  readonly data: Uint8Array;
}

/** An instruction that this package does not know, kept as it is. */
export interface UnknownInstruction {
  readonly type: 'unknown_instruction';
  /** With its header. */
  readonly data: Uint8Array;
}

/** Any action or instruction. */
export type Action =
  | Output
  | OutputReg
  | OutputTrunc
  | Controller
  | Group
  | SetQueue
  | PushVlan
  | PushMpls
  | PopMpls
  | SetTtl
  | DecTtl
  | Plain
  | SetField
  | Load
  | Move
  | Stack
  | DeleteField
  | CheckPktLarger
  | Resubmit
  | Clone
  | Conjunction
  | Ct
  | Learn
  | Note
  | FinTimeout
  | Multipath
  | Bundle
  | Sample
  | Encap
  | Decap
  | Meter
  | WriteMetadata
  | WriteMetadataAction
  | WriteActions
  | GotoTable
  | UnknownAction
  | UnknownInstruction;
