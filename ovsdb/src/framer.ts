import { isAscii } from 'node:buffer';
import { OvsdbError } from './error.ts';
import { RowCutter, type RowSink } from './row-cutter.ts';

/** What turns received bytes into messages. */
export interface MessageReader {
  /** @throws OvsdbError `protocol_error` on bytes that no JSON-RPC peer sends; the connection is then of no use. */
  push(chunk: Buffer): void;
}

/** Bounds on what a server may make the client hold. */
export interface FramerLimits {
  /** Bytes of one message, or of one row of a dump that is cut by row. V8 strings end near 512 MiB. */
  readonly maxBytes: number;
  /** Bytes of a dump that is cut by row. */
  readonly maxDumpBytes: number;
  /** Nesting of arrays and objects; OVS's own parser stops at 1000 (lib/json.c). */
  readonly maxDepth: number;
}

/** The limits used unless told otherwise: 400 MiB, 4 GiB, 1000 levels. */
export const DEFAULT_LIMITS: FramerLimits = {
  maxBytes: 400 * 1024 * 1024,
  maxDumpBytes: 4 * 1024 * 1024 * 1024,
  maxDepth: 1000,
};

/**
 * Tries to take a message that begins at `from` of a chunk, in cheaper ways than finding its end and parsing it.
 * Returns the position behind it, or -1 to have it framed; then nothing may have happened.
 */
export type TakeMessage = (chunk: string, from: number) => number;

