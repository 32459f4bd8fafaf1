import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new SCTP association between two pods' ports of one logical switch. */
export interface TracedFlow {
  readonly logicalSwitch: string;
  readonly fromPort: string;
  readonly fromMac: string;
  readonly from: string;
  readonly toPort: string;
  readonly toMac: string;
  readonly to: string;
  readonly port: number;
}

/** More than the zones that a packet can be tracked in on its way: every one of them sees it as new. */
const allNew = Array.from({ length: 8 }, () => '--ct=new');

/**
 * Asks ovn-trace which flows OVN lets through, as the southbound database is now.
 *
 * SCTP cannot be judged by packets here: the userspace datapath of OVS 3.1 tracks it without its ports (dump-conntrack shows
 * `sport=0,dport=0`), so that one association makes all others between two pods established, in both directions.
 * @param southbound socket of the southbound database
 * @returns for each flow whether it reaches the port it is for
 */
export async function traceAll(southbound: string, flows: readonly TracedFlow[]): Promise<readonly boolean[]> {
  if (flows.length === 0) return [];
  const directory = mkdtempSync(join(tmpdir(), 'ovenbird-trace-'));
  try {
    // One process reads the database once and answers all (its copy is of that moment, ovn-trace(8) `--detach`).
    const control = join(directory, 'ctl');
    const options = [`--db=unix:${southbound}`, '--detach', '--no-chdir', `--pidfile=${join(directory, 'pid')}`];
    const child = spawn('ovn-trace', [...options, `--unixctl=${control}`, '-vconsole:off', '-vsyslog:off', ...allNew], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`ovn-trace does not start (exit ${code}): ${said}`);
    const calls = flows.map((flow) => ['trace', '--minimal', flow.logicalSwitch, microflow(flow)]);
    const replies = await callAll(control, calls);
    await exit(control);
    return flows.map((flow, index) => (replies[index] ?? '').includes(`output("${flow.toPort}")`));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The packet, in the language of ovn-trace(8). */
function microflow({ from, to, port, fromPort, fromMac, toMac }: TracedFlow): string {
  const ip = from.includes(':') ? 'ip6' : 'ip4';
  return [
    `inport == "${fromPort}"`,
    `eth.src == ${fromMac}`,
    `eth.dst == ${toMac}`,
    `${ip}.src == ${from}`,
    `${ip}.dst == ${to}`,
    'ip.ttl == 64',
    'sctp.src == 32768',
    `sctp.dst == ${port}`,
  ].join(' && ');
}

/** Calls of the control protocol, JSON-RPC 1.0 (ovs-appctl(8)); answers come in order. */
async function callAll(path: string, calls: readonly (readonly string[])[]): Promise<readonly string[]> {
  const socket = connect(path);
  try {
    for (const [id, [method, ...params]] of calls.entries()) socket.write(JSON.stringify({ id, method, params }));
    const replies: string[] = [];
    let text = '';
    for await (const piece of socket.setEncoding('utf8') as AsyncIterable<string>) {
      text += piece;
      // Nothing separates the answers but `}{`, which is in none of their texts.
      for (let end = text.indexOf('}{'); end >= 0; end = text.indexOf('}{')) {
        replies.push(resultOf(text.slice(0, end + 1)));
        text = text.slice(end + 1);
      }
      const last = replies.length === calls.length - 1 ? wholeResultOf(text) : undefined;
      if (last !== undefined) return [...replies, last];
    }
    throw new Error(`ovn-trace ended after ${replies.length} of ${calls.length} answers`);
  } finally {
    socket.destroy();
  }
}

/** Ends the daemon, which may be gone before its answer is sent. */
async function exit(path: string): Promise<void> {
  const socket = connect(path);
  socket.on('error', () => undefined).resume();
  socket.write(JSON.stringify({ id: 0, method: 'exit', params: [] }));
  if (!socket.closed) await once(socket, 'close');
}

/** @returns undefined while more of the text is to come */
function wholeResultOf(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return resultOf(text);
}

function resultOf(text: string): string {
  const { result, error } = JSON.parse(text) as { result: string | null; error: string | null };
  if (result === null) throw new Error(`ovn-trace: ${error}`);
  return result;
}
