import { expect, test, vi } from 'vitest';
import { startLoop } from './reconcile-loop.ts';

/** Busy machines take longer than vitest's second. */
const patience = { timeout: 10_000 };
const log = { warn: () => {}, info: () => {} };

test('any number of triggers during a run is one more run', async () => {
  const stop = new AbortController();
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  const loop = startLoop({
    name: 'x',
    log,
    signal: stop.signal,
    reconcile: async () => {
      runs += 1;
      if (runs === 1) await gate.promise;
    },
  });
  for (let i = 0; i < 5; i += 1) loop.trigger();
  gate.resolve();
  await vi.waitFor(() => expect(loop.successes).toBe(2), patience);
  expect(runs).toBe(2);
  stop.abort();
});

test('a failure is kept, retried, and ends early with a trigger', async () => {
  const stop = new AbortController();
  let fails = true;
  const loop = startLoop({
    name: 'x',
    log,
    signal: stop.signal,
    reconcile: async () => {
      if (fails) throw new Error('not yet');
    },
  });
  loop.trigger();
  await vi.waitFor(() => expect(loop.lastError?.message).toBe('not yet'), patience);
  fails = false;
  loop.trigger();
  await vi.waitFor(() => expect(loop.successes).toBe(1), patience);
  expect(loop.lastError).toBeUndefined();
  stop.abort();
  loop.trigger();
  expect(loop.successes).toBe(1);
});
