import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const here = new URL('.', import.meta.url);
const sources = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
);
const read = (name: string): readonly string[] => readFileSync(new URL(name, here), 'utf8').split('\n');
const EXPORT = /^export (?:declare |abstract |async )*(?:function|class|interface|type \w+ =|const)/;

it('has a doc comment at every export', () => {
  const missing = sources.flatMap((name) => {
    const lines = read(name);
    return lines
      .filter((line, at) => EXPORT.test(line) && lines[at - 1]?.endsWith('*/') !== true)
      .map((line) => `${name}: ${line}`);
  });
  // Lists of declarations say by their name what they are.
  expect(missing.filter((line) => !/const [A-Z_]+: readonly (?:Message|Action)Spec/.test(line))).toEqual([]);
});

it('has one at every method of what users hold in their hands', () => {
  const missing = ['connection-api.ts', 'session.ts', 'keeper.ts', 'flow-watch.ts', 'packet-in-queue.ts'].flatMap(
    (name) => {
      const lines = read(name);
      return lines.filter((line, at) => {
        const owner = lines.slice(0, at).findLast((other) => /^\S/.test(other) && other !== '}') ?? '';
        return (
          /^export (?:interface|class(?!.* implements ))/.test(owner) &&
          /^ {2}(?:async |readonly )?[a-z]\w*(?:<.*)?[(:]/.test(line) &&
          !/constructor\(|^ {2}readonly (?:type|signal|clock|cause)/.test(line) &&
          lines[at - 1]?.endsWith('*/') !== true
        );
      });
    },
  );
  expect(missing.filter((line) => line.includes('('))).toEqual([]);
});

/** Whether a title, or a part of one that holds a semicolon, is there. */
const isIn = (source: string, title: string): boolean =>
  source.split('\n').some((line) => /\b(?:it|describe)\b/.test(line) && line.includes(title));

it('has every test of the README, and every example', () => {
  const readme = read('../README.md').join('\n');
  const names = [...readme.matchAll(/`([a-z-]+\.test)`/g)].map(([, name]) => `${name}.ts`);
  expect(names.filter((name) => !readdirSync(here).includes(name))).toEqual([]);
  // The tables of mistakes and traps name tests by their titles.
  const integration = new URL('../../test/integration/openflow/', here);
  const rows = readme.split('\n').filter((line) => /^\| .* \| `[a-z-]+(?:\.test)?`: /.test(line));
  expect(rows.length).toBeGreaterThan(20);
  const missing = rows.flatMap((row) =>
    (row.split(' | ').at(-1) ?? '')
      .replace(/ \|$/, '')
      .split(' · ')
      .flatMap((part) => {
        const [, file = '', titles = ''] = /^`([a-z-]+(?:\.test)?)`: (.*)$/.exec(part) ?? [];
        const url = file.endsWith('.test') ? new URL(`${file}.ts`, here) : new URL(`${file}.test.ts`, integration);
        const source = readFileSync(url, 'utf8');
        // A title may hold what separates titles.
        return source.includes(`'${titles}'`) || titles.split('; ').every((title) => isIn(source, title)) ? [] : [part];
      }),
  );
  expect(missing).toEqual([]);
  const examples = readdirSync(new URL('../examples', here));
  expect(examples.filter((name) => !readme.includes(`(examples/${name})`))).toEqual([]);
});
