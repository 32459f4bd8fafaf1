/** What the tests of this folder share: connections that are closed at the end, refusals, counters. */
import { type Connection, type ConnectOptions, connect, OpenFlowError } from '@ovenbird/openflow';
import { expect } from 'vitest';
import { type TestSwitch, until } from './switch.ts';

/** Connections of one test file. */
export class Connections {
  readonly #open: Connection[] = [];

  /** Connects to a bridge and waits until it is. */
  async open(ovs: TestSwitch, bridge = 'br0', options: Partial<ConnectOptions> = {}): Promise<Connection> {
    const connection = connect({ remote: ovs.remote(bridge), ...options });
    this.#open.push(connection);
    await connection.connected();
    return connection;
  }

  /** Closes all. */
  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((connection) => connection.close()));
  }
}

/** The error that a promise is rejected with. */
export async function rejected(promise: Promise<unknown>): Promise<OpenFlowError> {
  const error = await promise.then(
    () => new Error('it was not rejected'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OpenFlowError);
  return error as OpenFlowError;
}

/** Waits until a port has sent so many packets. */
export async function sent(sw: Connection, port: number, packets: bigint): Promise<void> {
  let last = 0n;
  await until(
    `${packets} packets out of port ${port}`,
    async () => {
      const { ports } = await sw.request<'port_stats_request'>({ type: 'port_stats_request', port });
      last = ports.find((entry) => entry.port === port)?.txPackets ?? -1n;
      return last === packets;
    },
    () => last,
  );
}

/** An Ethernet packet of 60 bytes with a type nobody uses. */
export const PACKET: Uint8Array = Buffer.concat([
  Buffer.from('00000000000200000000000188b5', 'hex'),
  Buffer.alloc(46, 0x5a),
]);

/** A packet of ovs-appctl's syntax that comes in on a port. */
export function tcp(port: number, source: string, destination: string, to: number, more = ''): string {
  return `in_port(${port}),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(src=${source},dst=${destination},proto=6,tos=0,ttl=64,frag=no),tcp(src=1024,dst=${to})${more}`;
}
