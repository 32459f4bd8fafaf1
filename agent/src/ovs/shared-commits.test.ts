import { type OpenVswitch, OvsdbError, type Transaction } from '@ovenbird/ovsdb';
import { describe, expect, test } from 'vitest';
import { newTransaction } from './database.ts';
import { SharedCommits } from './shared-commits.ts';

/** A database whose transactions wait for their outcome; a transaction is known by the comments in it. */
class FakeDatabase {
  readonly sent: (readonly string[])[] = [];
  readonly #outcomes: PromiseWithResolvers<never[]>[] = [];
  connected: Promise<void> = Promise.resolve();

  synced(): Promise<void> {
    return this.connected;
  }

  transact(transaction: Transaction<OpenVswitch>): Promise<never[]> {
    const operations = JSON.stringify(transaction.toParams()).match(/part-\w+/g) ?? [];
    this.sent.push(operations);
    const outcome = Promise.withResolvers<never[]>();
    this.#outcomes.push(outcome);
    return outcome.promise;
  }

  /** Ends the transaction in flight. */
  async end(error?: Error): Promise<void> {
    const outcome = this.#outcomes.shift();
    if (error === undefined) outcome?.resolve([]);
    else outcome?.reject(error);
    await turns();
  }
}

/** Lets everything run that can. */
const turns = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const part = (name: string) => (): Transaction<OpenVswitch> => newTransaction().comment(`part-${name}`);
const never = new AbortController().signal;

function setUp(): { db: FakeDatabase; commit: (key: string, signal?: AbortSignal) => Promise<string> } {
  const db = new FakeDatabase();
  const commits = new SharedCommits(db);
  return {
    db,
    commit: (key, signal = never) =>
      commits.commit(key.slice(0, 1), part(key), signal).then(
        () => 'done',
        (error: unknown) => (error as Error).message,
      ),
  };
}

describe('shared commits', () => {
  test('one transaction is in flight; what comes meanwhile makes the next one', async () => {
    const { db, commit } = setUp();
    const all = [commit('a')];
    await turns();
    all.push(commit('b'), commit('c'));
    await turns();
    expect(db.sent).toEqual([['part-a']]);
    await db.end();
    expect(db.sent).toEqual([['part-a'], ['part-b', 'part-c']]);
    await db.end();
    expect(await Promise.all(all)).toEqual(['done', 'done', 'done']);
  });

  test('changes of one key go one after the other', async () => {
    const { db, commit } = setUp();
    const all = [commit('a1'), commit('a2'), commit('b')];
    await turns();
    expect(db.sent).toEqual([['part-a1', 'part-b']]);
    await db.end();
    expect(db.sent.at(-1)).toEqual(['part-a2']);
    await db.end();
    expect(await Promise.all(all)).toEqual(['done', 'done', 'done']);
  });

  test('after a refusal each goes alone, and only the one at fault fails', async () => {
    const { db, commit } = setUp();
    const all = [commit('a'), commit('b')];
    await turns();
    await db.end(new Error('refused'));
    expect(db.sent.at(-1)).toEqual(['part-a']);
    await db.end(new Error('a is wrong'));
    expect(db.sent.at(-1)).toEqual(['part-b']);
    await db.end();
    expect(await Promise.all(all)).toEqual(['a is wrong', 'done']);
  });

  test('what may pass is tried again, five times at most', async () => {
    const { db, commit } = setUp();
    const lost = Object.assign(new Error('lost'), { retryable: true });
    const all = [commit('a'), commit('b')];
    await turns();
    for (let index = 0; index < 5; index += 1) await db.end(lost);
    expect(await Promise.all(all)).toEqual(['lost', 'lost']);
    expect(db.sent).toEqual(Array.from({ length: 5 }, () => ['part-a', 'part-b']));
  });

  test('one whose reply was lost looks again', async () => {
    const { db, commit } = setUp();
    const done = commit('a');
    await turns();
    await db.end(new OvsdbError('outcome_unknown', 'the connection ended before the reply'));
    await db.end();
    expect(await done).toBe('done');
    expect(db.sent).toEqual([['part-a'], ['part-a']]);
  });

  test('what was not sent yet can be given up', async () => {
    const { db, commit } = setUp();
    const gate = Promise.withResolvers<void>();
    db.connected = gate.promise;
    const aborter = new AbortController();
    const all = [commit('a', aborter.signal), commit('b')];
    aborter.abort(new Error('enough'));
    gate.resolve();
    await turns();
    expect(db.sent).toEqual([['part-b']]);
    await db.end();
    expect(await Promise.all(all)).toEqual(['enough', 'done']);
  });

  test('what cannot be built fails by itself; what has nothing to do is done', async () => {
    const db = new FakeDatabase();
    const commits = new SharedCommits(db);
    const bad = commits.commit(
      'a',
      () => {
        throw new Error('not possible');
      },
      never,
    );
    const nothing = commits.commit('b', () => undefined, never);
    await expect(bad).rejects.toThrow('not possible');
    await nothing;
    expect(db.sent).toEqual([]);
  });
});
