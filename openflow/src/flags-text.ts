/** Bit flags as ovs-ofctl writes them: `+trk-inv` for masked ones, `syn|ack` for whole ones. */
import { OpenFlowError } from './error.ts';
import { hex } from './number-text.ts';

/** Names of flags, by bit. */
export type FlagNames = readonly (readonly [bit: number, name: string])[];

/** ct_state (ovs-fields(7)). */
export const CT_STATE: FlagNames = [
  [0x01, 'new'],
  [0x02, 'est'],
  [0x04, 'rel'],
  [0x08, 'rpl'],
  [0x10, 'inv'],
  [0x20, 'trk'],
  [0x40, 'snat'],
  [0x80, 'dnat'],
];

/** tcp_flags: RFC 793, RFC 3168, RFC 3540; the rest are numbers. */
export const TCP_FLAGS: FlagNames = [
  [0x001, 'fin'],
  [0x002, 'syn'],
  [0x004, 'rst'],
  [0x008, 'psh'],
  [0x010, 'ack'],
  [0x020, 'urg'],
  [0x040, 'ece'],
  [0x080, 'cwr'],
  [0x100, 'ns'],
  [0x200, '[200]'],
  [0x400, '[400]'],
  [0x800, '[800]'],
];

/** tun_flags. */
export const TUNNEL_FLAGS: FlagNames = [[0x01, 'oam']];

/** `new|est`, or `0`. */
export function formatFlags(names: FlagNames, flags: number): string {
  if (flags === 0) return '0';
  let known = 0;
  const parts: string[] = [];
  for (const [bit, name] of names) {
    if ((flags & bit) !== 0) parts.push(name);
    known |= bit;
  }
  const unknown = (flags & ~known) >>> 0;
  if (unknown !== 0) parts.push(hex(unknown));
  return parts.join('|');
}

/** `+trk-inv`. */
export function formatMaskedFlags(names: FlagNames, flags: number, mask: number): string {
  let text = '';
  let left = mask;
  for (const [bit, name] of names) {
    if ((left & bit) !== 0) text += `${(flags & bit) === 0 ? '-' : '+'}${name}`;
    left &= ~bit;
  }
  for (let bit = 1; left !== 0; bit *= 2) {
    if ((left & bit) !== 0) text += `${(flags & bit) === 0 ? '-' : '+'}[Unknown]`;
    left &= ~bit;
  }
  return text === '' ? '0/0' : text;
}

/**
 * Parses `+a-b`, `a|b` or a number with an optional mask.
 * @returns value and mask; mask undefined for all bits
 * @throws OpenFlowError `syntax`
 */
export function parseFlags(
  names: FlagNames,
  text: string,
  what: string,
): readonly [value: number, mask: number | undefined] {
  const bitOf = (name: string): number => {
    const found = names.find(([, known]) => known === name);
    if (found === undefined) {
      throw new OpenFlowError('syntax', `"${name}" is not a flag of ${what}: ${names.map(([, n]) => n).join(', ')}`);
    }
    return found[0];
  };
  if (/^(?:0x[0-9a-f]+|\d+)(?:\/(?:0x[0-9a-f]+|\d+))?$/i.test(text)) {
    const [value = '0', mask] = text.split('/');
    return [Number(value), mask === undefined ? undefined : Number(mask)];
  }
  if (!/^[+-]/.test(text)) return [text.split('|').reduce((flags, name) => flags | bitOf(name), 0), undefined];
  let value = 0;
  let mask = 0;
  for (const [, sign, name = ''] of text.matchAll(/([+-])([^+-]*)/g)) {
    const bit = bitOf(name);
    if ((mask & bit) !== 0) throw new OpenFlowError('syntax', `${what} names "${name}" twice in "${text}"`);
    mask |= bit;
    if (sign === '+') value |= bit;
  }
  return [value, mask];
}
