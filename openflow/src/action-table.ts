/** All actions. */
import type { Action } from './action.ts';
import type { ActionForm, ActionSpec } from './action-spec.ts';
import { CONNTRACK_ACTIONS } from './actions/conntrack.ts';
import { CONTROL_ACTIONS } from './actions/control.ts';
import { HASH_ACTIONS } from './actions/hash.ts';
import { LEARN_ACTIONS } from './actions/learn.ts';
import { OUTPUT_ACTIONS } from './actions/output.ts';
import { SET_ACTIONS } from './actions/set.ts';
import { SIMPLE_ACTIONS } from './actions/simple.ts';

/** Every declaration. */
export const ACTIONS: readonly ActionSpec<Action>[] = [
  ...OUTPUT_ACTIONS,
  ...SET_ACTIONS,
  ...SIMPLE_ACTIONS,
  ...CONTROL_ACTIONS,
  ...CONNTRACK_ACTIONS,
  ...LEARN_ACTIONS,
  ...HASH_ACTIONS,
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
