/** Actions without arguments or with one number: numbers of OpenFlow 1.5.1 §7.2.6 and of ovs-actions(7). */
import type { Action, Group, Meter, Plain, PopMpls, PushMpls, PushVlan, SetQueue, SetTtl } from '../action.ts';
import { type ActionForm, type ActionSpec, erase, type Versions, versions } from '../action-spec.ts';
import { needArgument } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { type Item, layout } from '../layout.ts';
import { paddedHex, parseNumber } from '../number-text.ts';
import { NX, OF15 } from '../version.ts';

/** A form with a fixed layout. */
function fixed<A extends Action>(
  vendor: number,
  code: number,
  items: readonly Item<A>[],
  constant: Readonly<Partial<A>>,
  range: Versions = {},
): ActionForm<A> {
  const body = layout<A>().struct(items, constant);
  return {
    vendor,
    code,
    ...versions(range),
    read: (r, c) => body.read(r, c.version),
    write: (w, action, c) => body.write(w, action, c.version),
  };
}

/** An action without arguments. A standard one has 4 bytes of padding, Nicira's has 6. */
function plain(
  type: Plain['type'],
  vendor: number,
  code: number,
  words: readonly string[] = [type],
): ActionSpec<Plain> {
  return {
    types: [type],
    forms: [fixed<Plain>(vendor, code, [layout<Plain>().pad(vendor === 0 ? 4 : 6)], { type })],
    words,
    format: () => type,
    parse: (word, args) => {
      if (args !== undefined && args !== '') throw new OpenFlowError('syntax', `${word} takes no argument`);
      return { type };
    },
  };
}

/** An action of one number, `word:number`. */
function numbered<A extends Action>(
  type: A['type'],
  key: keyof A & string,
  form: ActionForm<A>,
  text: {
    readonly max: number;
    readonly word?: string;
    readonly format?: (value: number) => string;
    readonly inParentheses?: boolean;
  },
): ActionSpec<A> {
  const word = text.word ?? type;
  const format = text.format ?? String;
  return {
    types: [type],
    forms: [form],
    words: [word],
    format: (action) => {
      const number = format((action as unknown as Readonly<Record<string, number>>)[key] ?? 0);
      return text.inParentheses === true ? `${word}(${number})` : `${word}:${number}`;
    },
    parse: (name, args) => ({ type, [key]: parseNumber(needArgument(name, args), text.max, name) }) as unknown as A,
  };
}

const ethertype = (value: number): string => paddedHex(value, 4);
const vlan = layout<PushVlan>();
const push = layout<PushMpls>();
const pop = layout<PopMpls>();
const ttl = layout<SetTtl>();
const queue = layout<SetQueue>();
const group = layout<Group>();
const meter = layout<Meter>();

export const SIMPLE_ACTIONS: readonly ActionSpec<Action>[] = [
  erase(plain('pop_vlan', 0, 18, ['pop_vlan', 'strip_vlan'])),
  erase(plain('dec_mpls_ttl', 0, 16)),
  erase(plain('copy_ttl_out', 0, 11)),
  erase(plain('copy_ttl_in', 0, 12)),
  erase(plain('pop_queue', NX, 5)),
  erase(plain('dec_nsh_ttl', NX, 48)),
  erase(plain('ct_clear', NX, 43)),
  erase(plain('exit', NX, 17)),
  erase(
    numbered<PushVlan>(
      'push_vlan',
      'ethertype',
      fixed(0, 17, [vlan.u16('ethertype'), vlan.pad(2)], { type: 'push_vlan' }),
      {
        max: 0xffff,
        format: ethertype,
      },
    ),
  ),
  erase(
    numbered<PushMpls>(
      'push_mpls',
      'ethertype',
      fixed(0, 19, [push.u16('ethertype'), push.pad(2)], { type: 'push_mpls' }),
      {
        max: 0xffff,
        format: ethertype,
      },
    ),
  ),
  erase(
    numbered<PopMpls>('pop_mpls', 'ethertype', fixed(0, 20, [pop.u16('ethertype'), pop.pad(2)], { type: 'pop_mpls' }), {
      max: 0xffff,
      format: ethertype,
    }),
  ),
  erase(
    numbered<SetTtl>('mod_nw_ttl', 'ttl', fixed(0, 23, [ttl.u8('ttl'), ttl.pad(3)], { type: 'mod_nw_ttl' }), {
      max: 255,
    }),
  ),
  erase(
    numbered<SetTtl>('set_mpls_ttl', 'ttl', fixed(0, 15, [ttl.u8('ttl'), ttl.pad(3)], { type: 'set_mpls_ttl' }), {
      max: 255,
      inParentheses: true,
    }),
  ),
  erase(
    numbered<SetQueue>('set_queue', 'queue', fixed(0, 21, [queue.u32('queue')], { type: 'set_queue' }), {
      max: 0xffff_ffff,
    }),
  ),
  erase(numbered<Group>('group', 'group', fixed(0, 22, [group.u32('group')], { type: 'group' }), { max: 0xffff_ffff })),
  // Up to 1.4 it is an instruction: see instruction.ts.
  erase(
    numbered<Meter>('meter', 'meter', fixed(0, 29, [meter.u32('meter')], { type: 'meter' }, { from: OF15 }), {
      max: 0xffff_ffff,
    }),
  ),
];
