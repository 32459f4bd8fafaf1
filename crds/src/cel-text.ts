/** Pieces of CEL that several rules need. Arguments are CEL expressions. */

/** The part before the comma, or all of it. */
export const before = (csv: string): string => `${csv}.find('^[^,]*')`;
/** The part after the comma, or all of it. */
export const after = (csv: string): string => `${csv}.find('[^,]*$')`;
/** Whether both parts of `v4`, `v6` or `v4,v6` satisfy a predicate. */
export const both = (csv: string, test: (part: string) => string): string =>
  `${test(before(csv))} && ${test(after(csv))}`;
/** Whether `v4`, `v6` or `v4,v6` holds CIDRs. */
export const legalCidrs = (csv: string): string =>
  `${csv}.split(',').size() <= 2 && ${both(csv, (part) => `isCIDR(${part})`)}`;
/** Whether `v4`, `v6` or `v4,v6` holds addresses. */
export const legalIps = (csv: string): string =>
  `${csv}.split(',').size() <= 2 && ${both(csv, (part) => `isIP(${part})`)}`;
/** First address of `a..b`; only where there is a `..`. */
export const from = (range: string): string => `${range}.substring(0, ${range}.indexOf('..'))`;
/** Last address of `a..b`; only where there is a `..`. */
export const to = (range: string): string => `${range}.substring(${range}.indexOf('..') + 2)`;
/** An IPv4 address as an integer. */
const integer = (ip: string): string =>
  [16_777_216, 65_536, 256, 1].map((weight, index) => `int(${ip}.split('.')[${index}]) * ${weight}`).join(' + ');
const blockSizes = `[${Array.from({ length: 33 }, (_, bits) => 2 ** bits).join(', ')}]`;
/** Whether an IPv4 address is the last one of its IPv4 CIDR. */
export const isBroadcast = (ip: string, cidr: string): string =>
  `(${integer(ip)} + 1) % ${blockSizes}[32 - cidr(${cidr}).prefixLength()] == 0`;

/** `/n` for an integer n in 0..128: `string(n)` would have a size that the cost estimator does not know. */
const prefix = (n: string): string =>
  `'/' + '   1 2 3 4 5 6 7 8 9101112'.substring((${n}) / 10 * 2, (${n}) / 10 * 2 + 2).trim() + '0123456789'.substring((${n}) % 10, (${n}) % 10 + 1)`;

/**
 * Whether address `a` comes before or equals `b`, both of one family. CEL cannot order addresses, but a comes after b when
 * at the first bit that differs, n, b has 0 and a has 1: then the block b/(n+1) holds the first address of the block a/n
 * (so the first n bits agree and bit n of b is 0), and does not hold a.
 */
export function ordered(a: string, b: string): string {
  // One-element lists bind a value to a name; CEL has no other way that every server version knows.
  const found = `[cidr(${b} + ${prefix('t + u + 1')})].exists(c, c.containsIP(cidr(${a} + ${prefix('t + u')}).masked().ip()) && !c.containsIP(x))`;
  const digits = '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]';
  const tens = '[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]';
  return `![ip(${a})].exists(x, ${tens}.exists(t, ${digits}.exists(u, t + u < (x.family() == 4 ? 32 : 128) && ${found})))`;
}
