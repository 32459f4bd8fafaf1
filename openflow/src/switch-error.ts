/** Errors of the switch as OpenFlowError: named, with the message they are about. */
import { OpenFlowError } from './error.ts';
import { describeError } from './error-names.ts';
import type { Message } from './message.ts';
import { decodeMessage } from './message-codec.ts';
import { formatMessage } from './message-text.ts';
import type { ErrorMessage } from './messages/session.ts';
import type { Version } from './version.ts';

/** As much of a message's text as an error's message has. */
const MAX_TEXT = 500;

/** The message in an error's data, out of its bundle. Undefined when the data are cut off (§7.5.4 allows 64 bytes). */
function offendingMessage(data: Uint8Array): Message | undefined {
  try {
    const { message } = decodeMessage(data);
    return message.type === 'bundle_add' ? { ...message.message, xid: message.xid } : message;
  } catch {
    return undefined;
  }
}

/** A message in one line, shortened. */
export function describeMessage(version: Version, message: Message): string {
  const text = formatMessage(version, message).replaceAll(/\s+/g, ' ').trim();
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}

/** The error that an OFPT_ERROR stands for: `switch_error`, or `unsupported_version` for a refused greeting. */
export function switchError(version: Version, error: ErrorMessage): OpenFlowError {
  const named = describeError(version, error.errorType, error.code, error.experimenter);
  if (error.errorType === 0) {
    const text = new TextDecoder().decode(error.data);
    return new OpenFlowError('unsupported_version', `the switch refuses the connection: ${named.name}: ${text}`, {
      switchError: named,
    });
  }
  const offending = offendingMessage(error.data);
  const about = offending === undefined ? `${error.data.length} bytes` : describeMessage(version, offending);
  return new OpenFlowError('switch_error', `the switch answers ${named.name} to: ${about}`, {
    switchError: named,
    ...(offending === undefined ? {} : { offending }),
  });
}
