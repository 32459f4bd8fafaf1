import { encodeMessage, MONITOR_FLAGS, match } from '@ovenbird/openflow';
import { expect, test } from 'vitest';
import { monitorRequest } from './port-flows.ts';

test('asks as the OpenFlow library would', () => {
  const [type, xid, id] = ['flow_monitor_request', 2, 1] as const;
  const flags = MONITOR_FLAGS.initial | MONITOR_FLAGS.add;
  const wanted = encodeMessage(6, { type, xid, id, flags, tableId: 0, match: match({ in_port_oxm: 7 }) });
  expect(monitorRequest(7).toString('hex')).toBe(Buffer.from(wanted).toString('hex'));
});
