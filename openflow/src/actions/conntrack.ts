/** The connection tracker: ct and its nat (ovs-actions(7), "Firewalling Actions"). */
import type { Action, Ct, Nat, NatAddress } from '../action.ts';
import { type ActionContext, type ActionSpec, erase, versions } from '../action-spec.ts';
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../address.ts';
import { type Argument, readArguments, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { readFieldHeader } from '../fields.ts';
import { parseNumber } from '../number-text.ts';
import type { Reader } from '../reader.ts';
import { formatSubfield, packRange, parseSubfield, type Subfield, unpackRange, writeFieldName } from '../subfield.ts';
import { NX, OF10 } from '../version.ts';
import type { Writer } from '../writer.ts';

const COMMIT = 1;
const FORCE = 2;
const NO_TABLE = 255;

/** Flags and the bits of "range present" of NXAST_NAT. */
const NAT = { src: 1, dst: 2, persistent: 4, hash: 8, random: 16 } as const;
const RANGE = { ipv4Min: 1, ipv4Max: 2, ipv6Min: 4, ipv6Max: 8, portMin: 16, portMax: 32 } as const;

/** A nat action with the header of its own that it has inside of a ct. */
const NAT_CODE = 36;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readNat(r: Reader): Nat {
  r.skip(2);
  const flags = r.u16();
  const present = r.u16();
  const nat: Mutable<Nat> = {};
  if ((flags & NAT.src) !== 0) nat.kind = 'src';
  else if ((flags & NAT.dst) !== 0) nat.kind = 'dst';
  if ((flags & NAT.persistent) !== 0) nat.persistent = true;
  if ((flags & NAT.hash) !== 0) nat.hash = true;
  if ((flags & NAT.random) !== 0) nat.random = true;
  if ((present & RANGE.ipv4Min) !== 0) nat.min = r.u32();
  if ((present & RANGE.ipv4Max) !== 0) nat.max = r.u32();
  if ((present & RANGE.ipv6Min) !== 0) nat.min = r.big(16);
  if ((present & RANGE.ipv6Max) !== 0) nat.max = r.big(16);
  if ((present & RANGE.portMin) !== 0) nat.portMin = r.u16();
  if ((present & RANGE.portMax) !== 0) nat.portMax = r.u16();
  return nat;
}

function writeNatAddress(w: Writer, address: NatAddress | undefined): void {
  if (typeof address === 'number') w.u32(address);
  else if (address !== undefined) w.big(address, 16);
}

function writeNat(w: Writer, nat: Nat): void {
  const start = w.length;
  w.u16(0xffff);
  w.u16(0);
  w.u32(NX);
  w.u16(NAT_CODE);
  w.zeros(2);
  let flags = nat.kind === undefined ? 0 : NAT[nat.kind];
  if (nat.persistent === true) flags |= NAT.persistent;
  if (nat.hash === true) flags |= NAT.hash;
  if (nat.random === true) flags |= NAT.random;
  w.u16(flags);
  const { min, max, portMin, portMax } = nat;
  if (min !== undefined && max !== undefined && typeof min !== typeof max) {
    throw new OpenFlowError('invalid_value', 'nat: the range begins in IPv4 and ends in IPv6 or the other way round');
  }
  let present = 0;
  if (min !== undefined) present |= typeof min === 'number' ? RANGE.ipv4Min : RANGE.ipv6Min;
  if (max !== undefined) present |= typeof max === 'number' ? RANGE.ipv4Max : RANGE.ipv6Max;
  if (portMin !== undefined) present |= RANGE.portMin;
  if (portMax !== undefined) present |= RANGE.portMax;
  w.u16(present);
  writeNatAddress(w, min);
  writeNatAddress(w, max);
  if (portMin !== undefined) w.u16(portMin);
  if (portMax !== undefined) w.u16(portMax);
  w.pad8(start);
  w.patch16(start + 2, w.length - start);
}

/** The nested actions: at most one nat, the rest belongs to exec. */
function readNested(r: Reader, into: Mutable<Ct>, c: ActionContext): void {
  const others: Action[] = [];
  while (r.left >= 4) {
    const start = r.pos;
    const type = r.u16();
    const length = r.u16();
    if (length < 8 || length > r.left + 4) throw r.malformed(`an action of ${length} bytes inside of ct`);
    const isNat = type === 0xffff && length >= 16 && r.u32() === NX && r.u16() === NAT_CODE;
    if (isNat) {
      const end = r.narrow(length - 10);
      into.nat = readNat(r);
      r.widen(end);
    } else {
      r.pos = start;
      const end = r.narrow(length);
      others.push(...c.readActions(r, c.depth + 1));
      r.widen(end);
    }
  }
  if (others.length > 0) into.exec = others;
}

function formatNat(nat: Nat): string {
  if (nat.kind === undefined) return 'nat';
  const isV6 = typeof nat.min === 'bigint';
  const text = (address: NatAddress): string =>
    typeof address === 'number' ? formatIpv4(address) : formatIpv6(address);
  let range = '';
  if (nat.min !== undefined) {
    const brackets = isV6 && nat.portMin !== undefined;
    const quote = (address: NatAddress): string => (brackets ? `[${text(address)}]` : text(address));
    range = `=${quote(nat.min)}`;
    if (nat.max !== undefined && nat.max !== nat.min) range += `-${quote(nat.max)}`;
  }
  if (nat.portMin !== undefined) {
    range += `${range === '' ? '=' : ''}:${nat.portMin}`;
    if (nat.portMax !== undefined && nat.portMax !== nat.portMin) range += `-${nat.portMax}`;
  }
  const flags = `${nat.persistent === true ? ',persistent' : ''}${nat.hash === true ? ',hash' : ''}${nat.random === true ? ',random' : ''}`;
  return `nat(${nat.kind}${range}${flags})`;
}

/** `10.0.0.1-10.0.0.9:80-90`, `[fd00::1]-[fd00::9]:80`. */
function parseNatRange(text: string, into: Mutable<Nat>): void {
  const parts =
    /^(?:\[(?<a>[^\]]+)\](?:-\[(?<b>[^\]]+)\])?|(?<c>[0-9.]+)(?:-(?<d>[0-9.]+))?|(?<e>[0-9a-fA-F:.]+::?[0-9a-fA-F:.]*)(?:-(?<f>[0-9a-fA-F:.]+))?)?(?::(?<low>\d+)(?:-(?<high>\d+))?)?$/.exec(
      text,
    );
  if (parts?.groups === undefined) throw new OpenFlowError('syntax', `"${text}" is no address range for nat`);
  const { a, b, c, d, e, f, low, high } = parts.groups;
  if (c !== undefined) into.min = parseIpv4(c);
  if (d !== undefined) into.max = parseIpv4(d);
  const first = a ?? e;
  const last = b ?? f;
  if (first !== undefined) into.min = parseIpv6(first);
  if (last !== undefined) into.max = parseIpv6(last);
  if (low !== undefined) into.portMin = parseNumber(low, 0xffff, 'a port');
  if (high !== undefined) into.portMax = parseNumber(high, 0xffff, 'a port');
}

