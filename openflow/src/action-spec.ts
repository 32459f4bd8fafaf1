/** How an action is declared: its forms on the wire and its text, both in one place. */
import type { Action } from './action.ts';
import type { Reader } from './reader.ts';
import { OF13, OF15, type Version } from './version.ts';
import type { Writer } from './writer.ts';

/** What bodies of actions need to know. */
export interface ActionContext {
  readonly version: Version;
  /** Lists of actions inside of actions. */
  readonly readActions: (r: Reader, depth: number) => readonly Action[];
  readonly writeActions: (w: Writer, actions: readonly Action[]) => void;
  /** How deeply this one is nested. */
  readonly depth: number;
}

/** A form on the wire. */
export interface ActionForm<A> {
  /** 0 for a standard action, else the experimenter's id. */
  readonly vendor: number;
  readonly code: number;
  /** The versions in which it is written. It is read under every version. */
  readonly from: Version;
  readonly to: Version;
  /** Which values this form is for; undefined: all. */
  readonly suits?: ((action: A) => boolean) | undefined;
  /**
   * Reads what follows the header (standard: 4 bytes; experimenter's: 10, with the subtype), up to the end. Undefined
   * for what holds something unknown: it is kept as bytes.
   */
  readonly read?: (r: Reader, c: ActionContext) => Action | undefined;
  /** Writes what follows the header; padding to 8 bytes is added. Absent for forms that are only read. */
  readonly write?: (w: Writer, action: A, c: ActionContext) => void;
}

/** What the text of actions needs to know. */
export interface TextContext {
  readonly format: (actions: readonly Action[]) => string;
  readonly parse: (text: string) => readonly Action[];
}

/** An action, declared once. */
export interface ActionSpec<A extends Action> {
  /** The types it declares: most have one. */
  readonly types: readonly A['type'][];
  /** The first one that suits is written. */
  readonly forms: readonly ActionForm<A>[];
  /** The words that begin it in text. */
  readonly words: readonly string[];
  readonly format: (action: A, c: TextContext) => string;
  /**
   * @param word which of the words it was
   * @param args what follows: undefined for nothing, else the text after the colon or between the parentheses
   * @throws OpenFlowError `syntax` or `invalid_value`
   */
  readonly parse: (word: string, args: string | undefined, c: TextContext) => Action | readonly Action[];
}

/** Versions of a form; by default 1.3 to 1.5. */
export interface Versions {
  readonly from?: Version;
  readonly to?: Version;
}

/** Fills in the versions. */
export function versions({ from = OF13, to = OF15 }: Versions = {}): { readonly from: Version; readonly to: Version } {
  return { from, to };
}

/** Puts a declaration of one action among those of all. */
export function erase<A extends Action>(spec: ActionSpec<A>): ActionSpec<Action> {
  return spec as unknown as ActionSpec<Action>;
}
