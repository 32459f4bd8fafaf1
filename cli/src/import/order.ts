/**
 * OVN 23.03 has one number space for all rules, where Kube-OVN counts on tiers: what is the same manifest is judged in another
 * order there. The numbers are those of docs/acl-order.md.
 */
import type { Candidate } from './fit.ts';
import { type Note, nameOf } from './report.ts';

/**
 * Numbers above these, down to the next, are among rules that Kube-OVN keeps in other tiers; elsewhere nothing is different.
 * `test/src/import-order.test.ts` compares them with those of the controller.
 */
export const bands: readonly { readonly above: number; readonly what?: string }[] = [
  { above: 30_999, what: 'before every policy and SecurityGroup, and before what nodes send to their own pods' },
  { above: 5974, what: 'among cluster policies of tier Admin, and before all SecurityGroups' },
  { above: 3001, what: 'among the rules of SecurityGroups of tier 0' },
  { above: 999 },
  { above: 1, what: 'among the rules of SecurityGroups of tier 1' },
  { above: -1 },
];

/** Numbers that a note shows. */
const shown = 5;

type Entry = Readonly<Record<string, unknown>>;
const entriesOf = (value: unknown): readonly Entry[] => (Array.isArray(value) ? (value as readonly Entry[]) : []);

/** What of an object that is written does not mean on OVN 23.03 what it meant. */
export function orderNotes(object: Candidate): readonly Note[] {
  const { kind, spec } = object;
  if (kind !== 'Subnet') return [];
  // What pods send is judged by `acls` in a stage of its own, before all other rules, on every OVN.
  const found = entriesOf(spec['acls']).filter(({ direction }) => direction === 'to-lport');
  return bands.flatMap((band, index) => {
    const end = bands[index - 1]?.above ?? Number.POSITIVE_INFINITY;
    const inside = prioritiesOf(found).filter((priority) => priority > band.above && priority <= end);
    if (inside.length === 0 || band.what === undefined) return [];
    const why = `${listed(inside)} ${band.what} on OVN 23.03 (docs/acl-order.md)`;
    return [{ object: nameOf(object), field: 'spec.acls', why }];
  });
}

/** Each once, highest first. */
const prioritiesOf = (entries: readonly Entry[]): readonly number[] =>
  [...new Set(entries.map(({ priority }) => Number(priority)))].sort((a, b) => b - a);

function listed(priorities: readonly number[]): string {
  const text = priorities.slice(0, shown).join(', ') + (priorities.length > shown ? ', ...' : '');
  return priorities.length === 1 ? `priority ${text} stands` : `priorities ${text} stand`;
}
