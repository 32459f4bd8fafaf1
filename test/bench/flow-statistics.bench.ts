/**
 * `npm run bench -- flow-statistics`: what one reading of the agent's counters costs with 20,000 flows in the tables of ACLs,
 * on a real ovs-vswitchd. Figures are CPU time, of the reading process and of ovs-vswitchd; medians of the rounds.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Explainer, type FlowMeaning, type FlowSource, FlowStatistics, type StageInfo } from '@ovenbird/agent';
import { connect } from '@ovenbird/openflow';
import { TestSwitch } from '../integration/openflow/switch.ts';
import { infoLine, median } from './report.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 15);
const FLOWS = 20_000;
const BRIDGE = 'br-int';
/** A rule has a flow for each pod and peer, or one for each pod; for new packets and for those of established connections. */
const FLOWS_PER_RULE = 20;

/** By parity of the cookie. */
const stages: readonly [StageInfo, StageInfo] = [
  { name: 'ls_out_acl', acl: true, direction: 'ingress', reason: 'conntrack', examples: ['10000000'] },
  { name: 'ls_in_acl_after_lb', acl: true, direction: 'egress', reason: 'conntrack', examples: ['10000001'] },
];

/** Rules for ports and peers in each of the two tables, as ovn-controller writes them. */
function flowFile(): string {
  const lines = ['table=46,cookie=0x10000000,priority=0,metadata=0x3,actions=resubmit(,47)'];
  lines.push('table=25,cookie=0x10000001,priority=0,metadata=0x3,actions=resubmit(,26)');
  for (let at = 0; at < FLOWS; at += 1) {
    const isOut = at % 2 === 0;
    const cookie = (Math.floor(at / FLOWS_PER_RULE) * 2 + 2 + (at % 2)).toString(16);
    const port = `reg${isOut ? 15 : 14}=0x${((at % 110) + 2).toString(16)}`;
    const peer = `nw_${isOut ? 'src' : 'dst'}=10.0.${at >> 8}.${at & 255}`;
    const hint = at % 4 < 2 ? '0x80/0x80' : '0x100/0x100';
    const match = `priority=3001,tcp,reg0=${hint},${port},metadata=0x3,${peer},tp_dst=80`;
    lines.push(`table=${isOut ? 46 : 25},cookie=0x${cookie},${match},actions=resubmit(,${isOut ? 47 : 26})`);
  }
  return `${lines.join('\n')}\n`;
}

function meaningOf(key: string): FlowMeaning {
  const cookie = Number.parseInt(key, 16);
  const stage = stages[cookie % 2 === 0 ? 0 : 1];
  const meaning = { stage: stage.name, datapath: 'net' };
  if (cookie >= 0x1000_0000) return meaning;
  const { direction } = stage;
  const rule = { kind: 'NetworkPolicy', namespace: 'bench', name: `p${cookie}`, rule: `${direction}/0`, direction };
  return { ...meaning, rule: { ...rule, action: 'allow' } };
}

const explainer: Explainer = {
  stages: async () => stages,
  flows: async (keys) => new Map(keys.map((key) => [key, meaningOf(key)])),
};

/** CPU time of a process, milliseconds (proc(5), `/proc/<pid>/stat`, 100 ticks a second). */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

await using daemon = await TestSwitch.start(BRIDGE);
const file = join(daemon.dir, 'flows.txt');
await writeFile(file, flowFile());
await daemon.ofctl(BRIDGE, 'add-flows', file);
const stop = new AbortController();
const connection = connect({ remote: daemon.remote(BRIDGE), signal: stop.signal });
await connection.connected();
const switchPid = daemon.pid;
if (switchPid === undefined) throw new Error('ovs-vswitchd does not run');

/** Flows that carry packets cost more: each is remembered. @param busy whether all of them do */
async function measure(name: string, busy: boolean, switchPid: number): Promise<void> {
  let packets = 0n;
  const source: FlowSource = {
    request: (message, options) => connection.request(message, options),
    dumpFlows: async (filter) => {
      const flows = await connection.dumpFlows(filter);
      return busy ? flows.map((flow) => ({ ...flow, packetCount: packets, byteCount: packets * 100n })) : flows;
    },
  };
  let now = 0;
  const statistics = new FlowStatistics({
    source,
    explainer,
    intervalMs: 5000,
    now: () => now,
    sleep: async () => undefined,
    signal: stop.signal,
  });
  const own: number[] = [];
  const wall: number[] = [];
  const switchBefore = cpuOf(switchPid);
  for (let round = 0; round < ROUNDS; round += 1) {
    packets += 3n;
    now += 5000;
    const before = process.cpuUsage();
    const begin = performance.now();
    const { series, problem } = await statistics.read();
    wall.push(performance.now() - begin);
    const { user, system } = process.cpuUsage(before);
    own.push((user + system) / 1000);
    const rules = series.filter(({ subject }) => subject.type === 'rule').length;
    if (problem !== undefined || rules !== (FLOWS / FLOWS_PER_RULE) * 4) throw new Error(`${problem}; ${rules} rules`);
  }
  const line = infoLine(name, {
    flows: [FLOWS, ''],
    agent_cpu: [median(own), 'ms'],
    vswitchd_cpu: [(cpuOf(switchPid) - switchBefore) / ROUNDS, 'ms'],
    wall: [median(wall), 'ms'],
    share_at_15s: [median(own) / 150, '%'],
  });
  process.stdout.write(`${line}\n`);
}

await measure('flow-statistics-idle', false, switchPid);
await measure('flow-statistics-busy', true, switchPid);
stop.abort();
await connection.close();
