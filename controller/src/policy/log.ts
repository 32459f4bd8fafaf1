import { DEFAULT_LOG_RATE, policyLog } from '@ovenbird/crds';
import type { PolicyLog } from './model.ts';

/** A policy is its namespace's: what it writes into a node's log stays small. */
const mostEntries = 100;

/**
 * What the annotations of a NetworkPolicy ask to have logged.
 * @param problems gets what cannot be honoured, in words
 * @returns undefined when nothing is logged
 */
export function policyLogOf(annotations: Readonly<Record<string, string>>, problems: string[]): PolicyLog | undefined {
  if (annotations[policyLog.enable] !== 'true') return undefined;
  const actions = (annotations[policyLog.actions] ?? 'DROP').split(',').map((action) => action.trim().toUpperCase());
  const unknown = actions.filter((action) => action !== 'ALLOW' && action !== 'DROP');
  if (unknown.length > 0)
    problems.push(`${policyLog.actions}: "${unknown.join(',').slice(0, 40)}" is no action; write ALLOW, DROP, or both`);
  const text = annotations[policyLog.rate];
  const rate = text === undefined ? DEFAULT_LOG_RATE : Number(text);
  const isRate = Number.isInteger(rate) && rate >= 1 && rate <= mostEntries;
  if (!isRate)
    problems.push(`${policyLog.rate}: write entries a second, 1 to ${mostEntries}; ${DEFAULT_LOG_RATE} is used`);
  return {
    allow: actions.includes('ALLOW'),
    drop: actions.includes('DROP'),
    rate: isRate ? rate : DEFAULT_LOG_RATE,
  };
}
