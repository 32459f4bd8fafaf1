/**
 * IP addresses, CIDRs and MACs.
 *
 * Everything goes through `net.isIP` first, which is strict (no leading zeros, no short forms); ip-bigint and cidr-tools
 * compute with BigInt but do not validate. Text is canonical afterwards: RFC 5952 for IPv6.
 */
import { isIP } from 'node:net';
import { parseCidr as rangeOf } from 'cidr-tools';
import { stringifyIp, parseIp as toNumber } from 'ip-bigint';
import { AddressError } from './address-error.ts';

declare const ipBrand: unique symbol;
declare const cidrBrand: unique symbol;
/** An IPv4 or IPv6 address in canonical text. Never IPv4-mapped, never with a zone. */
export type Ip = string & { readonly [ipBrand]: true };
/** `<canonical network address>/<prefix length>`; host bits are zero. */
export type Cidr = string & { readonly [cidrBrand]: true };
/** IP version. */
export type Family = 4 | 6;

/** First and last address of something, both included, as integers of its family. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Address length of a family in bits. */
export const addressBits = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/**
 * @returns the address in canonical text
 * @throws AddressError `bad-ip`
 */
export function parseIp(text: string): Ip {
  const family = isIP(text);
  if (family === 0 || text.includes('%'))
    throw new AddressError(
      'bad-ip',
      text,
      `"${text}" is not an IP address; write one such as 10.16.0.5 or fd00:10:16::5`,
    );
  if (family === 4) return text as Ip;
  const { number } = toNumber(text);
  if (number >> 32n === 0xffffn) {
    const v4 = stringifyIp({ number: number & 0xffffffffn, version: 4 });
    throw new AddressError('bad-ip', text, `"${text}" is an IPv4-mapped IPv6 address; write ${v4}`);
  }
  return stringifyIp({ number, version: 6 }) as Ip;
}

/** Whether {@link parseIp} accepts the text. */
export const isIp = (text: string): boolean => accepts(parseIp, text);

/** Whether the text is an address exactly as {@link parseIp} writes it. */
export const isCanonicalIp = (text: string): text is Ip => isIp(text) && parseIp(text) === text;

/**
 * @param text an address or a CIDR
 * @throws AddressError `bad-ip` when it is neither
 */
export function ipFamily(text: string): Family {
  const slash = text.indexOf('/');
  const family = isIP(slash < 0 ? text : text.slice(0, slash));
  if (family === 4 || family === 6) return family;
  throw new AddressError('bad-ip', text, `"${text}" is neither an IP address nor a CIDR`);
}

/**
 * @returns the address as an unsigned integer of 32 or 128 bits
 * @throws AddressError `bad-ip`
 */
export const ipToBigint = (text: string): bigint => toNumber(parseIp(text)).number;

/**
 * @returns canonical text
 * @throws AddressError `out-of-range` when `value` has more bits than the family, or is negative
 */
export function bigintToIp(value: bigint, family: Family): Ip {
  if (value < 0n || value >> BigInt(addressBits(family)) !== 0n)
    throw new AddressError('out-of-range', String(value), `${value} is not an IPv${family} address`);
  return stringifyIp({ number: value, version: family }) as Ip;
}

/**
 * @returns the network: canonical text, host bits zero
 * @throws AddressError `bad-cidr`
 */
export function parseCidr(text: string): Cidr {
  const { ip, length } = splitCidr(text);
  const family = ipFamily(ip);
  const shift = BigInt(addressBits(family) - length);
  return `${bigintToIp((ipToBigint(ip) >> shift) << shift, family)}/${length}` as Cidr;
}

/** Whether {@link parseCidr} accepts the text; host bits may be set. */
export const isCidr = (text: string): boolean => accepts(parseCidr, text);

/**
 * @returns prefix length in bits
 * @throws AddressError `bad-cidr`
 */
export const prefixLength = (cidr: string): number => splitCidr(cidr).length;