function parseNat(text: string | undefined): Nat {
  const nat: Mutable<Nat> = {};
  for (const argument of readArguments(text)) {
    if (argument.word === 'src' || argument.word === 'dst') {
      nat.kind = argument.word;
      if (argument.value !== undefined) parseNatRange(argument.value, nat);
    } else if (argument.word === 'persistent' || argument.word === 'hash' || argument.word === 'random') {
      nat[argument.word] = true;
    } else throw unknownArgument(argument, 'nat');
  }
  return nat;
}

const ALGORITHMS: Readonly<Record<string, number>> = { ftp: 21, tftp: 69 };

function parseZone(text: string): number | Subfield {
  return /^\d|^0x/.test(text) ? parseNumber(text, 0xffff, 'a zone') : parseSubfield(text);
}

function takeArgument(into: Mutable<Ct>, argument: Argument, parse: (text: string) => readonly Action[]): void {
  switch (argument.word) {
    case 'commit':
    case 'force':
      into[argument.word] = true;
      break;
    case 'zone':
      into.zone = parseZone(valueOf(argument, 'ct'));
      break;
    case 'table':
      into.table = parseNumber(valueOf(argument, 'ct'), 254, 'a table');
      break;
    case 'alg': {
      const name = valueOf(argument, 'ct');
      into.alg = ALGORITHMS[name] ?? parseNumber(name, 0xffff, 'alg');
      break;
    }
    case 'nat':
      into.nat = parseNat(argument.value);
      break;
    case 'exec':
      into.exec = parse(argument.value ?? '');
      break;
    default:
      throw unknownArgument(argument, 'ct');
  }
}

const CT: ActionSpec<Ct> = {
  types: ['ct'],
  forms: [
    {
      vendor: NX,
      code: 35,
      ...versions(),
      read: (r, c) => {
        const flags = r.u16();
        const into: Mutable<Ct> = { type: 'ct' };
        if ((flags & COMMIT) !== 0) into.commit = true;
        if ((flags & FORCE) !== 0) into.force = true;
        const source = r.u32();
        if (source === 0) {
          const zone = r.u16();
          if (zone !== 0) into.zone = zone;
        } else {
          r.pos -= 4;
          const { field } = readFieldHeader(r);
          into.zone = unpackRange(r, field, r.u16());
        }
        const table = r.u8();
        if (table !== NO_TABLE) into.table = table;
        r.skip(3);
        const alg = r.u16();
        if (alg !== 0) into.alg = alg;
        readNested(r, into, c);
        return into;
      },
      write: (w, { commit, force, zone, table, alg, nat, exec }, c) => {
        w.u16((commit === true ? COMMIT : 0) | (force === true ? FORCE : 0));
        if (zone === undefined || typeof zone === 'number') {
          w.u32(0);
          w.u16(zone ?? 0);
        } else {
          writeFieldName(w, zone.field, OF10);
          w.u16(packRange(zone));
        }
        w.u8(table ?? NO_TABLE);
        w.zeros(3);
        w.u16(alg ?? 0);
        if (nat !== undefined) writeNat(w, nat);
        if (exec !== undefined) c.writeActions(w, exec);
      },
    },
  ],
  words: ['ct'],
  format: ({ commit, force, zone, table, alg, nat, exec }, c) => {
    const parts: string[] = [];
    if (commit === true) parts.push('commit');
    if (force === true) parts.push('force');
    if (table !== undefined) parts.push(`table=${table}`);
    if (zone !== undefined && zone !== 0) parts.push(`zone=${typeof zone === 'number' ? zone : formatSubfield(zone)}`);
    if (nat !== undefined) parts.push(formatNat(nat));
    if (exec !== undefined) parts.push(`exec(${c.format(exec)})`);
    if (alg !== undefined && alg !== 0) {
      parts.push(`alg=${Object.keys(ALGORITHMS).find((name) => ALGORITHMS[name] === alg) ?? alg}`);
    }
    return `ct(${parts.join(',')})`;
  },
  parse: (_word, args, c) => {
    const into: Mutable<Ct> = { type: 'ct' };
    for (const argument of readArguments(args)) takeArgument(into, argument, c.parse);
    return into;
  },
};

export const CONNTRACK_ACTIONS: readonly ActionSpec<Action>[] = [erase(CT)];
