import { describe, expect, it } from 'vitest';
import { commitBundle } from './bundle.ts';
import { OpenFlowError } from './error.ts';
import type { Message, Outgoing } from './message.ts';
import { encodeMessage } from './message-codec.ts';
import type { BundleControlType } from './messages/bundle.ts';
import { Session } from './session.ts';
import { FakeSwitch, settle } from './test-support.ts';
import { OF13, OF15, type Version } from './version.ts';

const flow = (priority: number): Outgoing => ({ type: 'flow_mod', priority, match: [], actions: [] });

/** A switch that answers bundles as Open vSwitch does. */
async function open(
  refuse: (message: Message) => readonly Message[] | undefined,
  version: Version = OF15,
): Promise<{ sw: FakeSwitch; session: Session; controls: () => readonly string[] }> {
  const sw = new FakeSwitch({
    version,
    answer: (message) => {
      const refused = refuse(message);
      if (refused !== undefined) return refused;
      if (message.type === 'bundle_add') return [];
      if (message.type !== 'bundle_control') return undefined;
      const control = message.control.replace('request', 'reply') as BundleControlType;
      return [{ ...message, control, flags: 0 }];
    },
  });
  const session = new Session({ stream: sw.stream, probeIntervalMs: 0 });
  await session.ready;
  const controls = (): readonly string[] =>
    sw.received.flatMap((message) => (message.type === 'bundle_control' ? [message.control] : []));
  return { sw, session, controls };
}

async function failure(promise: Promise<unknown>): Promise<OpenFlowError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OpenFlowError);
  return error as OpenFlowError;
}

const error = (xid: number, errorType: number, code: number, about: Message): Message => {
  return { type: 'error', xid, errorType, code, data: encodeMessage(OF15, about) };
};

describe('a bundle', () => {
  it.each([
    { name: '1.3, as an extension', version: OF13 },
    { name: '1.5', version: OF15 },
  ] as const)('opens, adds, closes, commits in $name', async ({ version }) => {
    const { sw, session, controls } = await open(() => undefined, version);
    await commitBundle(session, [flow(1), { ...flow(2), xid: 12_345 }]);
    expect(controls()).toEqual(['open_request', 'close_request', 'commit_request']);
    const adds = sw.received.filter((message) => message.type === 'bundle_add');
    expect(adds.map((add) => add.message)).toMatchObject([{ priority: 1 }, { priority: 2 }]);
    // Atomic and ordered; the message inside has the transaction id of the one around it.
    expect(adds.every((add) => add.flags === 3 && add.message.xid === add.xid)).toBe(true);
    await commitBundle(session, [flow(1)], { atomic: false, ordered: false });
    expect(sw.received.findLast((message) => message.type === 'bundle_add')?.flags).toBe(0);
    expect(new Set(sw.received.flatMap((m) => ('bundleId' in m ? [m.bundleId] : []))).size).toBe(2);
  });

  it('of nothing sends nothing', async () => {
    const { sw, session } = await open(() => undefined);
    await commitBundle(session, []);
    await settle();
    expect(sw.received).toEqual([]);
  });

  it('is discarded when a message is refused as it is added', async () => {
    const { session, controls } = await open((message) =>
      message.type === 'bundle_add' && (message.message as { priority?: number }).priority === 2
        ? [error(message.xid, 2, 4, message)]
        : undefined,
    );
    const refused = await failure(commitBundle(session, [flow(1), flow(2), flow(3)]));
    expect(refused).toMatchObject({ code: 'bundle_failed', index: 1, switchError: { name: 'OFPBAC_BAD_OUT_PORT' } });
    expect(refused.offending).toMatchObject({ type: 'flow_mod', priority: 2 });
    await settle();
    expect(controls()).toEqual(['open_request', 'close_request', 'discard_request']);
  });

  it('names the message at fault of a refused commit, whose error comes before that of the commit', async () => {
    const adds: Message[] = [];
    const { session } = await open((message) => {
      if (message.type === 'bundle_add') adds.push(message);
      const [, second] = adds;
      if (message.type !== 'bundle_control' || message.control !== 'commit_request' || second === undefined)
        return undefined;
      return [error(second.xid, 2, 9, second), error(message.xid, 17, 13, message)];
    });
    const refused = await failure(commitBundle(session, [flow(1), flow(2)]));
    expect(refused).toMatchObject({ code: 'bundle_failed', index: 1, switchError: { name: 'OFPBAC_BAD_OUT_GROUP' } });
    expect(refused.message).toMatch(
      /bundle refused at message 1 with OFPBAC_BAD_OUT_GROUP: OFPT_FLOW_MOD .*priority=2/,
    );
    expect(refused.retryable).toBe(false);
  });

  it('says what the switch says when that is about no message', async () => {
    const { session } = await open((message) =>
      message.type === 'bundle_control' && message.control === 'open_request'
        ? [error(message.xid, 17, 5, message)]
        : undefined,
    );
    const refused = await failure(commitBundle(session, [flow(1)]));
    expect(refused).toMatchObject({ code: 'bundle_failed', index: undefined });
    expect(refused.message).toMatch(/OFPBFC_OUT_OF_BUNDLES/);
  });

  it('is discarded when one of its messages cannot be encoded', async () => {
    const { session, controls } = await open(() => undefined);
    const bad: Outgoing = { type: 'flow_mod', match: [], actions: [{ type: 'goto_table', table: 900 }] };
    expect(await failure(commitBundle(session, [flow(1), bad]))).toMatchObject({ code: 'invalid_value', index: 1 });
    await settle();
    expect(controls()).toEqual(['open_request', 'discard_request']);
  });

  it.each([
    { when: 'before the commit', until: 'close_request', code: 'disconnected' },
    { when: 'during the commit', until: 'commit_request', code: 'outcome_unknown' },
  ] as const)('is rejected at once when the connection ends $when', async ({ until, code }) => {
    const { sw, session } = await open((message) =>
      message.type === 'bundle_control' && message.control === until ? [] : undefined,
    );
    const lost = failure(commitBundle(session, [flow(1)]));
    while (!sw.received.some((message) => message.type === 'bundle_control' && message.control === until))
      await settle();
    sw.end();
    expect(await lost).toMatchObject({ code, retryable: true });
    expect((await failure(commitBundle(session, [flow(1)]))).code).toBe('disconnected');
  });
});
