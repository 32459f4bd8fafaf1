/** Which messages a switch sends by itself: set per connection, and forgotten with it. */
import type { AsyncOptions } from './connection-api.ts';
import type { Outgoing } from './message.ts';
import type { Session } from './session.ts';

/**
 * Sets it. Open vSwitch sends nothing unasked on a connection that somebody made to it (as to `br0.mgmt`) before
 * miss_send_len is set, and packets only to the controller id that the action names.
 * @throws OpenFlowError what the switch refuses
 */
export async function setUpAsync(session: Session, options: AsyncOptions): Promise<void> {
  const { missSendLen = 0xffff, controllerId = 0, packetInFormat = 'nxt_packet_in2', primary, secondary } = options;
  const messages: Outgoing[] = [
    { type: 'set_config', flags: 0, missSendLen },
    { type: 'set_controller_id', controllerId },
    { type: 'set_packet_in_format', format: packetInFormat },
  ];
  if (primary !== undefined || secondary !== undefined) {
    // Before 1.4 all masks are set at once, so those that are left out must be known.
    const now = await session.request<'get_async_request'>({ type: 'get_async_request' });
    messages.push({
      type: 'set_async',
      primary: { ...now.primary, ...primary },
      secondary: { ...now.secondary, ...secondary },
    });
  }
  await session.send(messages);
}
