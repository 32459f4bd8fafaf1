/** Lists of actions on the wire (OpenFlow 1.5.1 §7.2.6). */
import type { Action } from './action.ts';
import type { ActionContext } from './action-spec.ts';
import { formOf, writtenForm } from './action-table.ts';
import { forVersion } from './actions/set.ts';
import { OpenFlowError } from './error.ts';
import type { Reader } from './reader.ts';
import { OF10, OF13, OF14, OF15, type Version, versionName } from './version.ts';
import type { Writer } from './writer.ts';

const EXPERIMENTER = 0xffff;
/** Type and a length that is filled in later. */
const EXPERIMENTER_HEADER = 0xffff_0000;

/** Actions hold actions; a frame of 64 kB could nest thousands of them. Open vSwitch allows far less. */
const MAX_DEPTH = 32;

/** One context per version for the outermost level, which is all that most actions need. */
const CONTEXTS: Readonly<Record<Version, ActionContext>> = {
  [OF10]: contextOf(OF10, 0),
  [OF13]: contextOf(OF13, 0),
  [OF14]: contextOf(OF14, 0),
  [OF15]: contextOf(OF15, 0),
};

function contextOf(version: Version, depth: number): ActionContext {
  return {
    version,
    depth,
    readActions: (r, deeper) => readActions(r, version, deeper),
    writeActions: (w, actions) => writeActions(w, version, actions),
  };
}

/** Reads actions up to the reader's end. Unknown ones are kept as bytes. */
export function readActions(r: Reader, version: Version, depth = 0): readonly Action[] {
  if (depth > MAX_DEPTH) throw r.malformed(`actions nested more than ${MAX_DEPTH} deep`);
  const context = depth === 0 ? CONTEXTS[version] : contextOf(version, depth);
  const actions: Action[] = [];
  while (r.pos < r.end) {
    const start = r.pos;
    const code = r.u16();
    const length = r.u16();
    if (length < 8 || length % 8 !== 0) throw r.malformed(`an action of ${length} bytes`);
    const end = r.narrow(length - 4);
    let vendor = 0;
    let subtype = code;
    if (code === EXPERIMENTER && length >= 16) {
      vendor = r.u32();
      subtype = r.u16();
    }
    const read = code === EXPERIMENTER && vendor === 0 ? undefined : formOf(vendor, subtype)?.read;
    const bound = r.end;
    const action = read?.(r, context);
    if (action === undefined) {
      r.pos = start;
      r.end = bound;
      actions.push({ type: 'unknown_action', data: r.rest() });
    } else actions.push(action);
    r.widen(end);
  }
  return actions;
}

function writeAction(w: Writer, version: Version, action: Action, context: ActionContext): void {
  if (action.type === 'unknown_action') {
    w.bytes(action.data);
    return;
  }
  const form = writtenForm(version, action);
  if (form === undefined) {
    throw new OpenFlowError(
      'unencodable',
      `OpenFlow ${versionName(version)} has no action "${action.type}" for this place`,
    );
  }
  const start = w.length;
  if (form.vendor === 0) {
    w.u16(form.code);
    w.u16(0);
  } else {
    w.u32(EXPERIMENTER_HEADER);
    w.u32(form.vendor);
    w.u16(form.code);
  }
  form.write(w, action, context);
  w.pad8(start);
  w.patch16(start + 2, w.length - start);
}

/** Writes actions. @throws OpenFlowError `unencodable` for an instruction, or an action that the version lacks */
export function writeActions(w: Writer, version: Version, actions: readonly Action[]): void {
  for (const action of forVersion(actions, version)) writeAction(w, version, action, CONTEXTS[version]);
}
