import type { FieldProblem } from '@ovenbird/crds';
import type { Manifest, Note } from './report.ts';
import { nameOf } from './report.ts';

type Spec = Readonly<Record<string, unknown>>;

/** An object of ours, as it is written. */
export interface Candidate extends Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: Spec;
}

/** As far as a `Kind` of ours is used here: what its API server would refuse. */
export interface Judge {
  problems(object: unknown): readonly FieldProblem[];
}

/**
 * Takes out of an object what our kind does not have, or not yet, and says so. The kind's own rules decide: a field that is
 * built one day is carried over from that day on.
 * @param essential fields without which the object would mean something else; wrong ones make it go unwritten
 * @returns undefined when nothing can be written
 */
export function fit(
  candidate: Candidate,
  kind: Judge,
  essential: readonly string[],
  note: (note: Note) => void,
): Candidate | undefined {
  const object = nameOf(candidate);
  let spec = candidate.spec;
  for (;;) {
    const problems = kind.problems({ ...candidate, spec });
    if (problems.length === 0) return { ...candidate, spec };
    const removed = new Set<string>();
    for (const { field, message } of problems) {
      const names = namesIn(field, message);
      if (names.length === 0 || names.some((name) => essential.includes(name) || !(name in spec))) {
        for (const problem of problems) note({ object, field: problem.field, why: `not written: ${problem.message}` });
        return undefined;
      }
      for (const name of names) removed.add(name);
      note({ object, field: names.map((name) => `spec.${name}`).join(', '), why: reason(field, message) });
    }
    spec = Object.fromEntries(Object.entries(spec).filter(([name]) => !removed.has(name)));
  }
}

const reason = (field: string, message: string): string =>
  field === 'spec'
    ? 'Ovenbird has no such field'
    : message.replace(/^spec\.\S+ is not built yet; remove it$/, 'not built yet');

/** Top-level fields of the spec that a problem is about. */
function namesIn(field: string, message: string): readonly string[] {
  const top = /^spec\.([A-Za-z0-9]+)/.exec(field)?.[1];
  if (top !== undefined) return [top];
  // zod's words for a key that the schema does not have.
  return message.startsWith('Unrecognized key') ? [...message.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name) : [];
}
