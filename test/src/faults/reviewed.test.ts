import { describe, expect, it } from 'vitest';
import { saidIn } from './messages.ts';
import { unreviewed } from './reviewed.ts';

const watch = 'cannot watch, is tried again';

/** A line of a log as pino writes it, `err` by its serialiser. */
const line = (msg: string, err?: Error, more: Readonly<Record<string, unknown>> = {}) =>
  saidIn('controller', {
    level: 40,
    msg,
    ...(err === undefined ? {} : { err: { type: err.name, message: err.message, stack: err.stack } }),
    ...more,
  });

describe('messages under faults', () => {
  it('are good when they are known, with a known reason', () => {
    const said = [
      line(watch, new Error('watch pods: other side closed (network): other side closed')),
      line(
        'northbound database: disconnected, is connected again as soon as it answers',
        new Error('disconnected: read ECONNRESET'),
      ),
      line('cni', undefined, { reason: 'pod faults/p1 was deleted while it waited for its address' }),
    ];
    expect(unreviewed(said)).toEqual([]);
  });

  it.each([
    ['a reason that nobody has read', line(watch, new Error('watch pods: 7 geese (forbidden)'))],
    ['a known text without its reason', line(watch)],
    [
      'a programming error',
      line('failed, is tried again', new TypeError("Cannot read properties of undefined (reading 'a')")),
    ],
    [
      'a programming error behind another one',
      line(
        watch,
        Object.assign(new Error('watch pods: x (network)'), { stack: 'Error: x\n    at a\ncaused by: RangeError: x' }),
      ),
    ],
    ['an internal error', line(watch, new Error('watch pods: x (internal)'))],
  ])('are not when they are %s', (_, said) => {
    expect(unreviewed([said])).toHaveLength(1);
  });

  it('may have been thrown in the internals of Node', () => {
    const err = new Error('disconnected: read ECONNRESET');
    err.stack =
      'Error: disconnected: read ECONNRESET\n    at TCP.onStreamRead (node:internal/stream_base_commons:216:20)';
    const said = line('southbound database: disconnected, is connected again as soon as it answers', err);
    expect(unreviewed([said])).toEqual([]);
  });
});
