import { type Probe, probeAll, type Verdict } from '@ovenbird/deploy';
import type { Case, Expectation, Fixture } from './case.ts';
import type { PolicyCluster } from './cluster.ts';
import { retarget } from './oracle.ts';
import { type TracedFlow, traceAll } from './tracer.ts';

/** What is probed, and for how long reality may differ from what is expected. */
export interface RunOptions {
  readonly families: readonly (4 | 6)[];
  /** Milliseconds for one step to take effect. */
  readonly deadline: number;
}

/** What became of one case. */
export interface CaseResult {
  readonly name: string;
  readonly tags: readonly string[];
  readonly steps: number;
  /** Connections that had to be right, each twice. */
  readonly cells: number;
  /** How often the datapath's cache had to be cleared. */
  readonly cleared: number;
  readonly milliseconds: number;
  /** Connections that were wrong to the end, or turned wrong again; an error's message. */
  readonly failures: readonly string[];
}

/** One connection: asked with packets, or of ovn-trace. */
interface Cell {
  readonly text: string;
  readonly open: boolean;
  readonly probe?: Probe;
  readonly flow?: TracedFlow;
}

/** What the cases of a suite mean. */
export interface PolicySuite {
  readonly cases: (pattern?: string) => readonly Case[];
  readonly fixture: (name: string) => Fixture;
  /** Of the recorded ports, those that are probed: `TCP/80` ... */
  readonly ports: readonly string[];
  /** The reachability after each step of a case. @param addresses of pods by `namespace/name`, of one family */
  readonly expectations: (
    item: Case,
    fixture: Fixture,
    addresses: ReadonlyMap<string, string>,
  ) => readonly Expectation[];
}

/** Where cases run. */
export interface Stage {
  readonly suite: PolicySuite;
  readonly cluster: PolicyCluster;
  readonly fixture: Fixture;
  /** Socket of the southbound database. */
  readonly southbound: string;
}

/** Runs one case on a cluster, which is the bare fixture before and should be reset after. */
export async function runCase(item: Case, stage: Stage, options: RunOptions): Promise<CaseResult> {
  const { cluster, fixture, suite } = stage;
  const start = performance.now();
  const failures: string[] = [];
  let cells = 0;
  let cleared = 0;
  const blocks = (item.cidrVars ?? []).length > 0 || JSON.stringify(item.steps).includes('"ipBlock"');
  // Blocks are computed from addresses of one family, so such a case is run for each.
  for (const families of blocks ? options.families.map((family) => [family]) : [options.families]) {
    const addresses = cluster.addresses(families[0] ?? 4);
    const targeted = retarget(item, addresses);
    const expectations = new Map(
      families.map((family) => [family, suite.expectations(targeted, fixture, cluster.addresses(family))]),
    );
    for (const [index, step] of targeted.steps.entries()) {
      await cluster.step(step);
      const probes = families.flatMap((family) => {
        const expected = expectations.get(family)?.[index];
        return expected === undefined ? [] : cellsOf(expected, cluster, family, suite.ports);
      });
      cells += probes.length;
      const { wrong, cleared: times } = await converge(probes, stage, options.deadline);
      cleared += times;
      failures.push(...wrong.map((text) => `step ${index + 1} ${text}`));
    }
    await cluster.reset();
  }
  const milliseconds = performance.now() - start;
  return { name: item.name, tags: item.tags, steps: item.steps.length, cells, cleared, milliseconds, failures };
}

function cellsOf(
  expected: Expectation,
  cluster: PolicyCluster,
  family: 4 | 6,
  ports: readonly string[],
): readonly Cell[] {
  const cells: Cell[] = [];
  for (const { ports: keys, rows } of expected.tables) {
    for (const key of keys.filter((candidate) => ports.includes(candidate))) {
      for (const [at, from] of expected.order.entries()) {
        for (const [column, to] of expected.order.entries()) {
          const cell = rows[at]?.[column];
          if (cell === '-') continue;
          const open = cell === '.';
          const text = `${from} -> ${to} ${key} IPv${family}: ${open ? 'allowed' : 'blocked'}`;
          // A pod reaches itself within its own namespace: OVN is not asked.
          if (key.startsWith('SCTP') && from === to) continue;
          cells.push({ text, open, ...questionOf(cluster, from, to, key, family) });
        }
      }
    }
  }
  return cells;
}

