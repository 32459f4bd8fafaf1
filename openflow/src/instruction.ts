/** Instructions (OpenFlow 1.5.1 §7.2.5). In memory they and actions are one list: see action.ts. */
import type { Action } from './action.ts';
import { readActions, writeActions } from './action-codec.ts';
import { OpenFlowError } from './error.ts';
import type { Reader } from './reader.ts';
import { OF14, type Version } from './version.ts';
import type { Writer } from './writer.ts';

const GOTO_TABLE = 1;
const WRITE_METADATA = 2;
const WRITE_ACTIONS = 3;
const APPLY_ACTIONS = 4;
const CLEAR_ACTIONS = 5;
const METER = 6;
const ALL_METADATA = 0xffff_ffff_ffff_ffffn;

const FIRST_RANK = 0;
const APPLIED = 1;
const LAST_RANK = 6;

/** The instructions in the order in which a switch carries them out; actions are 1, "apply". */
function rankOf(action: Action, version: Version): number {
  switch (action.type) {
    case 'meter':
      return version <= OF14 ? FIRST_RANK : APPLIED;
    case 'clear_actions':
      return 2;
    case 'write_actions':
      return 3;
    case 'write_metadata':
      return 4;
    case 'goto_table':
      return 5;
    case 'unknown_instruction':
      return LAST_RANK;
    default:
      return APPLIED;
  }
}

/** Writes an instruction; its length is filled in. */
function instruction(w: Writer, type: number, body: () => void): void {
  const start = w.length;
  w.u16(type);
  w.u16(0);
  body();
  w.patch16(start + 2, w.length - start);
}

function writeInstruction(w: Writer, version: Version, action: Action): void {
  switch (action.type) {
    case 'meter':
      instruction(w, METER, () => w.u32(action.meter));
      break;
    case 'clear_actions':
      instruction(w, CLEAR_ACTIONS, () => w.zeros(4));
      break;
    case 'write_actions':
      instruction(w, WRITE_ACTIONS, () => {
        w.zeros(4);
        writeActions(w, version, action.actions);
      });
      break;
    case 'write_metadata':
      instruction(w, WRITE_METADATA, () => {
        w.zeros(4);
        w.u64(action.value);
        w.u64(action.mask ?? ALL_METADATA);
      });
      break;
    case 'goto_table':
      if (!Number.isInteger(action.table) || action.table < 0 || action.table > 254) {
        throw new OpenFlowError('invalid_value', `goto_table ${action.table}: tables go from 0 to 254`);
      }
      instruction(w, GOTO_TABLE, () => {
        w.u8(action.table);
        w.zeros(3);
      });
      break;
    case 'unknown_instruction':
      w.bytes(action.data);
      break;
    default:
      throw new OpenFlowError('invalid_value', `${action.type} is no instruction`);
  }
}

/** Writes a list of actions and instructions as instructions, each kind at its place. */
export function writeInstructions(w: Writer, version: Version, actions: readonly Action[]): void {
  let applied = 0;
  for (const action of actions) if (rankOf(action, version) === APPLIED) applied += 1;
  if (applied === actions.length) {
    if (applied > 0) writeApply(w, version, actions);
    return;
  }
  for (let rank = FIRST_RANK; rank <= LAST_RANK; rank += 1) {
    if (rank === APPLIED) {
      if (applied > 0) {
        writeApply(
          w,
          version,
          actions.filter((action) => rankOf(action, version) === APPLIED),
        );
      }
      continue;
    }
    let count = 0;
    for (const action of actions) {
      if (rankOf(action, version) !== rank) continue;
      count += 1;
      if (count > 1 && rank !== LAST_RANK) {
        throw new OpenFlowError('invalid_value', `a flow has at most one ${action.type}`);
      }
      writeInstruction(w, version, action);
    }
  }
}

function writeApply(w: Writer, version: Version, actions: readonly Action[]): void {
  const start = w.length;
  w.u16(APPLY_ACTIONS);
  w.u16(0);
  w.zeros(4);
  writeActions(w, version, actions);
  w.patch16(start + 2, w.length - start);
}

/** Reads instructions up to the reader's end, into one list in the order of `rankOf`. */
export function readInstructions(r: Reader, version: Version): readonly Action[] {
  let applied: readonly Action[] = [];
  let others: Action[] | undefined;
  while (r.pos < r.end) {
    const start = r.pos;
    const type = r.u16();
    const length = r.u16();
    if (length < 8 || length % 8 !== 0) throw r.malformed(`an instruction of ${length} bytes`);
    const end = r.narrow(length - 4);
    if (type === APPLY_ACTIONS) {
      r.skip(4);
      const read = readActions(r, version);
      applied = applied.length === 0 ? read : [...applied, ...read];
    } else {
      others ??= [];
      others.push(readOther(r, version, type, start));
    }
    r.widen(end);
  }
  if (others === undefined) return applied;
  const all = [...applied, ...others];
  return all.sort((a, b) => rankOf(a, version) - rankOf(b, version));
}

function readOther(r: Reader, version: Version, type: number, start: number): Action {
  switch (type) {
    case GOTO_TABLE:
      return { type: 'goto_table', table: r.u8() };
    case WRITE_METADATA: {
      r.skip(4);
      const value = r.u64();
      const mask = r.u64();
      return { type: 'write_metadata', value, mask: mask === ALL_METADATA ? undefined : mask };
    }
    case WRITE_ACTIONS:
      r.skip(4);
      return { type: 'write_actions', actions: readActions(r, version) };
    case CLEAR_ACTIONS:
      return { type: 'clear_actions' };
    case METER:
      return { type: 'meter', meter: r.u32() };
    default:
      r.pos = start;
      return { type: 'unknown_instruction', data: r.rest() };
  }
}
