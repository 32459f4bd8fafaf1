import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { withDeadline } from './wait-for.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Work that ends when it is told to give up, with an error that says nothing. */
const patient = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('gave up')));
  });

test('work that takes too long fails with what is known then', async () => {
  let state = 'begun';
  const work = withDeadline({ deadlineMs: 1000, expired: () => new Error(`stuck: ${state}`) }, patient);
  const outcome = expect(work).rejects.toThrow('stuck: half done');
  state = 'half done';
  await vi.advanceTimersByTimeAsync(1000);
  await outcome;
});

test('who gives up earlier learns his own reason', async () => {
  const caller = new AbortController();
  const { signal } = caller;
  const work = withDeadline({ deadlineMs: 1000, signal, expired: () => new Error('late') }, patient);
  const outcome = expect(work).rejects.toThrow('the agent stops');
  caller.abort(new Error('the agent stops'));
  await outcome;
  expect(vi.getTimerCount()).toBe(0);
});

test('work that ends by itself leaves no timer', async () => {
  const deadline = { deadlineMs: 1000, expired: () => new Error('late') };
  expect(await withDeadline(deadline, () => Promise.resolve(7))).toBe(7);
  await expect(withDeadline(deadline, () => Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  expect(vi.getTimerCount()).toBe(0);
});
