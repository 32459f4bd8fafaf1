import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter } from './line-splitter.ts';
import { seed } from './testing/seed.ts';

describe('LineSplitter', () => {
  test('property: however the bytes are cut, the lines are the same', () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replaceAll(/\s/g, '_'));
    fc.assert(
      fc.property(fc.array(line), fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join('\r\n'));
        const splitter = new LineSplitter();
        const got: string[] = [];
        for (let at = 0; at < bytes.length; ) {
          const length = Number(cuts.next().value);
          got.push(...splitter.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(got).toEqual(lines);
      }),
      seed(),
    );
  });

  test('a line without end is refused at the limit', () => {
    const splitter = new LineSplitter(10);
    expect(splitter.push(Buffer.from('123456789\n12345'))).toEqual(['123456789']);
    expect(() => splitter.push(Buffer.from('678901'))).toThrow('longer than 10 bytes (protocol)');
  });
});