/** Which replies are cut by row. */
export interface CutRequest {
  /** The id of the call whose reply it is. */
  readonly id: number;
  /** Whether a reply that names its id only behind the result can be no other's: then it is cut as well. */
  readonly alone: () => boolean;
  readonly sink: RowSink;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Blanks between two messages; ovsdb-server sends none. */
const MAX_BLANKS = 4096;
/** Longest text before the first row; a longer one is not cut. */
const MAX_HEAD = 4096;
/** What stands before the value of `result`. ovsdb-server writes members in the order of a hash table, so any order may come. */
const HEAD =
  /^\s*\{\s*(?:"error"\s*:\s*null\s*,\s*)?(?:"id"\s*:\s*(\d+)\s*,\s*)?(?:"error"\s*:\s*null\s*,\s*)?"result"\s*:\s*$/;

/**
 * Cuts a byte stream of concatenated JSON objects into texts, one per object. OVSDB's JSON-RPC has no framing
 * (RFC 7047 §4), so the end of a message is where its braces close. Of the one reply that `cutRows` names, the rows
 * are handed out while they arrive and left out of the text.
 */
export class JsonFramer implements MessageReader {
  readonly #onText: (text: string) => void;
  readonly #limits: FramerLimits;
  readonly #take: TakeMessage | undefined;
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** Text of the current message that came before `#parts`: what is left of a cut dump. */
  #prefix = '';
  #depth = 0;
  #inString = false;
  /** Whether the last byte was a backslash that escapes what follows. */
  #escaped = false;
  #cut: CutRequest | undefined;
  /** Opening brackets at up to this depth may begin the rows of `#cut`; 0 = none is looked at. */
  #watchDepth = 0;
  /** Where in the head `result` begins, and whether the message can be the one to cut. */
  #resultAt = -1;
  #cutter: RowCutter | undefined;
  /** Blanks since the last message. */
  #blanks = 0;

  /** @param take sees each message of a chunk that is all ASCII, as it begins, before it is framed. */
  constructor(onText: (text: string) => void, limits: FramerLimits = DEFAULT_LIMITS, take?: TakeMessage) {
    this.#onText = onText;
    this.#take = take;
    this.#limits = limits;
  }

  /** Bytes held of a message that has begun and not ended. */
  get pendingBytes(): number {
    return this.#partBytes + this.#prefix.length + (this.#cutter?.pendingBytes ?? 0);
  }

  /** Cuts the reply to a call by row; undefined ends that. Holds for messages that begin after it. */
  cutRows(request: CutRequest | undefined): void {
    this.#cut = request;
    if (request === undefined && this.#cutter === undefined) {
      this.#watchDepth = 0;
    }
  }

  push(chunk: Buffer): void {
    const end = chunk.length;
    /** Where the current message (or what is left of it) begins in this chunk. */
    let start = 0;
    let i = 0;
    /** The chunk as text, made when a message begins in it; empty when it is not ASCII. */
    let text: string | undefined;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    const { maxDepth } = this.#limits;
    if (this.#cutter !== undefined) {
      i = this.#pushCutter(this.#cutter, chunk, 0);
      if (i < 0) {
        return;
      }
      start = i;
      depth = this.#depth;
    }
    while (i < end) {
      if (inString) {
        if (escaped) {
          escaped = false;
          i += 1;
          continue;
        }
        // Never beyond the end: reading there would make every read slow.
        while (i < end) {
          const byte = chunk[i];
          i += 1;
          if (byte === QUOTE) {
            inString = false;
            break;
          }
          if (byte === BACKSLASH) {
            escaped = true;
            break;
          }
        }
        continue;
      }
      const byte = chunk[i];
      i += 1;
      if (byte === QUOTE) {
        if (depth === 0) {
          throw badByte(byte);
        }
        inString = true;
      } else if (byte === 0x7b || byte === 0x5b) {
        if (depth === 0) {
          if (byte === 0x5b) {
            throw badByte(byte);
          }
          this.#blanks = 0;
          if (this.#take !== undefined) {
            // One byte is one character in ASCII, so positions in text and bytes are the same.
            text ??= isAscii(chunk) ? chunk.toString('latin1') : '';
            const next = text === '' ? -1 : this.#take(text, i - 1);
            if (next >= 0) {
              i = next;
              start = i;
              continue;
            }
          }
          start = i - 1;
          this.#watchDepth = this.#cut === undefined ? 0 : 2;
          this.#resultAt = -1;
        } else if (depth <= this.#watchDepth && this.#beginsRows(chunk, start, i, depth, byte)) {
          this.#depth = depth;
          const next = this.#pushCutter(this.#cutter, chunk, i);
          if (next < 0) {
            this.#inString = false;
            return;
          }
          i = next;
          start = next;
          continue;
        }
        depth += 1;
        if (depth > maxDepth) {
          throw new OvsdbError('protocol_error', `message nested deeper than ${maxDepth} levels`);
        }
      } else if (byte === 0x7d || byte === 0x5d) {
        if (depth === 0) {
          throw badByte(byte);
        }
        depth -= 1;
        if (depth === 0) {
          this.#depth = 0;
          this.#inString = false;
          this.#emit(chunk, start, i);
          start = i;
        }
      } else if (depth === 0) {
        this.#blank(byte);
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (depth > 0 && start < end) {
      this.#hold(start === 0 ? chunk : chunk.subarray(start));
    }
  }

  /**
   * Whether the bracket before `end` opens the tables of the reply to cut: the result itself (`monitor`,
   * `monitor_cond`) or the object in it (`monitor_cond_since`). Looks at most at the first few brackets of a message.
   */
  #beginsRows(chunk: Buffer, start: number, end: number, depth: number, bracket: number): boolean {
    const cut = this.#cut;
    const length = this.#partBytes + end - start;
    if (cut === undefined || length > MAX_HEAD) {
      this.#watchDepth = 0;
      return false;
    }
    const head = Buffer.concat([...this.#parts, chunk.subarray(start, end)]).toString('utf8');
    if (depth === 1) {
      const match = HEAD.exec(head.slice(0, -1));
      if (match === null || (match[1] === undefined ? !cut.alone() : Number(match[1]) !== cut.id)) {
        this.#watchDepth = 0;
        return false;
      }
      this.#resultAt = head.length - 1;
      if (bracket === 0x5b) {
        return false;
      }
    }
    if (bracket === 0x5b || this.#resultAt < 0) {
      this.#watchDepth = 0;
      return false;
    }
    const leading = leadingElements(head.slice(this.#resultAt, -1));
    if (depth === 2 && leading.length !== 2) {
      // No reply of a monitor: a list of objects, say.
      this.#watchDepth = 0;
      return false;
    }
    this.#cutter = new RowCutter(depth + 1, leading, cut.sink, this.#limits);
    this.#prefix = head;
    this.#parts = [];
    this.#partBytes = 0;
    this.#watchDepth = 0;
    return true;
  }

  /** Gives bytes to the cutter. Returns where the framer goes on, or -1 when the rows go on in the next chunk. */
  #pushCutter(cutter: RowCutter | undefined, chunk: Buffer, from: number): number {
    const next = cutter?.push(chunk, from) ?? from;
    if (next >= 0 && cutter !== undefined) {
      this.#prefix += cutter.remains;
      this.#cutter = undefined;
    }
    return next;
  }

  /** A byte between messages. Blanks are allowed, but a stream of them is no sign of life. */
  #blank(byte: number | undefined): void {
    this.#blanks += 1;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
      throw badByte(byte);
    }
    if (this.#blanks > MAX_BLANKS) {
      throw new OvsdbError('protocol_error', `more than ${MAX_BLANKS} blanks between messages`);
    }
  }

  #hold(part: Buffer): void {
    this.#partBytes += part.length;
    this.#checkSize(this.#partBytes);
    this.#parts.push(part);
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    const prefix = this.#prefix;
    this.#prefix = '';
    if (this.#parts.length === 0) {
      this.#checkSize(end - start);
      this.#onText(prefix + chunk.toString('utf8', start, end));
      return;
    }
    this.#hold(chunk.subarray(0, end));
    const whole = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#onText(prefix + whole.toString('utf8'));
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#limits.maxBytes) {
      throw new OvsdbError('protocol_error', `message larger than ${this.#limits.maxBytes} bytes`);
    }
  }
}

/** The elements of `[false,"...",`; none of the empty text, which stands before a result that is the tables itself. */
function leadingElements(text: string): readonly unknown[] {
  if (text === '') {
    return [];
  }
  try {
    return JSON.parse(`${text.replace(/,\s*$/, '')}]`) as readonly unknown[];
  } catch (error) {
    throw new OvsdbError('protocol_error', `not JSON: ${text.slice(0, 60)}`, { cause: error });
  }
}

function badByte(byte: number | undefined): OvsdbError {
  const hex = (byte ?? 0).toString(16).padStart(2, '0');
  return new OvsdbError('protocol_error', `byte 0x${hex} between messages: the peer does not speak OVSDB's JSON-RPC`);
}
