/** Damaged OpenFlow frames: the recorded ones with bits, lengths and pieces changed, and what decoding them must keep. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeMessage, encodeMessage, formatMessage, OpenFlowError, parseMessage } from '@ovenbird/openflow';
import { uniform } from './random.ts';

const TESTDATA = join(import.meta.dirname, '..', '..', 'openflow', 'testdata', 'printed.tsv');
const VERSIONS = [1, 4, 5, 6];
const MAX_FRAME = 0xffff;
/** Numbers that bounds are checked for. */
const EDGES = [0, 1, 3, 4, 7, 8, 16, 0x7f, 0x80, 0xfe, 0xff];

/** The frames recorded from ovs-ofctl and ovs-vswitchd. */
export function recordedFrames(): readonly Uint8Array[] {
  return readFileSync(TESTDATA, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Uint8Array.from(Buffer.from(line.slice(0, line.indexOf('\t')), 'hex')));
}

/** A frame that is damaged in one to four places; its header has the right length in most of them. */
function damage(frames: readonly Uint8Array[], random: () => number): Uint8Array {
  const below = (count: number): number => Math.floor(random() * count);
  let bytes = Uint8Array.from(frames[below(frames.length)] ?? new Uint8Array(8));
  for (let times = 1 + below(4); times > 0; times -= 1) {
    const at = 8 + below(Math.max(1, bytes.length - 8));
    switch (below(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        bytes[at] = EDGES[below(EDGES.length)] ?? 0;
        break;
      case 2:
        bytes[at] = below(256);
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4: {
        const piece = frames[below(frames.length)] ?? bytes;
        const from = below(piece.length);
        bytes = Uint8Array.from([
          ...bytes.subarray(0, at),
          ...piece.subarray(from, from + below(64)),
          ...bytes.subarray(at),
        ]);
        break;
      }
      case 5:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + below(32))]);
        break;
      default:
        bytes[0] = VERSIONS[below(VERSIONS.length)] ?? 4;
        if (below(4) === 0) bytes[1] = below(36);
    }
  }
  if (bytes.length > MAX_FRAME) bytes = bytes.slice(0, MAX_FRAME);
  if (random() < 0.95) {
    bytes[2] = bytes.length >> 8;
    bytes[3] = bytes.length & 0xff;
  }
  return bytes;
}

/** A frame of 64 kB may print as so much text for each of its bytes, and not more. */
const MAX_TEXT_PER_BYTE = 64;

/** What became of a frame. */
export type Outcome = 'refused' | 'kept';

/** Only errors of the package's own are allowed. */
function expected(error: unknown, what: string): void {
  if (!(error instanceof OpenFlowError)) throw new Error(`${what} threw ${String(error)}`, { cause: error });
}

/**
 * What a text is read as must print as the same text, or, where a damaged frame said something that has a normal form
 * (bits outside of a mask, two values of one field, the length of a tunnel option), as one that is read as the same.
 */
function checkText(text: string): void {
  let parsed: ReturnType<typeof parseMessage>;
  let bytes: Uint8Array;
  try {
    parsed = parseMessage(text);
    bytes = encodeMessage(parsed.version, parsed.message);
  } catch (error) {
    expected(error, `reading ${JSON.stringify(text)}`);
    return;
  }
  const again = formatMessage(parsed.version, parsed.message);
  if (again.trim() === text.trim()) return;
  const { version, message } = parseMessage(again);
  // A mask of all bits says how long a tunnel option is, and is not printed: then the text has to stay as it is now.
  if (again.includes('tun_metadata') && formatMessage(version, message) === again) return;
  if (Buffer.compare(encodeMessage(version, message), bytes) !== 0) {
    throw new Error(`${JSON.stringify(text)}\nwas read as what prints\n${JSON.stringify(again)}`);
  }
}

/**
 * Decodes, prints, reads the text and encodes a frame.
 * @throws Error when something other than an OpenFlowError comes of it, the text is out of proportion or is read as
 * something else, or what was encoded decodes to something else
 */
export function check(bytes: Uint8Array): Outcome {
  let decoded: ReturnType<typeof decodeMessage>;
  try {
    decoded = decodeMessage(bytes);
  } catch (error) {
    expected(error, 'decoding');
    if (error instanceof OpenFlowError && error.code !== 'malformed')
      throw new Error(`code ${error.code} for bytes`, { cause: error });
    return 'refused';
  }
  const { version, message } = decoded;
  const text = formatMessage(version, message);
  if (text.length > 4096 + bytes.length * MAX_TEXT_PER_BYTE) {
    throw new Error(`${bytes.length} bytes print as ${text.length} characters`);
  }
  checkText(text);
  let encoded: Uint8Array;
  try {
    encoded = encodeMessage(version, message);
  } catch (error) {
    expected(error, 'encoding what was decoded');
    return 'refused';
  }
  const again = encodeMessage(version, decodeMessage(encoded).message);
  if (Buffer.compare(encoded, again) !== 0) {
    throw new Error(
      `encoded as\n  ${Buffer.from(encoded).toString('hex')}\nand then as\n  ${Buffer.from(again).toString('hex')}`,
    );
  }
  return 'kept';
}

/** Checks so many damaged frames. @throws Error that names seed, frame, and what happened */
export function fuzz(count: number, seed: number): Record<Outcome, number> {
  const frames = recordedFrames();
  const random = uniform(seed);
  const outcomes = { refused: 0, kept: 0 };
  for (let at = 0; at < count; at += 1) {
    const bytes = damage(frames, random);
    try {
      outcomes[check(bytes)] += 1;
    } catch (error) {
      throw new Error(`SEED=${seed}, frame ${at}: ${Buffer.from(bytes).toString('hex')}: ${String(error)}`, {
        cause: error,
      });
    }
  }
  return outcomes;
}
