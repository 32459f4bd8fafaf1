import { describe, expect, it } from 'vitest';
import { parseActions } from './action-text.ts';
import { encodeCookie } from './cookie.ts';
import type { Flow } from './flow-diff.ts';
import { KeptFlows, type Plan } from './kept-flows.ts';
import { match } from './match.ts';
import type { FlowUpdate } from './messages/flow-monitor.ts';
import { OF15 } from './version.ts';

const at = (number: number): { readonly match: ReturnType<typeof match> } => ({ match: match({ reg0: number }) });
const port = (number: number): ReturnType<typeof parseActions> => parseActions(`output:${number}`);
const cookie = (round: number, object = 0, category = 3): bigint => encodeCookie({ round, category, object });
const summary = (plan: Plan): readonly string[] =>
  plan.changes.map(({ command, match }) => `${command} ${match.map(({ value }) => value).join()}`);
const there = (number: number, flow: Partial<Flow> = {}): Flow => {
  return { tableId: 0, priority: 0x8000, ...at(number), cookie: cookie(1), actions: port(1), ...flow };
};

function update(event: 'added' | 'modified' | 'removed', flow: Flow): FlowUpdate {
  const { tableId = 0, priority = 0x8000, match, cookie = 0n, actions } = flow;
  return { event, reason: 'delete', tableId, priority, match, cookie, actions, idleTimeout: 0, hardTimeout: 0 };
}

/** Makes what is planned so. Returns what that was. */
function carryOut(flows: KeptFlows): readonly string[] {
  const plan = flows.plan(OF15);
  flows.commit(plan);
  return summary(plan);
}

describe('kept flows', () => {
  it('are added, modified, deleted: only what changed', () => {
    const flows = new KeptFlows([3], 1);
    flows.load([]);
    flows.replace([1, 2, 3].map((number) => ({ ...at(number), actions: port(1) })));
    expect(carryOut(flows)).toEqual(['add 1', 'add 2', 'add 3']);
    expect([carryOut(flows), flows.dirty, flows.size]).toEqual([[], false, 3]);
    flows.replace([
      { ...at(1), actions: port(1) },
      { ...at(2), actions: port(2) },
      { ...at(4), actions: port(1) },
    ]);
    const plan = flows.plan(OF15);
    expect(summary(plan).toSorted()).toEqual(['add 4', 'delete_strict 3', 'modify_strict 2']);
    expect(plan).toMatchObject({ added: 1, modified: 1, deleted: 1 });
    // Deletions come last: a list that is applied one by one leaves no gap.
    expect(summary(plan).at(-1)).toBe('delete_strict 3');
    // Nothing is taken for done before it is.
    expect(flows.plan(OF15)).toEqual(plan);
    flows.commit(plan);
    flows.remove([at(4)]);
    flows.put([{ ...at(1), actions: port(7), object: 9 }]);
    expect(carryOut(flows).toSorted()).toEqual(['add 1', 'delete_strict 4']);
  });

  it('that change while a plan is carried out are due afterwards', () => {
    const flows = new KeptFlows([3], 1);
    flows.load([]);
    flows.put([{ ...at(1), actions: port(1) }]);
    const plan = flows.plan(OF15);
    flows.put([{ ...at(1), actions: port(2) }]);
    flows.commit(plan);
    expect(carryOut(flows)).toEqual(['modify_strict 1']);
    flows.put([{ ...at(2), actions: port(1) }]);
    const second = flows.plan(OF15);
    flows.remove([at(2)]);
    flows.commit(second);
    expect(carryOut(flows)).toEqual(['delete_strict 2']);
  });

  it('of an earlier round stay where they are wanted, and else until all is said', () => {
    const flows = new KeptFlows([3], 2);
    flows.load([
      there(1),
      there(2, { actions: port(2) }),
      there(3, { cookie: cookie(1, 5) }),
      there(4),
      there(5, { cookie: cookie(2) }),
    ]);
    flows.replace([1, 2, 3].map((number) => ({ ...at(number), actions: port(1) })));
    // 1 is as wanted, 2 has other actions, 3 another object, 4 is inherited, 5 of this round and not wanted.
    expect(carryOut(flows)).toEqual(['modify_strict 2', 'add 3', 'delete_strict 5']);
    flows.complete();
    expect(carryOut(flows)).toEqual(['delete_strict 4']);
    flows.complete();
    expect(flows.dirty).toBe(false);
  });

  it("are healed; others' flows are not looked at", () => {
    const flows = new KeptFlows([3], 1);
    flows.load([there(9, { cookie: 0x77n }), there(8, { cookie: cookie(1, 0, 4) })]);
    flows.complete();
    flows.put([{ ...at(1), actions: port(1) }]);
    expect(carryOut(flows)).toEqual(['add 1']);
    expect(flows.take(update('removed', there(9, { cookie: 0x77n })))).toBe(false);
    expect(flows.take(update('added', there(7, { cookie: 0x77n })))).toBe(false);
    expect(flows.take({ event: 'abbrev', xid: 1 })).toBe(false);
    expect(flows.dirty).toBe(false);
    for (const [event, flow, repair] of [
      ['removed', there(1), 'add 1'],
      ['modified', there(1, { actions: port(2) }), 'modify_strict 1'],
      ['added', there(1, { cookie: 0n }), 'add 1'],
      ['added', there(6), 'delete_strict 6'],
    ] as const) {
      expect(flows.take(update(event, flow))).toBe(true);
      expect(carryOut(flows)).toEqual([repair]);
    }
    // A change that changes nothing needs no repair.
    expect(flows.take(update('added', there(1)))).toBe(true);
    expect([carryOut(flows), flows.dirty]).toEqual([[], false]);
  });

  it('keep the round that they were added in when only their actions change, and go when this run takes them away', () => {
    const flows = new KeptFlows([3], 2);
    flows.load([there(1, { actions: port(2) })]);
    flows.put([{ ...at(1), actions: port(1) }]);
    expect(carryOut(flows)).toEqual(['modify_strict 1']);
    flows.remove([at(1)]);
    const [deletion] = flows.plan(OF15).changes;
    expect(deletion).toMatchObject({ command: 'delete_strict', cookie: cookie(1), cookieMask: 0xffff_ffff_ffff_ffffn });
  });
});
