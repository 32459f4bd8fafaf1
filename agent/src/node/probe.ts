import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/** UDP port on `ovn0` at which agents answer each other. */
export const PROBE_PORT = 10_663;

/** What came of asking an address. */
export type ProbeAnswer =
  /** It answered, or said that nobody listens there: packets go there and come back. */
  { readonly answered: true; readonly ms: number } | { readonly answered: false; readonly why: string };

/**
 * Sends a datagram to an address of the overlay and waits for it to come back. A closed port counts as an answer
 * (ECONNREFUSED comes from an ICMP error of the other end; OVN's routers send one too): the way is what is asked about.
 * @param timeoutMs patience, milliseconds
 */
export async function probe(address: string, timeoutMs: number, port: number = PROBE_PORT): Promise<ProbeAnswer> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  const begun = performance.now();
  try {
    return await new Promise<ProbeAnswer>((resolve) => {
      const answered = (): void => resolve({ answered: true, ms: performance.now() - begun });
      const timer = setTimeout(() => resolve({ answered: false, why: `no answer in ${timeoutMs} ms` }), timeoutMs);
      timer.unref();
      socket.on('message', answered);
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') answered();
        else resolve({ answered: false, why: error.message });
      });
      // Connected, so that ICMP errors are reported (udp(7)).
      socket.on('connect', () => socket.send('ovenbird'));
      socket.connect(port, address);
    });
  } finally {
    socket.close();
  }
}

/**
 * Answers probes on one address of this node, until the signal fires.
 * @returns once it listens, or cannot (then probes find a closed port, which is as good)
 */
export async function answerProbes(address: string, signal: AbortSignal, port: number = PROBE_PORT): Promise<void> {
  if (signal.aborted) return;
  const socket: Socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', reuseAddr: true });
  signal.addEventListener('abort', () => socket.close(), { once: true });
  socket.on('message', (bytes, from) => {
    // Never more than was sent.
    if (bytes.length <= 64) socket.send(bytes, from.port, from.address);
  });
  await new Promise<void>((resolve) => {
    socket.on('error', () => resolve());
    socket.bind(port, address, resolve);
  });
}

/** Answers probes on the addresses that this node has in the overlay, which may change. */
export class ProbeAnswers {
  readonly #signal: AbortSignal;
  #now: { readonly addresses: string; readonly stop: AbortController } | undefined;

  /** @param signal ends it */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** On which addresses from now on, and on no others. @returns as {@link answerProbes} on each */
  async follow(addresses: readonly string[]): Promise<void> {
    if (this.#now?.addresses === addresses.join()) return;
    this.#now?.stop.abort();
    const stop = new AbortController();
    this.#now = { addresses: addresses.join(), stop };
    const signal = AbortSignal.any([this.#signal, stop.signal]);
    for (const address of addresses) await answerProbes(address, signal);
  }
}
