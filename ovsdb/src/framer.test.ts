import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, JsonFramer } from './framer.ts';
import { seeded } from './test-support.ts';

/** Frames `bytes` in pieces that end at the given positions. */
function frame(bytes: Buffer, cuts: readonly number[], limits = DEFAULT_LIMITS): string[] {
  const texts: string[] = [];
  const framer = new JsonFramer((text) => texts.push(text), limits);
  let from = 0;
  for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    framer.push(bytes.subarray(from, cut));
    from = cut;
  }
  return texts;
}

/** Strings full of what could mislead a brace scan. */
const trickyText = fc
  .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', '\\\\', 'a', '\u00e9', '\u{1f426}', '\n', ' '), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

describe('JsonFramer', () => {
  it('frames any documents cut anywhere as they were written', () => {
    const documents = fc.array(
      fc.dictionary(trickyText, fc.oneof(trickyText, fc.jsonValue(), fc.array(trickyText)), { maxKeys: 4 }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(
        documents,
        fc.constantFrom('', '\n', ' ', '\r\n\t'),
        fc.infiniteStream(fc.nat()),
        (docs, gap, random) => {
          const texts = docs.map((doc) => JSON.stringify(doc));
          const bytes = Buffer.from(texts.join(gap) + gap);
          const count = (random.next().value ?? 0) % 12;
          const cuts = Array.from({ length: count }, () => (random.next().value ?? 0) % (bytes.length + 1));
          expect(frame(bytes, cuts)).toEqual(texts);
        },
      ),
      seeded(3_000),
    );
  });

  it('frames byte by byte', () => {
    const texts = ['{"a":"\\\\"}', '{"b":"\\\\\\""}', '{"c":["}",{"d":"\\""}]}', '{"é":"\u{1f426}"}'];
    const bytes = Buffer.from(texts.join(''));
    expect(
      frame(
        bytes,
        Array.from({ length: bytes.length }, (_, i) => i),
      ),
    ).toEqual(texts);
  });

  it('refuses what cannot begin a message', () => {
    for (const text of ['[1]', '"a"', '}', 'HTTP/1.1 400 Bad Request', '{}]', '{} x', '1']) {
      expect(() => frame(Buffer.from(text), [])).toThrow(/protocol_error: byte 0x/);
    }
  });

  it('bounds the size of a message that has not ended', () => {
    const limits = { maxBytes: 100, maxDumpBytes: 100, maxDepth: 10 };
    const framer = new JsonFramer(() => undefined, limits);
    framer.push(Buffer.from(`{"a":"${'x'.repeat(60)}`));
    expect(framer.pendingBytes).toBe(66);
    expect(() => framer.push(Buffer.from('x'.repeat(60)))).toThrow(/larger than 100 bytes/);
    expect(() => frame(Buffer.from(`{"a":"${'x'.repeat(200)}"}`), [], limits)).toThrow(/larger than 100 bytes/);
    expect(frame(Buffer.from('{"a":1}{"a":2}'.repeat(50)), [], limits)).toHaveLength(100);
  });

  it('bounds the depth of a message', () => {
    const nested = (depth: number): Buffer => Buffer.from(`{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`);
    expect(frame(nested(1000), [])).toHaveLength(1);
    expect(() => frame(nested(1001), [])).toThrow(/deeper than 1000/);
  });

  it('never does anything but frame or refuse, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
        try {
          frame(Buffer.from(bytes), [Math.min(cut, bytes.length)]);
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol_error' });
        }
      }),
      seeded(2_000),
    );
  });
});