function splitCidr(text: string): { ip: Ip; length: number } {
  const slash = text.lastIndexOf('/');
  const ip = text.slice(0, slash);
  const length = text.slice(slash + 1);
  const good = slash > 0 && isIp(ip) && /^(0|[1-9][0-9]{0,2})$/.test(length);
  if (!good || Number(length) > addressBits(ipFamily(ip)))
    throw new AddressError(
      'bad-cidr',
      text,
      `"${text}" is not a CIDR; write one such as 10.16.0.0/16 or fd00:10:16::/112`,
    );
  return { ip: parseIp(ip), length: Number(length) };
}

/**
 * First (network) and last address (IPv4: broadcast).
 * @throws AddressError `bad-cidr`
 */
export function cidrRange(cidr: string): AddressRange {
  const { start, end } = rangeOf(parseCidr(cidr));
  return { first: start, last: end };
}

/**
 * Whether all of `inner` lies in `outer`; false when the families differ.
 * @param inner an address or a CIDR
 * @throws AddressError `bad-cidr`, `bad-ip`
 */
export function cidrContains(outer: string, inner: string): boolean {
  if (ipFamily(outer) !== ipFamily(inner)) return false;
  const range = cidrRange(outer);
  const { first, last } = inner.includes('/') ? cidrRange(inner) : single(inner);
  return range.first <= first && last <= range.last;
}

/** Whether the networks share an address. @throws AddressError `bad-cidr` */
export function cidrsOverlap(a: string, b: string): boolean {
  return cidrContains(a, b) || cidrContains(b, a);
}

/** The first address that a host may have: the one after the network address. @throws AddressError `bad-cidr` */
export const firstUsable = (cidr: string): Ip => bigintToIp(cidrRange(cidr).first + 1n, ipFamily(cidr));

/**
 * Whether a host in `cidr` may have the address: inside, not the network address (IPv4, RFC 922) or subnet-router anycast
 * address (IPv6, RFC 4291 §2.6.1), and not the IPv4 broadcast address. IPv6 has no broadcast: its last address is usable.
 * @throws AddressError `bad-cidr`, `bad-ip`
 */
export function isUsableHost(cidr: string, ip: string): boolean {
  if (!cidrContains(cidr, ip)) return false;
  const { first, last } = cidrRange(cidr);
  const value = ipToBigint(ip);
  return value !== first && (ipFamily(cidr) === 6 || value !== last);
}

/** A range of addresses as `excludeIps` writes it. */
export interface IpRange extends AddressRange {
  readonly family: Family;
}

/**
 * @param text `a..b` (both included) or a single address
 * @throws AddressError `bad-ip`, `family-mismatch`, or `bad-range` when a > b or there are more than two parts
 */
export function parseIpRange(text: string): IpRange {
  const [from = '', to = from, ...more] = text.split('..');
  if (more.length > 0)
    throw new AddressError('bad-range', text, `"${text}" is not a range; write an address or first..last`);
  const family = ipFamily(parseIp(from));
  if (ipFamily(parseIp(to)) !== family)
    throw new AddressError('family-mismatch', text, `"${text}" mixes IPv4 and IPv6; both ends must be of one family`);
  const first = ipToBigint(from);
  const last = ipToBigint(to);
  if (first > last)
    throw new AddressError('bad-range', text, `"${text}" is reversed; write ${parseIp(to)}..${parseIp(from)}`);
  return { family, first, last };
}

/**
 * The fewest networks that make up a range, in order; a single address is written without a length.
 * @throws AddressError `out-of-range` when the range is not of its family
 */
export function rangeToCidrs({ family, first, last }: IpRange): readonly string[] {
  const bits = addressBits(family);
  const networks: string[] = [];
  for (let from = first; from <= last; ) {
    // The largest block that begins here and does not go beyond the end.
    let size = 0;
    while (size < bits && (from >> BigInt(size)) % 2n === 0n && from + (1n << BigInt(size + 1)) - 1n <= last) size += 1;
    const text = bigintToIp(from, family);
    networks.push(size === 0 ? text : `${text}/${bits - size}`);
    from += 1n << BigInt(size);
  }
  return networks;
}

function single(ip: string): AddressRange {
  const value = ipToBigint(ip);
  return { first: value, last: value };
}

function accepts(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}
