import { connect } from 'node:net';
import { type Clock, sleep, systemClock } from '@ovenbird/kube';
import { INTEGRATION_BRIDGE } from './database.ts';

/** The table in which OVN tells the switch's ports apart (ovn-architecture(7)). */
const PHYSICAL_TABLE = 0;
/** Pause before the switch is looked for again, milliseconds. */
const AGAIN_MS = 100;
/** How long a switch that is there may take to answer, milliseconds. */
const ANSWER_MS = 2000;

/** OpenFlow 1.5, as ovn-controller speaks. */
const VERSION = 6;
const HEADER = 8;
/** Of a multipart message: header, type, flags, padding. */
const MULTIPART = 16;
const TYPE = { hello: 0, error: 1, multipartRequest: 18, multipartReply: 19 } as const;
const FLOW_MONITOR = 16;
const ANY = 0xffff_ffff;
/** OFPFMF_INITIAL | OFPFMF_ADD */
const FLAGS = 0b11;
/** OFPFME_INITIAL and OFPFME_ADDED; what follows them is about changes and the monitor itself. */
const ADDED = 1;

function hello(): Buffer {
  return Buffer.from([VERSION, TYPE.hello, 0, HEADER, 0, 0, 0, 1]);
}

/** Asks for the flows of the physical table that match a port, now and from now on (OpenFlow 1.5.1, 7.3.5.20). */
export function monitorRequest(ofport: number): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt8(TYPE.multipartRequest, 1);
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt32BE(2, 4);
  bytes.writeUInt16BE(FLOW_MONITOR, HEADER);
  bytes.writeUInt32BE(1, MULTIPART);
  bytes.writeUInt32BE(ANY, 20);
  bytes.writeUInt32BE(ANY, 24);
  bytes.writeUInt16BE(FLAGS, 28);
  bytes.writeUInt8(PHYSICAL_TABLE, 30);
  // An OXM match, 12 bytes and padding: in_port.
  bytes.writeUInt16BE(1, 32);
  bytes.writeUInt16BE(12, 34);
  bytes.writeUInt32BE(0x8000_0004, 36);
  bytes.writeUInt32BE(ofport, 40);
  return bytes;
}

/** What a message of the switch says of the flows: whether there are; undefined: nothing. */
function answerOf(message: Buffer): boolean | undefined {
  const type = message[1];
  if (type === TYPE.error) return false;
  if (type !== TYPE.multipartReply || message.readUInt16BE(HEADER) !== FLOW_MONITOR) return undefined;
  for (let at = MULTIPART; at + 4 <= message.length; at += Math.max(HEADER, message.readUInt16BE(at))) {
    if (message.readUInt16BE(at + 2) <= ADDED) return true;
  }
  return false;
}

/** Which port, and how long to look. */
export interface PortFlowsQuestion {
  /** Where ovs-vswitchd has br-int's management socket (ovs-vswitchd(8)). */
  readonly ovsRunDir: string;
  readonly ofport: number;
  /** `now`: answers what is; `until`: waits until there are flows, also for the switch. */
  readonly patience: 'now' | 'until';
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** One connection. @returns false also when nobody answers, or the connection ends */
function ask({ ovsRunDir, ofport, patience, signal, clock = systemClock }: PortFlowsQuestion): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(`${ovsRunDir}/${INTEGRATION_BRIDGE}.mgmt`);
    const over = new AbortController();
    let held: Buffer = Buffer.alloc(0);
    const settle = (answer: boolean): void => {
      over.abort();
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', () => socket.write(Buffer.concat([hello(), monitorRequest(ofport)])));
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      while (held.length >= HEADER && held.length >= held.readUInt16BE(2)) {
        const length = Math.max(HEADER, held.readUInt16BE(2));
        const answer = answerOf(held.subarray(0, length));
        held = held.subarray(length);
        if (answer === true || (answer === false && patience === 'now')) settle(answer);
      }
    });
    socket.on('error', () => settle(false)).on('close', () => settle(false));
    signal.addEventListener('abort', () => settle(false), { signal: over.signal });
    if (patience === 'now') void sleep(clock, ANSWER_MS, over.signal).then(() => settle(false));
  });
}

/**
 * Whether br-int has flows for what comes from a port. ovn-controller fills a switch that has started in one atomic bundle:
 * with these flows come all others. The switch itself is asked, because what the database says of flows outlives them, and
 * without the OpenFlow library, which takes 20 MB.
 * @returns false also when no switch answers
 */
export async function portHasFlows(question: PortFlowsQuestion): Promise<boolean> {
  const { patience, signal, clock = systemClock } = question;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask(question);
    signal.throwIfAborted();
    if (answer || patience === 'now') return answer;
    await sleep(clock, AGAIN_MS, signal);
  }
}
