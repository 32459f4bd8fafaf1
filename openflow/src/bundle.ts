/** Bundles: messages that take effect together or not at all (OpenFlow 1.5.1 §7.3.9). */
import { OpenFlowError } from './error.ts';
import type { Message, MessageList, Outgoing } from './message.ts';
import { BUNDLE_FLAGS } from './messages/bundle.ts';
import type { Session } from './session.ts';
import { describeMessage } from './switch-error.ts';

/** Options of a bundle. */
export interface BundleOptions {
  /** No packet meets a part of the bundle without the rest. Default true. */
  readonly atomic?: boolean | undefined;
  /** The messages take effect in their order. Default true. */
  readonly ordered?: boolean | undefined;
  /** Milliseconds for the switch to answer each step. Default 60,000. */
  readonly timeoutMs?: number | undefined;
}

/** The error of a bundle, from what the switch said about a message of it or about the whole. */
function bundleFailed(session: Session, message: Outgoing | undefined, index: number, cause: OpenFlowError): Error {
  const where = message === undefined ? '' : ` at message ${index}`;
  const details = { cause, ...(cause.switchError === undefined ? {} : { switchError: cause.switchError }) };
  if (message === undefined) return new OpenFlowError('bundle_failed', `bundle refused: ${cause.message}`, details);
  const offending = { ...message, xid: 0 } as Message;
  const name = cause.switchError?.name ?? cause.message;
  const text = `bundle refused${where} with ${name}: ${describeMessage(session.version, offending)}`;
  return new OpenFlowError('bundle_failed', text, { ...details, index, offending });
}

/**
 * Commits messages (flow_mod, group_mod, port_mod, packet_out) as one bundle. Open vSwitch reports a message that it
 * cannot decode when it is added, and would commit the others: so nothing is committed before all are known to be good.
 * @throws OpenFlowError `bundle_failed` with `index` and `offending` (nothing was changed); `outcome_unknown` when the
 * connection ends during the commit; `disconnected` when it ends before (nothing was changed)
 */
export async function commitBundle(
  session: Session,
  list: readonly Outgoing[] | MessageList,
  options: BundleOptions = {},
): Promise<void> {
  if (list.length === 0) return;
  const messages: MessageList = 'get' in list ? list : { length: list.length, get: (index) => list[index] as Outgoing };
  const { atomic = true, ordered = true, timeoutMs = 60_000 } = options;
  const flags = (atomic ? BUNDLE_FLAGS.atomic : 0) | (ordered ? BUNDLE_FLAGS.ordered : 0);
  const bundleId = session.reserve(1);
  const control = (what: 'open_request' | 'close_request' | 'commit_request' | 'discard_request'): Promise<unknown> =>
    session.request<'bundle_control'>({ type: 'bundle_control', bundleId, control: what, flags }, { timeoutMs });
  let refused: { readonly index: number; readonly error: OpenFlowError } | undefined;
  const opened = control('open_request');
  const written = session.writeList(
    messages.length,
    (index, xid) => {
      const message = messages.get(index);
      // The message inside has the transaction id of the one around it, whatever it had.
      const inside = message.xid === undefined ? message : { ...message, xid };
      return { type: 'bundle_add', xid, bundleId, flags, message: inside };
    },
    (index, error) => {
      refused ??= { index, error };
    },
  );
  try {
    await opened;
    await written.done;
    await control('close_request');
    if (refused === undefined) await control('commit_request');
  } catch (error) {
    const cause = OpenFlowError.from(error);
    if (session.reason === undefined) control('discard_request').catch(() => undefined);
    if (refused === undefined) {
      throw cause.code === 'switch_error' ? bundleFailed(session, undefined, -1, cause) : cause;
    }
  } finally {
    written.forget();
  }
  if (refused !== undefined) {
    const { index, error } = refused;
    if (session.reason === undefined) control('discard_request').catch(() => undefined);
    throw bundleFailed(session, messages.get(index), index, error);
  }
}
