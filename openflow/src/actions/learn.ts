/** learn: an action that adds flows (ovs-actions(7)). */
import type { Action, Learn, LearnSource, LearnSpec } from '../action.ts';
import { type ActionForm, type ActionSpec, erase, versions } from '../action-spec.ts';
import { type Argument, readArguments, splitArrow, unknownArgument, valueOf } from '../arguments.ts';
import { OpenFlowError } from '../error.ts';
import { formatValue, parseValue } from '../field-text.ts';
import { findField } from '../fields.ts';
import { hex, parseBigint, parseNumber } from '../number-text.ts';
import type { Reader } from '../reader.ts';
import {
  checkRange,
  formatSubfield,
  parseSubfield,
  readFieldName,
  type Subfield,
  writeFieldName,
} from '../subfield.ts';
import { NX, OF10 } from '../version.ts';
import type { Writer } from '../writer.ts';

/** Flags of NXAST_LEARN. */
const SEND_FLOW_REM = 1;
const DELETE_LEARNED = 2;
const WRITE_RESULT = 4;

/** A spec's header: bit 13 = the source is a value, bits 11-12 = what to do, bits 0-10 = how many bits. */
const IMMEDIATE = 1 << 13;
const KINDS = ['match', 'load', 'output'] as const;
const BITS = 0x7ff;

const isValue = (source: LearnSource): source is Extract<LearnSource, { readonly value: bigint }> => 'value' in source;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Bytes of an immediate value: whole 16-bit words. */
const immediateBytes = (bits: number): number => Math.ceil(bits / 16) * 2;

function readSubfield(r: Reader, bits: number): Subfield {
  const field = readFieldName(r);
  return checkRange(r, field, r.u16(), bits);
}

function readSpecs(r: Reader): readonly LearnSpec[] {
  const specs: LearnSpec[] = [];
  while (r.left >= 2) {
    const header = r.u16();
    if (header === 0) break;
    const bits = header & BITS;
    const kind = KINDS[(header >> 11) & 3];
    if (kind === undefined) throw r.malformed(`a learn spec with header 0x${header.toString(16)}`);
    const src: LearnSource =
      (header & IMMEDIATE) === 0 ? readSubfield(r, bits) : { value: r.big(immediateBytes(bits)), bits };
    if (kind === 'output') specs.push({ kind, src });
    else specs.push({ kind, src, dst: readSubfield(r, bits) });
  }
  return specs;
}

function writeSubfield(w: Writer, { field, offset }: Subfield): void {
  writeFieldName(w, field, OF10);
  w.u16(offset);
}

function writeSpecs(w: Writer, specs: readonly LearnSpec[]): void {
  for (const spec of specs) {
    const { src } = spec;
    w.u16((isValue(src) ? IMMEDIATE : 0) | (KINDS.indexOf(spec.kind) << 11) | src.bits);
    if (isValue(src)) w.big(src.value, immediateBytes(src.bits));
    else writeSubfield(w, src);
    if (spec.kind !== 'output') writeSubfield(w, spec.dst);
  }
}

function readHead(r: Reader): { readonly into: Mutable<Learn>; readonly flags: number } {
  const into: Mutable<Learn> = { type: 'learn', specs: [] };
  into.idleTimeout = r.u16();
  into.hardTimeout = r.u16();
  into.priority = r.u16();
  into.cookie = r.u64();
  const flags = r.u16();
  into.table = r.u8();
  r.skip(1);
  into.finIdleTimeout = r.u16();
  into.finHardTimeout = r.u16();
  if ((flags & SEND_FLOW_REM) !== 0) into.sendFlowRem = true;
  if ((flags & DELETE_LEARNED) !== 0) into.deleteLearned = true;
  return { into, flags };
}

function writeHead(w: Writer, learn: Learn): void {
  w.u16(learn.idleTimeout ?? 0);
  w.u16(learn.hardTimeout ?? 0);
  w.u16(learn.priority ?? 0x8000);
  w.u64(learn.cookie ?? 0n);
  w.u16(
    (learn.sendFlowRem === true ? SEND_FLOW_REM : 0) |
      (learn.deleteLearned === true ? DELETE_LEARNED : 0) |
      (learn.resultDst === undefined ? 0 : WRITE_RESULT),
  );
  w.u8(learn.table ?? 1);
  w.u8(0);
  w.u16(learn.finIdleTimeout ?? 0);
  w.u16(learn.finHardTimeout ?? 0);
}

const FORMS: readonly ActionForm<Learn>[] = [
  {
    vendor: NX,
    code: 16,
    ...versions(),
    suits: ({ limit, resultDst }) => (limit ?? 0) === 0 && resultDst === undefined,
    read: (r) => {
      const { into } = readHead(r);
      into.specs = readSpecs(r);
      return into;
    },
    write: (w, learn) => {
      writeHead(w, learn);
      writeSpecs(w, learn.specs);
    },
  },
  {
    vendor: NX,
    code: 45,
    ...versions(),
    read: (r) => {
      const { into, flags } = readHead(r);
      const limit = r.u32();
      if (limit !== 0) into.limit = limit;
      const offset = r.u16();
      r.skip(2);
      if ((flags & WRITE_RESULT) !== 0) into.resultDst = checkRange(r, readFieldName(r), offset, 1);
      into.specs = readSpecs(r);
      return into;
    },
    write: (w, learn) => {
      writeHead(w, learn);
      w.u32(learn.limit ?? 0);
      w.u16(learn.resultDst?.offset ?? 0);
      w.u16(0);
      if (learn.resultDst !== undefined) writeFieldName(w, learn.resultDst.field, OF10);
      writeSpecs(w, learn.specs);
    },
  },
];

