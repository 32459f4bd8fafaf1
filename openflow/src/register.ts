/** Registers: the 32-bit ones and the wider ones that overlay them, and named bit ranges of them. */
import { OpenFlowError } from './error.ts';
import type { Field } from './field.ts';
import { FIELDS, findField } from './fields.ts';

const SPANS = new Map<Field, readonly Field[]>();
for (const field of FIELDS) {
  const wide = /^(xx?)reg(\d+)$/.exec(field.name);
  if (wide !== null) {
    const count = wide[1] === 'x' ? 2 : 4;
    const first = Number(wide[2]) * count;
    const span = Array.from({ length: count }, (_, place) => findField(`reg${first + place}`));
    SPANS.set(
      field,
      span.filter((register) => register !== undefined),
    );
  }
}

/** The 32-bit registers that an xreg or xxreg consists of, most significant first; undefined for other fields. */
export function registersOf(field: Field): readonly Field[] | undefined {
  return SPANS.get(field);
}

const REG0 = findField('reg0')?.index ?? 0;
const XREG0 = findField('xreg0')?.index ?? 0;

/** The number of a 32-bit register, or undefined for other fields. */
export function registerNumber(field: Field): number | undefined {
  const number = field.index - REG0;
  return number >= 0 && number < 32 ? number : undefined;
}

/** The 32-bit register of a number. */
export function register(number: number): Field {
  const field = FIELDS[REG0 + number];
  if (field === undefined || number < 0 || number > 31)
    throw new OpenFlowError('invalid_value', `there is no reg${number}`);
  return field;
}

/** The 64-bit register that a 32-bit one is half of. */
export function wideRegister(number: number): Field {
  const field = FIELDS[XREG0 + (number >> 1)];
  if (field === undefined || number < 0 || number > 31)
    throw new OpenFlowError('invalid_value', `there is no reg${number}`);
  return field;
}
