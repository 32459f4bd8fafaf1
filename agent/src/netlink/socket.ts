import { closeSync, openSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import { AgentError } from '../error.ts';
import { addressOf, close, ioctl, type Outcome, recv, send, setns, setsockopt, socket } from './libc.ts';
import { decodeAnswers, encodeRequests, type NetlinkReply, type NetlinkRequest } from './message.ts';
import { getLink, linkIndex } from './route.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_OPTIONS = { capAck: 10, extAck: 11, getStrictCheck: 12 } as const;
const CLONE_NEWNET = 0x4000_0000;
const MSG_DONTWAIT = 0x40;
/** Requests in one datagram: their acknowledgements have to fit into the socket's receive buffer (socket(7), rmem_default). */
const MOST_REQUESTS = 64;
/** sockios.h, ethtool.h */
const SIOCETHTOOL = 0x8946;
const OFFLOADS = { transmitChecksum: 0x17, segmentation: 0x1f, genericSegmentation: 0x24 } as const;

/** Received into at once and copied from before anything else runs. */
const incoming = Buffer.alloc(65_536);

/**
 * What the kernel does under its one lock for links (rtnetlink) is asked for one after the other: more at a time would only
 * keep threads waiting that Node needs for files.
 */
let turn: Promise<unknown> = Promise.resolve();
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work, work);
  turn = result.catch(() => undefined);
  return result;
}

function must({ result, errno }: Outcome, what: string): number {
  if (result < 0) throw new AgentError('host-command', `${what}: ${getSystemErrorMessage(-errno)}`);
  return result;
}

/**
 * Does something at once in another network namespace. No other code runs meanwhile: setns(2) moves this thread.
 * @param netns open descriptor of it
 */
export function within<T>(netns: number, work: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    must(setns(netns, CLONE_NEWNET), 'cannot enter the network namespace');
    try {
      return work();
    } finally {
      // An agent in a pod's namespace would do everything that follows to the pod.
      if (setns(home, CLONE_NEWNET).result !== 0) process.abort();
    }
  } finally {
    closeSync(home);
  }
}

/** Opens the socket; in another namespace when one is given. */
function openIn(netns: number | undefined): number {
  const open = (): number => must(socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE), 'socket(AF_NETLINK)');
  return netns === undefined ? open() : within(netns, open);
}

interface Waiting {
  readonly requests: readonly NetlinkRequest[];
  readonly resolve: (replies: readonly NetlinkReply[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A route netlink socket in a network namespace. The kernel carries requests out while they are sent, on a thread of the
 * pool; what is asked for meanwhile goes out as one datagram afterwards.
 */
export class RouteSocket implements Disposable {
  readonly #fd: number;
  #sequence = 1;
  #waiting: Waiting[] = [];
  #flushing = false;

  /** @param netns open descriptor of a network namespace; absent: the one of this process */
  constructor(netns?: number) {
    this.#fd = openIn(netns);
    const on = Buffer.from([1, 0, 0, 0]);
    for (const option of Object.values(NETLINK_OPTIONS)) setsockopt(this.#fd, SOL_NETLINK, option, on, on.length);
  }

  /** Sends requests, which are carried out in order, all of them, whichever fail. */
  exchange(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkReply[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ requests, resolve, reject });
      if (this.#flushing) return;
      this.#flushing = true;
      void inTurn(() => this.#flush());
    });
  }

  /** Sends requests that must succeed. @throws AgentError `host-command` about the first that failed */
  async run(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkReply[]> {
    const replies = await this.exchange(requests);
    for (const [index, reply] of replies.entries()) {
      const request = requests[index];
      if (reply.errno !== 0 && request !== undefined) throw failure(request, reply);
    }
    return replies;
  }

  /** Index of a link. @throws AgentError `host-command` when there is none of that name */
  async indexOf(name: string): Promise<number> {
    const [reply] = await this.run([getLink(name)]);
    const body = reply?.objects[0];
    if (body === undefined) throw new AgentError('host-command', `the kernel does not show the link ${name}`);
    return linkIndex(body);
  }

  /** Bodies of all objects that a request asks for. @throws AgentError `host-command` */
  async dump(request: NetlinkRequest): Promise<readonly Buffer[]> {
    const [reply] = await this.run([request]);
    return reply?.objects ?? [];
  }

  async #flush(): Promise<void> {
    const batch: Waiting[] = [];
    let count = 0;
    for (const one of this.#waiting) {
      const alone = [...batch, one].some(({ requests }) => requests.some(({ dump }) => dump === true));
      if (batch.length > 0 && (alone || count + one.requests.length > MOST_REQUESTS)) break;
      batch.push(one);
      count += one.requests.length;
    }
    this.#waiting = this.#waiting.slice(batch.length);
    this.#flushing = this.#waiting.length > 0;
    if (this.#flushing) void inTurn(() => this.#flush());
    try {
      const replies = await this.#transfer(batch.flatMap(({ requests }) => requests));
      let at = 0;
      for (const { requests, resolve } of batch) {
        resolve(replies.slice(at, at + requests.length));
        at += requests.length;
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async #transfer(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkReply[]> {
    const first = this.#sequence;
    this.#sequence = (first + requests.length) % 0x8000_0000;
    const datagram = encodeRequests(requests, first);
    must(await send(this.#fd, datagram, datagram.length, 0), 'cannot send to the kernel (netlink)');
    const replies = new Map<number, NetlinkReply>();
    const objects = new Map<number, Buffer[]>();
    while (replies.size < requests.length) {
      // The answers are there: the kernel wrote them while it was sent to, and the next part of a dump while one was received.
      const size = must(recv(this.#fd, incoming, incoming.length, MSG_DONTWAIT), 'no answer of the kernel (netlink)');
      for (const { sequence, errno, text, body } of decodeAnswers(incoming.subarray(0, size))) {
        // Answers to an exchange that was given up are none of ours.
        if (sequence < first || sequence >= first + requests.length) continue;
        if (body !== undefined) objects.set(sequence, [...(objects.get(sequence) ?? []), body]);
        else if (errno !== undefined) replies.set(sequence, { errno, text, objects: objects.get(sequence) ?? [] });
      }
    }
    return requests.map((_, index) => replies.get(first + index) as NetlinkReply);
  }

  /**
   * Switches off what a link of this namespace leaves to hardware: checksums and the cutting of segments (ethtool(8), `-K tx
   * off tso off gso off`).
   * @throws AgentError `host-command`
   */
  async disableOffload(link: string): Promise<void> {
    // struct ifreq and, behind it, the struct ethtool_value that it points to; over 64 bytes, so that it stays in place.
    const bytes = Buffer.alloc(128);
    const value = 64;
    bytes.write(link, 0, 15, 'latin1');
    bytes.writeBigUInt64LE(addressOf(bytes) + BigInt(value), 16);
    for (const [name, command] of Object.entries(OFFLOADS)) {
      bytes.writeUInt32LE(command, value);
      const outcome = await inTurn(() => ioctl(this.#fd, SIOCETHTOOL, bytes));
      must(outcome, `cannot switch off ${name} of ${link}`);
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

/** A refused request as an error of the agent. */
export function failure({ what }: NetlinkRequest, { errno, text }: NetlinkReply): AgentError {
  return new AgentError(
    'host-command',
    `${what}: ${getSystemErrorMessage(-errno)}${text === undefined ? '' : ` (${text})`}`,
  );
}

let shared: RouteSocket | undefined;

/** The socket of the agent's own namespace. */
export function hostSocket(): RouteSocket {
  shared ??= new RouteSocket();
  return shared;
}
