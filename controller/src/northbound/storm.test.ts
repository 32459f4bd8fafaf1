import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fence } from './fence.ts';
import { Northbound } from './northbound.ts';
import type { Output } from './rows.ts';
import { NbTransactError } from './store.ts';
import { expectExactly } from './testing/expect-exactly.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { MemoryStore } from './testing/memory-store.ts';
import { CLUSTER, randomUnits, seed } from './testing/units.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What happens to the writer, in random order. */
type Step =
  | { readonly type: 'units'; readonly units: ReadonlyMap<string, readonly Output[]> }
  /** Somebody deletes a row of ours. */
  | { readonly type: 'delete'; readonly table: string; readonly pick: number }
  /** Somebody empties a set of ours. */
  | { readonly type: 'clear'; readonly table: string; readonly column: string; readonly pick: number }
  | { readonly type: 'recreate' }
  /** The next transaction's reply is lost, after or before it was committed. */
  | { readonly type: 'lose'; readonly committed: boolean }
  /** A unit that the server refuses. */
  | { readonly type: 'bad' }
  /** Let the writer do some of its work. */
  | { readonly type: 'turn'; readonly turns: number };

const tables = ['Logical_Switch', 'Logical_Switch_Port', 'Port_Group', 'Address_Set', 'ACL'];
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: randomUnits.map((units): Step => ({ type: 'units', units })) },
    fc.record({ type: fc.constant('delete' as const), table: fc.constantFrom(...tables), pick: fc.nat(9) }),
    fc.record({
      type: fc.constant('clear' as const),
      table: fc.constantFrom('Logical_Switch', 'Port_Group'),
      column: fc.constant('ports'),
      pick: fc.nat(9),
    }),
    fc.constant<Step>({ type: 'recreate' }),
    fc.boolean().map((committed): Step => ({ type: 'lose', committed })),
    fc.constant<Step>({ type: 'bad' }),
    { weight: 4, arbitrary: fc.nat(6).map((turns): Step => ({ type: 'turn', turns })) },
  ),
  { maxLength: 14 },
);

it('ends with exactly what was set last, whatever happened on the way', async () => {
  await fc.assert(
    fc.asyncProperty(steps, randomUnits, async (list, last) => {
      const store = new MemoryStore();
      const clock = new ManualClock();
      const ends = new AbortController();
      const fence = new Fence({ store, clusterUid: CLUSTER, identity: 'a', clock });
      await fence.acquire(ends.signal);
      const limits = { units: 3, atoms: 20 };
      const northbound = new Northbound({ store, fence, clock, random: () => 0.5, log: silent, limits });
      const names = new Set<string>();
      const setAll = (units: ReadonlyMap<string, readonly Output[]>): void => {
        for (const [name, outputs] of units) {
          names.add(name);
          northbound.setUnit(name, outputs, { rank: name.startsWith('Pod/') ? 5 : 1 });
        }
        for (const name of names) if (!units.has(name)) northbound.removeUnit(name);
      };
      northbound.start(ends.signal);
      for (const step of list) {
        switch (step.type) {
          case 'units':
            setAll(step.units);
            break;
          case 'delete':
          case 'clear': {
            const rows = [...store.rows(step.table)];
            const [uuid] = rows[step.pick % Math.max(1, rows.length)] ?? [];
            if (uuid === undefined) break;
            const { table } = step;
            if (step.type === 'clear') {
              store.commit([{ op: 'update', table, uuid, row: { [step.column]: [] } }]);
              break;
            }
            const parents = ['Logical_Switch', 'Port_Group'].flatMap((parent) =>
              [...store.rows(parent)].map(([row]) => ({ parent, row })),
            );
            store.commit([
              ...parents.flatMap(({ parent, row }) => {
                const column = table === 'ACL' ? 'acls' : 'ports';
                const mutations = [[column, 'delete', [uuid]]] as const;
                return [{ op: 'mutate', table: parent, uuid: row, mutations, mustMatch: false } as const];
              }),
              { op: 'delete', table, uuid },
            ]);
            break;
          }
          case 'recreate':
            store.recreate();
            break;
          case 'lose': {
            const hook = (): void => {
              store.before = () => undefined;
              store.after = () => undefined;
              throw new NbTransactError('unknown', 'the connection was lost', undefined);
            };
            if (step.committed) store.after = hook;
            else store.before = hook;
            break;
          }
          case 'bad':
            names.add('Bad');
            northbound.setUnit('Bad', [
              {
                kind: 'row',
                table: 'Address_Set',
                uuid: '5'.repeat(8) + '-5555-5555-8555-555555555555',
                key: 'bad',
                owner: 'Bad',
                columns: { name: 'bad\0' },
              },
            ]);
            break;
          case 'turn':
            for (let i = 0; i < step.turns; i++) await new Promise(setImmediate);
        }
      }
      store.before = () => undefined;
      store.after = () => undefined;
      setAll(last);
      // Backoffs end: of lost replies, of edits fought over, of held units.
      for (let round = 0; round < 50; round++) {
        for (let i = 0; i < 40; i++) await new Promise(setImmediate);
        if (clock.pending === 0) break;
        clock.advance(400_000);
      }
      await northbound.idle();
      expect(northbound.held()).toEqual([]);
      expectExactly(store, last);
      // Nothing of what came and went is remembered.
      const emitting = [...last.values()].filter((outputs) => outputs.length > 0).length;
      expect(northbound.stats).toMatchObject({ units: emitting, queued: 0, held: 0 });
      for (const name of last.keys()) await northbound.committed(name);
      const { length } = store.commits;
      northbound.audit();
      await northbound.idle();
      expect(store.commits.length, 'transactions of an audit').toBe(length);
      ends.abort();
    }),
    { numRuns: 150, ...seed() },
  );
});