function questionOf(
  cluster: PolicyCluster,
  from: string,
  to: string,
  key: string,
  family: 4 | 6,
): Pick<Cell, 'probe' | 'flow'> {
  const [protocol = '', number = ''] = key.toLowerCase().split('/');
  const netns = cluster.netns.get(from);
  const source = cluster.pods.get(from);
  const target = cluster.pods.get(to);
  const addresses = cluster.addresses(family);
  const destination = addresses.get(to);
  const own = addresses.get(from);
  if (
    netns === undefined ||
    source === undefined ||
    target === undefined ||
    destination === undefined ||
    own === undefined
  )
    throw new Error(`no interface or IPv${family} address of ${from} or ${to}`);
  const port = Number(number);
  if (protocol === 'tcp' || protocol === 'udp') return { probe: { netns, protocol, destination, port } };
  return {
    flow: {
      logicalSwitch: source.logicalSwitch,
      fromPort: source.logicalPort,
      fromMac: source.mac,
      from: own,
      toPort: target.logicalPort,
      toMac: target.mac,
      to: destination,
      port,
    },
  };
}

/** A refusal is no answer either; what could not be asked is neither. */
const meaning: Readonly<Record<Verdict, boolean>> = { open: true, closed: false, timeout: false, unreachable: false };

/** How long an answer is waited for, in milliseconds. */
interface Patience {
  readonly open: number;
  readonly blocked: number;
}

interface Wrong {
  readonly cell: Cell;
  readonly verdict: string;
}

/**
 * Asks all cells at once. A blocked one needs its whole time; what should be open answers at once or, when the machine lost
 * the first packet of so many, after TCP's first retransmission (1 s, RFC 6298).
 */
async function ask(cells: readonly Cell[], southbound: string, time: Patience): Promise<Wrong[]> {
  const probed = cells.flatMap((cell) => (cell.probe === undefined ? [] : [{ cell, probe: cell.probe }]));
  const traced = cells.flatMap((cell) => (cell.flow === undefined ? [] : [{ cell, flow: cell.flow }]));
  const [answers, reaches] = await Promise.all([
    probeAll(probed.map(({ cell, probe }) => ({ ...probe, timeoutMs: cell.open ? time.open : time.blocked }))),
    traceAll(
      southbound,
      traced.map(({ flow }) => flow),
    ),
  ]);
  return [
    ...probed.flatMap(({ cell }, index) => {
      const answer = answers[index];
      const right = answer !== undefined && meaning[answer.verdict] === cell.open;
      return right ? [] : [{ cell, verdict: `${answer?.verdict} ${answer?.text}`.trim() }];
    }),
    ...traced.flatMap(({ cell }, index) =>
      reaches[index] === cell.open ? [] : [{ cell, verdict: `ovn-trace says ${cell.open ? 'drop' : 'output'}` }],
    ),
  ];
}

/**
 * Waits until every cell is right, then requires that all of them are right once more.
 *
 * The userspace datapath of OVS 3.1 changes the wrong one of two cached flows that overlap, now and then, and keeps the
 * other for good (docs/decisions/0015). Its cache is then cleared, which is counted: it cannot hide a wrong rule, since every
 * packet goes through the tables again.
 * @returns what was still wrong at the deadline, or wrong again
 */
async function converge(
  cells: readonly Cell[],
  { cluster, southbound }: Stage,
  deadline: number,
): Promise<{ readonly wrong: readonly string[]; readonly cleared: number }> {
  const end = performance.now() + deadline;
  const describe = (when: string, list: readonly Wrong[]): readonly string[] =>
    list.map(({ cell, verdict }) => `${cell.text} but ${verdict} ${when}`);
  let wrong = await ask(cells, southbound, { open: 400, blocked: 200 });
  for (let round = 1, cleared = 0; ; round += 1) {
    const confirming = wrong.length === 0;
    const time = confirming ? { open: 4000, blocked: 600 } : { open: 1500, blocked: 500 };
    const asked = confirming ? cells : wrong.map(({ cell }) => cell);
    wrong = await ask(asked, southbound, time);
    if (confirming && wrong.length === 0) return { wrong: [], cleared };
    if (performance.now() > end)
      return { wrong: describe(confirming ? 'once more' : 'at the deadline', wrong), cleared };
    if (wrong.length > 0 && (confirming || round % 3 === 0)) {
      await cluster.clearCaches();
      cleared += 1;
    }
  }
}
