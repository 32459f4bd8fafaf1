/** Figures of a benchmark: statistics, and the lines that people and scripts read. */

/** A bound on figure / reference. */
export interface Target {
  /** `>=` for figures of which more is better, `<=` for those of which less is. */
  readonly kind: '>=' | '<=';
  readonly value: number;
}

/** One measured figure beside its reference. */
export interface Figure {
  /** What was measured, `burst`. */
  readonly name: string;
  /** Which quantity, `pods_per_second`. */
  readonly figure: string;
  readonly value: number;
  /** Of value and reference: `ms`, `/s`; empty for plain numbers. */
  readonly unit: string;
  readonly reference: number;
  readonly target: Target;
}

/**
 * The value below which a share of the values lies (nearest rank).
 * @param share 0 to 1
 * @throws RangeError when there are no values
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (found === undefined) throw new RangeError('no values to take a percentile of');
  return found;
}

/** The median (lower one of an even number). @throws RangeError when there are no values */
export const median = (values: readonly number[]): number => percentile(values, 0.5);

/** Three significant digits, never in exponent form. */
function round(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4));
}

/** `BENCH <name> <figure>=<value><unit> ref=<value><unit> ratio=<r> target=<op><t> ok|short`. */
export function benchLine({ name, figure, value, unit, reference, target }: Figure): string {
  const ratio = value / reference;
  const met = target.kind === '>=' ? ratio >= target.value : ratio <= target.value;
  return (
    `BENCH ${name} ${figure}=${round(value)}${unit} ref=${round(reference)}${unit} ratio=${round(ratio)} ` +
    `target=${target.kind}${target.value} ${met ? 'ok' : 'short'}`
  );
}

/** `INFO <name> <figure>=<value><unit> ...`: what has no target. */
export function infoLine(
  name: string,
  figures: Readonly<Record<string, readonly [value: number, unit: string]>>,
): string {
  const parts = Object.entries(figures).map(([figure, [value, unit]]) => `${figure}=${round(value)}${unit}`);
  return `INFO ${name} ${parts.join(' ')}`;
}
