/** All actions. */
import type { Action } from './action.ts';
import type { ActionForm, ActionSpec } from './action-spec.ts';
import { CONNTRACK_ACTIONS } from './actions/conntrack.ts';
import { CONTROL_ACTIONS } from './actions/control.ts';
import { HASH_ACTIONS } from './actions/hash.ts';
import { LEARN_ACTIONS } from './actions/learn.ts';
import { OUTPUT_ACTIONS } from './actions/output.ts';
import { SAMPLE_ACTIONS } from './actions/sample.ts';
import { SET_ACTIONS } from './actions/set.ts';
import { SIMPLE_ACTIONS } from './actions/simple.ts';
import { OF10, OF13, OF14, OF15, type Version } from './version.ts';

/** Every declaration. */
const ACTIONS: readonly ActionSpec<Action>[] = [
  ...OUTPUT_ACTIONS,
  ...SET_ACTIONS,
  ...SIMPLE_ACTIONS,
  ...CONTROL_ACTIONS,
  ...CONNTRACK_ACTIONS,
  ...LEARN_ACTIONS,
  ...HASH_ACTIONS,
  ...SAMPLE_ACTIONS,
];

const BY_TYPE = new Map<string, ActionSpec<Action>>();
const BY_WORD = new Map<string, ActionSpec<Action>>();
const STANDARD = new Map<number, ActionForm<Action>>();
const EXPERIMENTER = new Map<number, Map<number, ActionForm<Action>>>();
for (const spec of ACTIONS) {
  for (const type of spec.types) BY_TYPE.set(type, spec);
  for (const word of spec.words) BY_WORD.set(word, spec);
  for (const form of spec.forms) {
    if (form.read === undefined) continue;
    let codes = STANDARD;
    if (form.vendor !== 0) {
      codes = EXPERIMENTER.get(form.vendor) ?? new Map<number, ActionForm<Action>>();
      EXPERIMENTER.set(form.vendor, codes);
    }
    if (!codes.has(form.code)) codes.set(form.code, form);
  }
}

/** The forms that a version writes, by the type of the action, in the order in which they are tried. */
const WRITTEN: Readonly<Record<Version, ReadonlyMap<string, readonly WrittenForm[]>>> = {
  [OF10]: writtenIn(OF10),
  [OF13]: writtenIn(OF13),
  [OF14]: writtenIn(OF14),
  [OF15]: writtenIn(OF15),
};

function writtenIn(version: Version): ReadonlyMap<string, readonly WrittenForm[]> {
  const forms = new Map<string, readonly WrittenForm[]>();
  for (const spec of ACTIONS) {
    const written = spec.forms.flatMap(({ vendor, code, from, to, suits, write }): readonly WrittenForm[] =>
      write === undefined || version < from || version > to ? [] : [{ vendor, code, suits, write }],
    );
    for (const type of spec.types) forms.set(type, written);
  }
  return forms;
}

/** A form that can be written. */
export type WrittenForm = Pick<ActionForm<Action>, 'vendor' | 'code' | 'suits'> &
  Required<Pick<ActionForm<Action>, 'write'>>;

/** The form in which a version writes an action; undefined when it has none. */
export function writtenForm(version: Version, action: Action): WrittenForm | undefined {
  const forms = WRITTEN[version].get(action.type);
  if (forms === undefined) return undefined;
  for (const form of forms) if (form.suits === undefined || form.suits(action)) return form;
  return undefined;
}

/** The declaration of an action's type; undefined for instructions and unknown actions. */
export function specOf(type: Action['type']): ActionSpec<Action> | undefined {
  return BY_TYPE.get(type);
}

/** The declaration that a word of ovs-ofctl begins. */
export function specOfWord(word: string): ActionSpec<Action> | undefined {
  return BY_WORD.get(word);
}

/** How to read an action of a code. @param vendor 0 for a standard one */
export function formOf(vendor: number, code: number): ActionForm<Action> | undefined {
  return vendor === 0 ? STANDARD.get(code) : EXPERIMENTER.get(vendor)?.get(code);
}
