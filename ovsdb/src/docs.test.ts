import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const sources = readdirSync(new URL('.', import.meta.url)).filter(
  (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
);
const read = (name: string): readonly string[] =>
  readFileSync(new URL(name, import.meta.url), 'utf8')
    .split('\n')
    .map((line) => line.trimEnd());

/** Declarations and members without a doc comment in the line before. */
function undocumented(lines: readonly string[], wanted: RegExp): readonly string[] {
  return lines.filter((line, i) => wanted.test(line) && lines[i - 1]?.endsWith('*/') !== true);
}

it('has a doc comment at every export and at every file', () => {
  const missing = sources.flatMap((name) => {
    const lines = read(name);
    const exports = undocumented(
      lines,
      /^export (?:declare |abstract |async )*(?:function|class|interface|type \w+ =|const)/,
    );
    return exports.map((line) => `${name}: ${line}`);
  });
  expect(missing).toEqual([]);
  const first = (name: string): string => read(name).find((line) => !line.startsWith('#!')) ?? '';
  expect(sources.filter((name) => !/^(?:\/\*\*|import)/.test(first(name)))).toEqual([]);
});

it('has one at every method of what users hold in their hands', () => {
  const missing = ['client-api.ts', 'lock.ts', 'replica.ts', 'transaction.ts', 'session.ts', 'appctl.ts'].flatMap(
    (name) => {
      const lines = read(name);
      const inInterface = (at: number): boolean =>
        /^export (?:interface|class(?!.* implements ))/.test(
          lines.slice(0, at).findLast((line) => /^\S/.test(line) && line !== '}') ?? '',
        );
      return lines.flatMap((line, i) =>
        /^ {2}(?:async )?[a-z]\w*(?:<.*)?\(/.test(line) && inInterface(i) && lines[i - 1]?.endsWith('*/') !== true
          ? [`${name}: ${line}`]
          : [],
      );
    },
  );
  expect(missing.filter((line) => !line.includes('constructor('))).toEqual([]);
});
