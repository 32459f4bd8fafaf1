/** Applies `update3` frames to the replica without parsing their envelopes. */
import type { ReplicaStore } from './replica.ts';
import type { FrameEnd, RowFrameReader } from './row-frame.ts';

/**
 * Applies the frame that begins at `from`. Returns undefined, and has done nothing, when the message must be parsed.
 * @throws OvsdbError `protocol_error`; nothing was applied then.
 */
export function takeFrame<DB>(
  frames: RowFrameReader,
  replica: ReplicaStore<DB>,
  text: string,
  from: number,
): FrameEnd | undefined {
  const frame = frames.read(text, from);
  if (frame !== undefined) {
    return replica.applyRow(frame) ? frame : undefined;
  }
  // Row by row pays where new rows are kept as texts. Listeners read them at once.
  if (replica.isListenedTo) {
    return undefined;
  }
  const load = replica.load('monitor_cond_since', true);
  const end = frames.readRows(text, from, (...row) => load.row(...row));
  if (end !== undefined) {
    replica.commit(load, true);
  }
  return end;
}
