/** `v4`, `v6` or `v4,v6`: the way Kube-OVN's fields and annotations write one or two families. */
import { AddressError } from './address-error.ts';
import { type Cidr, type Ip, ipFamily, parseCidr, parseIp } from './ip.ts';

/** A value per family; an absent family is not in use. */
export interface Dual<T> {
  readonly v4?: T;
  readonly v6?: T;
}

/**
 * @param text one address, or an IPv4 and an IPv6 address joined by a comma, IPv4 first
 * @returns canonical addresses; `{}` for the empty string
 * @throws AddressError `bad-ip`, `bad-pair`
 */
export const splitDual = (text: string): Dual<Ip> => split(text, parseIp);

/**
 * As {@link splitDual}, of CIDRs.
 * @throws AddressError `bad-cidr`, `bad-pair`
 */
export const splitDualCidr = (text: string): Dual<Cidr> => split(text, parseCidr);

/** The values, IPv4 first. */
export const dualValues = <T>(dual: Dual<T>): T[] => [
  ...(dual.v4 === undefined ? [] : [dual.v4]),
  ...(dual.v6 === undefined ? [] : [dual.v6]),
];

/** Text as {@link splitDual} reads it. */
export const joinDual = (dual: Dual<string>): string => dualValues(dual).join(',');

function split<T extends string>(text: string, parse: (part: string) => T): Dual<T> {
  if (text === '') return {};
  const parts = text.split(',');
  const [one, two] = parts.map(parse);
  if (one === undefined || parts.length > 2)
    throw new AddressError(
      'bad-pair',
      text,
      `"${text}" has more than two parts; write one IPv4 and one IPv6, IPv4 first`,
    );
  if (two === undefined) return ipFamily(one) === 4 ? { v4: one } : { v6: one };
  if (ipFamily(one) === ipFamily(two))
    throw new AddressError(
      'bad-pair',
      text,
      `"${text}" has two of one family; write one IPv4 and one IPv6, IPv4 first`,
    );
  if (ipFamily(one) === 6) throw new AddressError('bad-pair', text, `"${text}" has IPv6 first; write ${two},${one}`);
  return { v4: one, v6: two };
}
