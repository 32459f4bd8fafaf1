import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseLogQuery, readLog } from './logs.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ovenbird-logs-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const never = new AbortController().signal;

async function tail(content: string, tailLines?: number, limitBytes?: number): Promise<string> {
  const path = join(dir, 'log');
  writeFileSync(path, content);
  return await text(await readLog(path, { tailLines, limitBytes, follow: false, ended: never }));
}

describe('logs', () => {
  test('tail, limit, absent file', async () => {
    expect(await tail('a\nb\nc\n', 2)).toBe('b\nc\n');
    expect(await tail('a\nb\nc', 1)).toBe('c');
    expect(await tail('a\nb\n', 0)).toBe('');
    expect(await tail('a\nb\n', 9)).toBe('a\nb\n');
    expect(await tail('a\nb\nc\n', undefined, 3)).toBe('a\nb');
    expect(await text(await readLog(join(dir, 'no'), { follow: false, ended: never }))).toBe('');
  });

  test('tail agrees with splitting the text, also over block borders', async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    const line = fc.oneof(fc.constantFrom('', 'x', 'y'.repeat(40_000)), fc.string({ unit: 'grapheme-ascii' }));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.nat(7), fc.boolean(), async (lines, count, end) => {
        const clean = lines.map((value) => value.replaceAll('\n', ''));
        const content = clean.length === 0 ? '' : clean.join('\n') + (end ? '\n' : '');
        const parts = content === '' ? [] : content.replace(/\n$/, '').split('\n');
        const wanted = parts.slice(Math.max(0, parts.length - count)).join('\n');
        const kept = (await tail(content, count)).replace(/\n$/, '');
        expect(kept).toBe(count === 0 ? '' : wanted);
      }),
      { seed, numRuns: 60 },
    );
  });

  test('following sees what comes, and the end', async () => {
    const path = join(dir, 'followed');
    writeFileSync(path, 'one\n');
    const over = new AbortController();
    const stream = await readLog(path, { follow: true, ended: over.signal });
    let seen = '';
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    stream.on('data', (piece: Buffer) => {
      seen += piece.toString();
      if (seen.includes('one')) first.resolve();
      if (seen.includes('two')) second.resolve();
    });
    const closed = new Promise((resolve) => stream.on('end', resolve));
    await first.promise;
    appendFileSync(path, 'two\n');
    await second.promise;
    appendFileSync(path, 'three\n');
    over.abort();
    await closed;
    expect(seen).toBe('one\ntwo\nthree\n');
  });

  test('numbers are checked', () => {
    expect(parseLogQuery(new URLSearchParams('tailLines=5&follow=true'))).toMatchObject({ tailLines: 5, follow: true });
    expect(() => parseLogQuery(new URLSearchParams('tailLines=-1'))).toThrow(/tailLines must be a number/);
  });
});
