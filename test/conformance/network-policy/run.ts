import { type Probe, probeAll, type Verdict } from '@ovenbird/deploy';
import type { Case, Expectation } from './case.ts';
import type { PolicyCluster } from './cluster.ts';
import { expectationOf, replay, retarget } from './oracle.ts';

/** What is probed, and for how long reality may differ from what is expected. */
export interface RunOptions {
  readonly families: readonly (4 | 6)[];
  /** Of the recorded ports, `TCP/80` ... */
  readonly ports: readonly string[];
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
  readonly milliseconds: number;
  /** Connections that were wrong to the end, or turned wrong again; an error's message. */
  readonly failures: readonly string[];
}

interface Cell {
  readonly text: string;
  readonly probe: Probe;
  readonly open: boolean;
}

/** Runs one case on a cluster, which is the bare fixture before and should be reset after. */
export async function runCase(
  item: Case,
  cluster: PolicyCluster,
  fixture: Parameters<typeof replay>[1],
  options: RunOptions,
): Promise<CaseResult> {
  const start = performance.now();
  const failures: string[] = [];
  let cells = 0;
  const blocks = JSON.stringify(item.steps).includes('"ipBlock"');
  // Blocks are computed from addresses of one family, so such a case is run for each.
  for (const families of blocks ? options.families.map((family) => [family]) : [options.families]) {
    const addresses = cluster.addresses(families[0] ?? 4);
    const targeted = retarget(item, addresses);
    const expectations: Expectation[] = [];
    replay(targeted, fixture, addresses, (state) => expectations.push(expectationOf(state)));
    for (const [index, step] of targeted.steps.entries()) {
      await cluster.step(step);
      const expected = expectations[index];
      if (expected === undefined) continue;
      const probes = families.flatMap((family) => cellsOf(expected, cluster, family, options.ports));
      cells += probes.length;
      const wrong = await converge(probes, options.deadline);
      failures.push(...wrong.map((text) => `step ${index + 1} ${text}`));
    }
    await cluster.reset();
  }
  const milliseconds = performance.now() - start;
  return { name: item.name, tags: item.tags, steps: item.steps.length, cells, milliseconds, failures };
}

function cellsOf(
  expected: Expectation,
  cluster: PolicyCluster,
  family: 4 | 6,
  ports: readonly string[],
): readonly Cell[] {
  const cells: Cell[] = [];
  const addresses = cluster.addresses(family);
  for (const { ports: keys, rows } of expected.tables) {
    for (const key of keys.filter((candidate) => ports.includes(candidate))) {
      const [protocol = '', port = ''] = key.toLowerCase().split('/');
      for (const [at, from] of expected.order.entries()) {
        for (const [column, to] of expected.order.entries()) {
          const netns = cluster.netns.get(from);
          const destination = addresses.get(to);
          if (netns === undefined || destination === undefined)
            throw new Error(`no interface or address of ${from} or ${to}`);
          const open = rows[at]?.[column] === '.';
          cells.push({
            text: `${from} -> ${to} ${key} IPv${family}: ${open ? 'allowed' : 'blocked'}`,
            probe: { netns, protocol: protocol as Probe['protocol'], destination, port: Number(port) },
            open,
          });
        }
      }
    }
  }
  return cells;
}

/** A refusal is no answer either; what could not be asked is neither. */
const meaning: Readonly<Record<Verdict, boolean>> = { open: true, closed: false, timeout: false, unreachable: false };

/**
 * Asks all cells at once. A blocked one needs its whole time; what should be open answers at once or, when the machine lost
 * the first packet of so many, after TCP's first retransmission (1 s, RFC 6298).
 */
async function ask(
  cells: readonly Cell[],
  time: { readonly open: number; readonly blocked: number },
): Promise<Wrong[]> {
  const results = await probeAll(
    cells.map(({ probe, open }) => ({ ...probe, timeoutMs: open ? time.open : time.blocked })),
  );
  return cells.flatMap((cell, index) => {
    const result = results[index];
    return result === undefined || meaning[result.verdict] !== cell.open
      ? [{ cell, verdict: `${result?.verdict} ${result?.text}`.trim() }]
      : [];
  });
}

interface Wrong {
  readonly cell: Cell;
  readonly verdict: string;
}

/**
 * Waits until every cell is right, then requires that all of them are right once more.
 * @returns what was still wrong at the deadline, or wrong again
 */
async function converge(cells: readonly Cell[], deadline: number): Promise<readonly string[]> {
  const end = performance.now() + deadline;
  const describe = (when: string, list: readonly Wrong[]): readonly string[] =>
    list.map(({ cell, verdict }) => `${cell.text} but ${verdict} ${when}`);
  let wrong = await ask(cells, { open: 400, blocked: 200 });
  while (wrong.length > 0) {
    if (performance.now() > end) return describe('at the deadline', wrong);
    const again = wrong.map(({ cell }) => cell);
    wrong = await ask(again, { open: 1500, blocked: 500 });
  }
  return describe('once more', await ask(cells, { open: 4000, blocked: 1000 }));
}
