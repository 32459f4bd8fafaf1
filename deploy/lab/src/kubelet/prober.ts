import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('probe.pl', import.meta.url));

/** One question: can `netns` reach `port` of `destination`? */
export interface Probe {
  /** Name below /run/netns, an absolute path, or `-` for the caller's namespace. */
  readonly netns: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
  /** An address literal, IPv4 or IPv6. */
  readonly destination: string;
  /** Ignored for icmp. */
  readonly port?: number;
  /** Milliseconds until the verdict `timeout`; default 1000. */
  readonly timeoutMs?: number;
}

/**
 * `open`: connected or replied; `closed`: refused (reset, ICMP port or protocol unreachable, SCTP ABORT);
 * `timeout`: silence; `unreachable`: no route or neighbour, or the probe could not start (`text` says why).
 */
export type Verdict = 'open' | 'closed' | 'timeout' | 'unreachable';

/** The answer to one {@link Probe}. */
export interface ProbeResult {
  readonly verdict: Verdict;
  /** Milliseconds from start to verdict. */
  readonly ms: number;
  /** What the peer replied (the pod's name in the lab), or the name of the error. */
  readonly text: string;
}

const VERDICTS: readonly string[] = ['open', 'closed', 'timeout', 'unreachable'] satisfies Verdict[];

/**
 * Ask many probes at once, from one process that enters each namespace by setns(2). Needs root.
 *
 * @returns one result per probe, in the order of the probes.
 * @throws Error when the prober itself fails; a probe that fails is a result.
 */
export async function probeAll(probes: readonly Probe[]): Promise<ProbeResult[]> {
  if (probes.length === 0) return [];
  const child = spawn('perl', [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(
    probes.map((p) => `${p.netns} ${p.protocol} ${p.destination} ${p.port ?? 0} ${p.timeoutMs ?? 1000}\n`).join(''),
  );
  await new Promise<void>((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`cannot start perl ${SCRIPT}: ${cause.message}`, { cause })));
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`prober ended with ${code}: ${errors}`))));
  });
  return parseResults(output, probes.length);
}

/** Parse the prober's lines into the order of the probes. Exported for its test. */
export function parseResults(output: string, count: number): ProbeResult[] {
  const results = Array.from<ProbeResult | undefined>({ length: count });
  for (const line of output.split('\n')) {
    const match = /^(\d+) (\w+) ([\d.]+) ?(.*)$/.exec(line);
    if (!match) continue;
    const [, number, verdict, ms, text] = match;
    if (verdict === undefined || !VERDICTS.includes(verdict)) throw new Error(`prober wrote '${line}'`);
    results[Number(number) - 1] = { verdict: verdict as Verdict, ms: Number(ms), text: text ?? '' };
  }
  return results.map((result, index) => {
    if (!result) throw new Error(`prober gave no answer to probe ${index + 1} of ${count}`);
    return result;
  });
}
