/** Annotations that delay and lose packets on purpose (tc-netem(8)); names and units are Kube-OVN's. */
import { request } from './annotations.ts';
import { askedOf, type FurtherInterface } from './interface-annotations.ts';

/** What the annotations of a pod say. */
export interface Netem {
  /** Arguments of tc-netem(8), empty when nothing is asked for. */
  readonly text: string;
  /** What is wrong with them; such a value counts as absent. */
  readonly problems: readonly string[];
}

const whole = { pattern: /^[0-9]{1,9}$/, form: 'a whole number' };

/**
 * Reads `latency` and `jitter` (milliseconds), `loss` (percent) and `limit` (packets).
 * @param further absent for the pod's first interface
 */
export function parseNetem(annotations: Readonly<Record<string, string>>, further?: FurtherInterface): Netem {
  const problems: string[] = [];
  const read = (name: string, { pattern, form }: typeof whole, unit: string, largest: number): number => {
    const { key, text = '' } = askedOf({ annotations }, name, further);
    const value = text === '' ? 0 : pattern.test(text) ? Number(text) : Number.NaN;
    if (value >= 0 && value <= largest) return value;
    problems.push(`annotation ${key}: "${text.slice(0, 40)}" is not ${form} of ${unit} from 0 to ${largest}`);
    return 0;
  };
  const latency = read(request.latency, whole, 'milliseconds', 60_000);
  const jitter = read(request.jitter, whole, 'milliseconds', 60_000);
  const decimal = { pattern: /^[0-9]{1,3}([.][0-9]{1,6})?$/, form: 'a number' };
  const loss = read(request.loss, decimal, 'percent', 100);
  const limit = read(request.limit, whole, 'packets', 1_000_000);
  if (jitter > 0 && latency === 0) {
    const keyOf = (name: string): string => askedOf({ annotations }, name, further).key;
    problems.push(
      `annotation ${keyOf(request.jitter)}: jitter is around a latency; set ${keyOf(request.latency)} as well`,
    );
  }
  const parts = [
    ...(latency > 0 ? [`delay ${latency}ms${jitter > 0 ? ` ${jitter}ms` : ''}`] : []),
    ...(loss > 0 ? [`loss ${loss}%`] : []),
  ];
  if (parts.length > 0 && limit > 0) parts.push(`limit ${limit}`);
  return { text: parts.join(' '), problems };
}