function formatSpec(spec: LearnSpec): string {
  const { src } = spec;
  if (spec.kind === 'output') return `output:${isValue(src) ? hex(src.value) : formatSubfield(src)}`;
  const { dst } = spec;
  if (spec.kind === 'load')
    return `load:${isValue(src) ? hex(src.value) : formatSubfield(src)}->${formatSubfield(dst)}`;
  if (isValue(src)) {
    // A whole field is written as in a match.
    if (dst.offset === 0 && dst.bits === dst.field.bits) {
      const value = dst.field.bits <= 48 ? Number(src.value) : src.value;
      return `${dst.field.name}=${formatValue(dst.field, value, undefined)}`;
    }
    return `${formatSubfield(dst)}=${hex(src.value)}`;
  }
  const same = src.field === dst.field && src.offset === dst.offset;
  return same ? formatSubfield(dst) : `${formatSubfield(dst)}=${formatSubfield(src)}`;
}

/** A value of so many bits, or a subfield. */
function parseSource(text: string, bits: number): LearnSource {
  if (!/^\d/.test(text)) return parseSubfield(text);
  return { value: parseBigint(text, (1n << BigInt(bits)) - 1n, 'learn'), bits };
}

function sameWidth(src: LearnSource, dst: Subfield, text: string): void {
  if (src.bits !== dst.bits)
    throw new OpenFlowError('syntax', `learn: ${text} copies ${src.bits} bits into ${dst.bits}`);
}

function parseSpec(argument: Argument): LearnSpec | undefined {
  if (argument.word === 'load') {
    const [from, to] = splitArrow('load', valueOf(argument, 'learn'));
    const dst = parseSubfield(to);
    const src = parseSource(from, dst.bits);
    sameWidth(src, dst, argument.text);
    return { kind: 'load', src, dst };
  }
  if (argument.word === 'output') return { kind: 'output', src: parseSubfield(valueOf(argument, 'learn')) };
  const equals = argument.text.indexOf('=');
  const name = equals < 0 ? argument.text : argument.text.slice(0, equals);
  if (findField(name.replace(/\[.*$/, '')) === undefined) return undefined;
  const dst = parseSubfield(name);
  if (equals < 0) return { kind: 'match', src: dst, dst };
  const text = argument.text.slice(equals + 1);
  if (findField(text.replace(/\[.*$/, '')) !== undefined) {
    const src = parseSubfield(text);
    sameWidth(src, dst, argument.text);
    return { kind: 'match', src, dst };
  }
  if (dst.offset === 0 && dst.bits === dst.field.bits) {
    const { value } = parseValue(dst.field, text);
    return { kind: 'match', src: { value: BigInt(value), bits: dst.bits }, dst };
  }
  return { kind: 'match', src: parseSource(text, dst.bits), dst };
}

const NUMBERS: Readonly<
  Record<
    string,
    readonly [
      key: 'table' | 'idleTimeout' | 'hardTimeout' | 'finIdleTimeout' | 'finHardTimeout' | 'priority' | 'limit',
      max: number,
    ]
  >
> = {
  table: ['table', 254],
  idle_timeout: ['idleTimeout', 0xffff],
  hard_timeout: ['hardTimeout', 0xffff],
  fin_idle_timeout: ['finIdleTimeout', 0xffff],
  fin_hard_timeout: ['finHardTimeout', 0xffff],
  priority: ['priority', 0xffff],
  limit: ['limit', 0xffff_ffff],
};

const LEARN: ActionSpec<Learn> = {
  types: ['learn'],
  forms: FORMS,
  words: ['learn'],
  format: (learn) => {
    const parts = [`table=${learn.table ?? 1}`];
    const number = (name: string, value: number | undefined, absent: number): void => {
      if (value !== undefined && value !== absent) parts.push(`${name}=${value}`);
    };
    number('idle_timeout', learn.idleTimeout, 0);
    number('hard_timeout', learn.hardTimeout, 0);
    number('fin_idle_timeout', learn.finIdleTimeout, 0);
    number('fin_hard_timeout', learn.finHardTimeout, 0);
    number('priority', learn.priority, 0x8000);
    if (learn.sendFlowRem === true) parts.push('send_flow_rem');
    if (learn.deleteLearned === true) parts.push('delete_learned');
    if (learn.cookie !== undefined && learn.cookie !== 0n) parts.push(`cookie=${hex(learn.cookie)}`);
    number('limit', learn.limit, 0);
    if (learn.resultDst !== undefined) parts.push(`result_dst=${formatSubfield(learn.resultDst)}`);
    return `learn(${[...parts, ...learn.specs.map(formatSpec)].join(',')})`;
  },
  parse: (_word, args) => {
    const into: Mutable<Learn> = { type: 'learn', specs: [] };
    const specs: LearnSpec[] = [];
    for (const argument of readArguments(args)) {
      const number = NUMBERS[argument.word];
      if (number !== undefined) into[number[0]] = parseNumber(valueOf(argument, 'learn'), number[1], argument.word);
      else if (argument.word === 'cookie')
        into.cookie = parseBigint(valueOf(argument, 'learn'), 2n ** 64n - 1n, 'cookie');
      else if (argument.word === 'send_flow_rem') into.sendFlowRem = true;
      else if (argument.word === 'delete_learned') into.deleteLearned = true;
      else if (argument.word === 'result_dst') into.resultDst = parseSubfield(valueOf(argument, 'learn'));
      else {
        const spec = parseSpec(argument);
        if (spec === undefined) throw unknownArgument(argument, 'learn');
        specs.push(spec);
      }
    }
    return { ...into, specs };
  },
};

export const LEARN_ACTIONS: readonly ActionSpec<Action>[] = [erase(LEARN)];
