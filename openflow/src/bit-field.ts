/** Named bit ranges of registers, marks and labels: declared in one place, checked for overlaps, typed in use. */
import type { Load } from './action.ts';
import { OpenFlowError } from './error.ts';
import type { Field, FieldValue } from './field.ts';
import { and, bitRange, isZero, ofWidth, or } from './field-bits.ts';
import type { FieldName } from './field-name.ts';
import type { Match, MatchInput } from './match.ts';
import { registersOf } from './register.ts';
import { type Subfield, subfield } from './subfield.ts';

/** Bits of a field, both ends included, and names for some of their values. */
export interface BitDeclaration {
  readonly field: FieldName;
  readonly from: number;
  readonly to: number;
  readonly values?: Readonly<Record<string, number>>;
}

/** A bit range with a value: a mark. */
export interface Mark {
  readonly bits: Subfield;
  readonly value: FieldValue;
}

/** A declared bit range. `V`: the names of its values. */
export interface BitField<V extends string = never> {
  /** For actions such as move and output_reg. */
  readonly subfield: Subfield;
  /** The bit range with this value; zero is a value like any other. @throws OpenFlowError `invalid_value` */
  is(value: number | bigint | V): Mark;
  /** The action that sets the bits and leaves the others of the field. @throws OpenFlowError `invalid_value` */
  load(value: number | bigint | V): Load;
  /** The value that a match (as a packet-in's metadata) has in these bits; undefined where it leaves some open. */
  read(match: Match): FieldValue | undefined;
}

/** The declared ranges by name. */
export type BitFields<D> = {
  readonly [name in keyof D]: BitField<
    D[name] extends { readonly values: infer V extends object } ? Extract<keyof V, string> : never
  >;
};

/** A value in the type of its field, in place: shifted to the lowest bit of the range. */
function inPlace({ bits, value }: Mark): { readonly value: FieldValue; readonly mask: FieldValue } {
  return {
    value: ofWidth(bits.field, BigInt(value) << BigInt(bits.offset)),
    mask: ofWidth(bits.field, bitRange(bits.offset, bits.bits)),
  };
}

function makeField(name: string, declaration: BitDeclaration): BitField<string> {
  const bits = subfield(declaration.field, declaration.from, declaration.to - declaration.from + 1);
  const most = (1n << BigInt(bits.bits)) - 1n;
  const valueOf = (given: number | bigint | string): FieldValue => {
    const named = typeof given === 'string' ? declaration.values?.[given] : given;
    if (
      named === undefined ||
      (typeof named === 'number' && !Number.isSafeInteger(named)) ||
      named < 0 ||
      named > most
    ) {
      throw new OpenFlowError('invalid_value', `${String(given)} is no value of ${name}, which has ${bits.bits} bits`);
    }
    return ofWidth(bits.field, named);
  };
  for (const value of Object.keys(declaration.values ?? {})) valueOf(value);
  return {
    subfield: bits,
    is: (value) => ({ bits, value: valueOf(value) }),
    load: (value) => ({ type: 'load', dst: bits, value: valueOf(value) }),
    read: (match) => {
      const entry = match.find(({ field }) => field === bits.field);
      if (entry === undefined) return undefined;
      const wanted = ofWidth(bits.field, bitRange(bits.offset, bits.bits));
      if (and(entry.mask ?? bits.field.ones, wanted) !== wanted) return undefined;
      return ofWidth(bits.field, BigInt(and(entry.value, wanted)) >> BigInt(bits.offset));
    },
  };
}

/** The bits that a range takes, by field; of a wide register, of the 32-bit ones below it. */
function occupied({ field, offset, bits }: Subfield): readonly (readonly [field: Field, bits: bigint])[] {
  const range = bitRange(offset, bits);
  const parts = registersOf(field);
  if (parts === undefined) return [[field, range]];
  return parts.map((part, place) => [part, (range >> BigInt(32 * (parts.length - 1 - place))) & 0xffff_ffffn] as const);
}

/**
 * Declares bit ranges.
 * @throws OpenFlowError `invalid_value` when two overlap, also through xreg and xxreg, or a value does not fit
 * @example
 * const bits = defineBits({
 *   source: { field: 'reg0', from: 0, to: 3, values: { tunnel: 0, gateway: 1, pod: 2 } },
 *   found: { field: 'reg0', from: 4, to: 4 },
 * });
 * match({ ...matchMarks(bits.source.is('tunnel'), bits.found.is(1)) }); // reg0=0x10/0x1f
 */
export function defineBits<const D extends Readonly<Record<string, BitDeclaration>>>(declarations: D): BitFields<D> {
  const taken: { readonly name: string; readonly field: Field; readonly bits: bigint }[] = [];
  const fields: Record<string, BitField<string>> = {};
  for (const [name, declaration] of Object.entries(declarations)) {
    const made = makeField(name, declaration);
    for (const [field, bits] of occupied(made.subfield)) {
      const other = taken.find((entry) => entry.field === field && (entry.bits & bits) !== 0n);
      if (other !== undefined) {
        throw new OpenFlowError('invalid_value', `${name} and ${other.name} share bits of ${field.name}`);
      }
      taken.push({ name, field, bits });
    }
    fields[name] = made;
  }
  return fields as unknown as BitFields<D>;
}

/**
 * Marks as a match. Those of one field become one value and mask, which `{ ...a, ...b }` would not do.
 * @throws OpenFlowError `invalid_value` for one range with two values
 */
export function matchMarks(...marks: readonly Mark[]): MatchInput {
  const input: Record<string, readonly [FieldValue, FieldValue]> = {};
  for (const mark of marks) {
    const { name } = mark.bits.field;
    const { value, mask } = inPlace(mark);
    const old = input[name];
    if (old === undefined) {
      input[name] = [value, mask];
      continue;
    }
    const common = and(old[1], mask);
    if (!isZero(common) && and(old[0], common) !== and(value, common)) {
      throw new OpenFlowError('invalid_value', `bits of ${name} are matched on two values that exclude each other`);
    }
    input[name] = [or(old[0], value), or(old[1], mask)];
  }
  return input;
}
