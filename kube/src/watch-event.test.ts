import { describe, expect, test } from 'vitest';
import { isOlderVersion, parseWatchLine } from './watch-event.ts';

const subject = { verb: 'watch', resource: 'pods' };

describe('parseWatchLine', () => {
  test.each([
    ['nonsense', 'not JSON'],
    ['[]', 'not an event'],
    ['{"type":"ADDED"}', 'not an event'],
    ['{"type":"ADDED","object":{}}', 'without metadata.name'],
    ['{"type":"ADDED","object":{"metadata":{"name":5}}}', 'without metadata.name'],
    ['{"type":"ADDED","object":{"metadata":{"name":"a"}}}', 'the event of a has no resourceVersion'],
    ['{"type":"BOOKMARK","object":{}}', 'bookmark has no resourceVersion'],
    ['{"type":"SURPRISE","object":{}}', 'unknown watch event type "SURPRISE"'],
  ])('refuses %s', (line, message) => {
    expect(() => parseWatchLine(line, subject)).toThrow(message);
    expect(() => parseWatchLine(line, subject)).toThrow(expect.objectContaining({ code: 'protocol', retryable: true }));
  });

  test('an ERROR event is thrown as what it says', () => {
    const line = (code: number): string =>
      JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, message: 'm', reason: 'r' } });
    expect(() => parseWatchLine(line(410), subject)).toThrow(expect.objectContaining({ code: 'gone' }));
    expect(() => parseWatchLine(line(500), subject)).toThrow(
      expect.objectContaining({ code: 'internal', reason: 'r' }),
    );
  });
});

test('versions compare as numbers of any length, or not at all', () => {
  expect(isOlderVersion('9', '10')).toBe(true);
  expect(isOlderVersion('10', '9')).toBe(false);
  expect(isOlderVersion('10', '10')).toBe(false);
  expect(isOlderVersion('99999999999999999998', '99999999999999999999')).toBe(true);
  expect(isOlderVersion('abc', '10')).toBe(false);
});
