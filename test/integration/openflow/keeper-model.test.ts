/** The keeper against random wishes, random meddling, cut connections and restarts: in the end the flows are as wanted. */
import {
  type Connection,
  connect,
  FlowKeeper,
  type KeptFlow,
  match,
  parseActions,
  parseFlow,
} from '@ovenbird/openflow';
import { expect, it } from 'vitest';
import { uniform } from '../../src/random.ts';
import { TestSwitch, until } from './switch.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const KEYS = 40;
const ACTIONS = ['output:1', 'output:2', 'NORMAL', 'drop'];

/** What stands in the table for a number: table, priority and match follow from it. */
function flowOf(key: number, action: string): KeptFlow {
  return {
    tableId: key % 3,
    priority: 10 + (key % 2),
    match: match({ eth_type: 0x800, ip_dst: 0x0a00_0000 + key }),
    actions: parseActions(action),
    object: key,
  };
}

function ruleOf(key: number): string {
  return `table=${key % 3},priority=${10 + (key % 2)},ip,nw_dst=10.0.0.${key}`;
}

it(`keeps what is wanted, whatever happens (SEED=${SEED})`, async () => {
  await using ovs = await TestSwitch.start('br0');
  const random = uniform(SEED);
  const below = (limit: number): number => Math.floor(random() * limit);
  const action = (): string => ACTIONS[below(ACTIONS.length)] ?? 'drop';
  const other: Connection = connect({ remote: ovs.remote('br0') });
  const wanted = new Map<number, string>();
  const foreign = new Map<number, string>();
  let round = 1;
  let sw = connect({ remote: ovs.remote('br0') });
  let keeper = new FlowKeeper({ connection: sw, categories: [3], round });
  keeper.complete();
  const log: string[] = [];

  /** Somebody else's doings, over a connection of its own; flows of a foreign cookie are to stay. */
  const meddle = async (): Promise<void> => {
    const key = below(KEYS);
    const [kind, text] = [below(5), ruleOf(key)];
    log.push(`meddle ${kind} ${text}`);
    await other.connected();
    if (kind === 0) await other.send([parseFlow(text, 'delete_strict')]);
    // Without this cookie, Open vSwitch adds the flow where there is none, and it is nobody's to take away.
    else if (kind === 1) {
      await other.send([{ ...parseFlow(`${text},actions=output:9`, 'modify_strict'), cookie: 0xffff_ffff_ffff_ffffn }]);
    } else if (kind === 2) await other.send([parseFlow(`cookie=0x1030000000063,${text},actions=output:9`)]);
    else if (kind === 3) {
      await other.send([parseFlow(`cookie=0x77,table=9,priority=${key},actions=drop`)]);
      foreign.set(key, `cookie=0x77, table=9, priority=${key} actions=drop`);
    } else await other.send([parseFlow(`table=${key % 3},ip,nw_dst=10.0.0.0/${24 + below(8)}`, 'delete')]);
  };

  const expected = (): readonly string[] =>
    [
      ...[...wanted].map(([key, text]) => {
        const table = key % 3 === 0 ? '' : `table=${key % 3}, `;
        return `${table}priority=${10 + (key % 2)},ip,nw_dst=10.0.0.${key} actions=${text}`;
      }),
      ...foreign.values(),
    ].toSorted();
  const actual = async (): Promise<readonly string[]> => {
    const lines = await ovs.flows('br0');
    return lines.map((line) => line.replace(/^cookie=0x[0-9a-f]{1,4}03[0-9a-f]{10}, /, '')).toSorted();
  };

  for (let step = 0; step < 150; step += 1) {
    const kind = below(20);
    if (kind < 8) {
      const key = below(KEYS);
      const text = action();
      wanted.set(key, text);
      keeper.put([flowOf(key, text)]);
      log.push(`put ${key} ${text}`);
    } else if (kind < 11) {
      const key = below(KEYS);
      wanted.delete(key);
      keeper.remove([flowOf(key, 'drop')]);
      log.push(`remove ${key}`);
    } else if (kind < 18) await meddle();
    else if (kind === 18 && step % 3 === 0) {
      log.push('restart of the switch');
      await ovs.restartSwitch();
      foreign.clear();
      await other.connected();
    } else {
      log.push('restart of the keeper');
      await keeper.close();
      await sw.close();
      round += 1;
      sw = connect({ remote: ovs.remote('br0') });
      keeper = new FlowKeeper({ connection: sw, categories: [3], round });
      keeper.set([...wanted].map(([key, text]) => flowOf(key, text)));
      keeper.complete();
    }
    if (below(4) === 0) await keeper.installed();
    if (below(12) === 0) {
      let last: unknown;
      await until(
        'the flows to be as wanted',
        async () => {
          const [is, should] = [await actual(), expected()];
          last = {
            is: is.filter((line) => !should.includes(line)),
            should: should.filter((line) => !is.includes(line)),
          };
          return keeper.state === 'installed' && JSON.stringify(is) === JSON.stringify(should);
        },
        () => `${keeper.state} ${JSON.stringify(last)}\n${log.slice(-30).join('\n')}`,
        30_000,
      );
    }
  }
  await keeper.installed();
  await until(
    'the end',
    async () => JSON.stringify(await actual()) === JSON.stringify(expected()),
    () => log.slice(-40).join('\n'),
    30_000,
  );
  expect(keeper.size).toBe(wanted.size);
  await keeper.close();
  await Promise.all([sw.close(), other.close()]);
}, 300_000);
