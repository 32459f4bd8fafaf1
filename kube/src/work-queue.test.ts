import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { seed } from './testing/seed.ts';
import { WorkQueue, type WorkReport } from './work-queue.ts';

/** A worker whose calls end when the test says so. */
class ManualWorker {
  readonly started: string[] = [];
  readonly #open = new Map<string, PromiseWithResolvers<void>>();

  readonly process = ({ key }: { key: string }): Promise<void> => {
    expect(this.#open.has(key), `${key} in work twice at a time`).toBe(false);
    this.started.push(key);
    const open = Promise.withResolvers<void>();
    this.#open.set(key, open);
    return open.promise.finally(() => this.#open.delete(key));
  };

  get working(): string[] {
    return [...this.#open.keys()];
  }

  async finish(key: string, error?: Error): Promise<void> {
    if (error === undefined) this.#open.get(key)?.resolve();
    else this.#open.get(key)?.reject(error);
    await settle();
  }
}

const setup = (options: Partial<ConstructorParameters<typeof WorkQueue<string>>[0]> = {}) => {
  const clock = new FakeClock();
  const worker = new ManualWorker();
  const reports: WorkReport<string>[] = [];
  const queue = new WorkQueue<string>({
    process: worker.process,
    clock,
    random: () => 0.999999,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { clock, worker, queue, reports };
};

describe('WorkQueue', () => {
  test('waits for start, works in order, one at a time', async () => {
    const { worker, queue } = setup();
    queue.add('a');
    queue.add('b');
    await settle();
    expect(worker.started).toEqual([]);
    queue.start();
    await settle();
    expect(worker.started).toEqual(['a']);
    await worker.finish('a');
    expect(worker.started).toEqual(['a', 'b']);
  });

  test('a key waits once, and comes again when added while in work', async () => {
    const { worker, queue } = setup();
    queue.start();
    for (const key of ['a', 'a', 'b', 'a']) queue.add(key);
    await settle();
    queue.add('a');
    queue.add('a');
    await worker.finish('a');
    await worker.finish('b');
    expect(worker.started).toEqual(['a', 'b', 'a']);
    await worker.finish('a');
    expect(queue.size).toBe(0);
  });

  test('a failing key comes back later and later; success forgets that; an add cuts the wait short', async () => {
    const { clock, worker, queue, reports } = setup({ backoff: { initialMs: 100, maxMs: 1000 } });
    queue.start();
    queue.add('a');
    await settle();
    for (const delay of [100, 200, 400, 800, 1000, 1000]) {
      await worker.finish('a', new Error('no'));
      expect(Math.round(reports.at(-1)?.failure?.retryInMs ?? 0)).toBe(delay);
      expect(worker.working).toEqual([]);
      await clock.run(delay);
      expect(worker.working).toEqual(['a']);
    }
    await worker.finish('a', new Error('no'));
    expect(queue.attempts('a')).toBe(7);
    queue.add('a');
    await settle();
    expect(worker.working).toEqual(['a']);
    expect(clock.pending).toEqual([]);
    await worker.finish('a');
    expect(queue.attempts('a')).toBe(0);
    expect(queue.size).toBe(0);
  });

  test('other keys do not wait for a failing one', async () => {
    const { worker, queue } = setup();
    queue.start();
    queue.add('bad');
    queue.add('good');
    await settle();
    await worker.finish('bad', new Error('no'));
    expect(worker.working).toEqual(['good']);
  });

  test('delayed keys come at the earliest time asked for', async () => {
    const { clock, worker, queue } = setup();
    queue.start();
    queue.add('a', { delayMs: 500 });
    queue.add('a', { delayMs: 100 });
    queue.add('a', { delayMs: 900 });
    await clock.run(99);
    expect(worker.started).toEqual([]);
    await clock.run(1);
    expect(worker.started).toEqual(['a']);
    queue.add('a', { delayMs: 50 });
    await worker.finish('a');
    expect(worker.working).toEqual([]);
    await clock.run(50);
    expect(worker.working).toEqual(['a']);
  });

  test('a worker may ask to be called again', async () => {
    const { clock, queue } = setup({ process: () => Promise.resolve({ requeueAfterMs: 70 }) });
    queue.start();
    queue.add('a');
    await settle();
    expect(clock.pending).toEqual([70]);
    expect(queue.attempts('a')).toBe(0);
  });

  test('urgent lanes first, but none starves', async () => {
    const order: string[] = [];
    const { queue } = setup({
      lanes: ['pod', 'bulk'],
      process: ({ key }) => Promise.resolve(void order.push(key)),
    });
    for (let i = 0; i < 30; i += 1) queue.add(`pod-${i}`, { lane: 'pod' });
    for (let i = 0; i < 3; i += 1) queue.add(`bulk-${i}`);
    queue.start();
    await queue.idle();
    expect(order.slice(0, 8).every((key) => key.startsWith('pod'))).toBe(true);
    const bulkAt = order.flatMap((key, i) => (key.startsWith('bulk') ? [i] : []));
    expect(bulkAt).toEqual([8, 17, 26]);
    expect(() => queue.add('x', { lane: 'nosuch' })).toThrow('no lane "nosuch", only pod, bulk');
  });

  test('a key that waits moves to the more urgent lane', async () => {
    const { worker, queue } = setup({ lanes: ['pod', 'bulk'] });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.add('c', { lane: 'pod' });
    queue.start();
    await settle();
    expect(worker.started).toEqual(['c']);
  });

  test('groups take turns', async () => {
    const order: string[] = [];
    const { queue } = setup({
      group: (key) => key.charAt(0),
      process: ({ key }) => Promise.resolve(void order.push(key)),
    });
    for (const key of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) queue.add(key);
    queue.start();
    await queue.idle();
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  test('forget drops a key in any state', async () => {
    const { clock, worker, queue } = setup();
    queue.start();
    queue.add('working');
    await settle();
    queue.add('working');
    queue.add('queued');
    queue.add('delayed', { delayMs: 10 });
    for (const key of ['working', 'queued', 'delayed', 'unknown']) queue.forget(key);
    await worker.finish('working');
    await clock.run(100);
    expect(worker.started).toEqual(['working']);
    expect(queue.size).toBe(0);
  });

  test('stop tells the workers, waits for them, and drops the rest', async () => {
    let told = false;
    const done = Promise.withResolvers<void>();
    const { queue, clock } = setup({
      process: async ({ signal }) => {
        signal.addEventListener('abort', () => (told = true));
        await done.promise;
      },
    });
    queue.start();
    queue.add('a');
    queue.add('b');
    queue.add('c', { delayMs: 5 });
    await settle();
    let stopped = false;
    const stopping = queue.stop().then(() => (stopped = true));
    await settle();
    expect([told, stopped]).toEqual([true, false]);
    done.resolve();
    await stopping;
    queue.add('late');
    expect(queue.size).toBe(0);
    expect(clock.pending).toEqual([]);
  });

  test('a long queue of one group costs linear time', async () => {
    let worked = 0;
    const { queue } = setup({ process: () => Promise.resolve(void (worked += 1)), concurrency: 64 });
    for (let i = 0; i < 100_000; i += 1) queue.add(`k${i}`);
    queue.start();
    await queue.idle();
    expect(worked).toBe(100_000);
  });

  test('properties: never twice at a time, never lost, quiet in the end', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      fc.record({ type: fc.constant('add' as const), key, lane: fc.constantFrom('high', 'low') }),
      fc.record({ type: fc.constant('delay' as const), key, ms: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ type: fc.constant('succeed' as const), key }),
      fc.record({ type: fc.constant('fail' as const), key }),
      fc.record({ type: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 500 }) }),
    );
    const run = fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, concurrency) => {
        const { clock, worker, queue } = setup({ lanes: ['high', 'low'], concurrency, group: (k) => k });
        queue.start();
        /** Keys added since their latest successful start. */
        const owed = new Set<string>();
        const seenBefore = new Map<string, number>();
        const noteStarts = (): void => {
          for (const k of ['a', 'b', 'c', 'd']) {
            const starts = worker.started.filter((started) => started === k).length;
            if (starts > (seenBefore.get(k) ?? 0)) owed.delete(k);
            seenBefore.set(k, starts);
          }
        };
        for (const s of steps) {
          switch (s.type) {
            case 'add':
              owed.add(s.key);
              queue.add(s.key, { lane: s.lane });
              break;
            case 'delay':
              owed.add(s.key);
              queue.add(s.key, { delayMs: s.ms });
              break;
            case 'succeed':
              await worker.finish(s.key);
              break;
            case 'fail':
              if (worker.working.includes(s.key)) owed.add(s.key);
              await worker.finish(s.key, new Error('no'));
              break;
            case 'time':
              await clock.run(s.ms);
          }
          await settle();
          noteStarts();
          expect(worker.working.length).toBeLessThanOrEqual(concurrency);
          expect(queue.size, `lost one of ${[...owed].join()}`).toBeGreaterThanOrEqual(owed.size);
        }
        for (let round = 0; round < 50 && queue.size > 0; round += 1) {
          for (const k of worker.working) await worker.finish(k);
          await clock.run(600_000);
          noteStarts();
        }
        expect([...owed]).toEqual([]);
        expect(queue.size).toBe(0);
        expect(queue.depth).toBe(0);
        expect(clock.pending).toEqual([]);
      },
    );
    await fc.assert(run, { ...seed(), numRuns: 150 });
  });
});
