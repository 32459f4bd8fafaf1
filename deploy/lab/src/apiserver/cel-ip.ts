/**
 * The `ip()` and `cidr()` functions of the Kubernetes CEL library.
 *
 * Source: kubernetes.io/docs/reference/using-api/cel, "Kubernetes IP address library" and "CIDR library" (Kubernetes 1.31),
 * whose semantics are those of Go's net/netip: no zones, no IPv4-mapped IPv6, no leading zeros, host bits allowed in a CIDR.
 */
import { isIP } from 'node:net';
import { type CelFunc, type CelMap, CelScalar, celFunc, celMap, celMethod, mapType } from '@bufbuild/cel';
import { parseIp, stringifyIp } from 'ip-bigint';

interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}
interface Prefix extends Address {
  readonly length: number;
}

const { BOOL, DYN, INT, STRING } = CelScalar;
/**
 * CEL values of this evaluator are scalars, lists, maps or protobuf messages, so an IP is a map with one entry (which gives
 * `==` its meaning), and its parsed form is kept beside it.
 */
const OBJECT = mapType(DYN, DYN);
const addresses = new WeakMap<CelMap, Address>();
const prefixes = new WeakMap<CelMap, Prefix>();

const bits = (family: 4 | 6): number => (family === 4 ? 32 : 128);
const text = (address: Address): string => stringifyIp({ number: address.value, version: address.family });
const prefixText = (prefix: Prefix): string => `${text(prefix)}/${prefix.length}`;
const network = (address: Address, length: number): bigint => {
  const shift = BigInt(bits(address.family) - length);
  return (address.value >> shift) << shift;
};

/** @throws Error with the wording of Kubernetes when `input` is no address */
function parseAddress(input: string): Address {
  if (input.includes('%')) throw new Error(`IP address "${input}" with zone value is not allowed`);
  const family = isIP(input);
  if (family !== 4 && family !== 6) throw new Error(`IP Address "${input}" parse error during conversion from string`);
  const parsed = parseIp(input);
  if (family === 6 && parsed.number >> 32n === 0xffffn)
    throw new Error(`IPv4-mapped IPv6 address "${input}" is not allowed`);
  return { family, value: parsed.number };
}

/** @throws Error with the wording of Kubernetes when `input` is no CIDR */
function parsePrefix(input: string): Prefix {
  const slash = input.lastIndexOf('/');
  const length = input.slice(slash + 1);
  if (slash < 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length))
    throw new Error(`network address "${input}" parse error during conversion from string`);
  const address = parseAddress(input.slice(0, slash));
  if (Number(length) > bits(address.family))
    throw new Error(`network address "${input}" parse error: prefix length out of range`);
  return { ...address, length: Number(length) };
}

function makeAddress(address: Address): CelMap {
  const value = celMap(new Map([['net.IP', text(address)]]));
  addresses.set(value, address);
  return value;
}
function makePrefix(prefix: Prefix): CelMap {
  const value = celMap(new Map([['net.CIDR', prefixText(prefix)]]));
  prefixes.set(value, prefix);
  return value;
}

/** The receiver of a method as an address. */
function asAddress(value: CelMap): Address {
  const address = addresses.get(value);
  if (address === undefined) throw new Error('no such overload: the receiver is not an IP');
  return address;
}
/** The receiver of a method as a CIDR. */
function asPrefix(value: CelMap): Prefix {
  const prefix = prefixes.get(value);
  if (prefix === undefined) throw new Error('no such overload: the receiver is not a CIDR');
  return prefix;
}

const holds = <T>(parse: (input: T) => unknown, input: T): boolean => {
  try {
    parse(input);
    return true;
  } catch {
    return false;
  }
};
const contains = (outer: Prefix, inner: Prefix): boolean =>
  outer.family === inner.family &&
  outer.length <= inner.length &&
  network(inner, outer.length) === network(outer, outer.length);
const whole = (address: Address): Prefix => ({ ...address, length: bits(address.family) });
const inside =
  (v4: string, v6: string) =>
  (address: Address): boolean =>
    contains(parsePrefix(address.family === 4 ? v4 : v6), whole(address));

const isLoopback = inside('127.0.0.0/8', '::1/128');
const isLinkLocalUnicast = inside('169.254.0.0/16', 'fe80::/10');
const isMulticast = inside('224.0.0.0/4', 'ff00::/8');
const isUnspecified = (address: Address): boolean => address.value === 0n;
/** netip.Addr.IsLinkLocalMulticast: the scope nibble of an IPv6 multicast address is 2, whatever its flags. */
const isLinkLocalMulticast = (address: Address): boolean =>
  address.family === 4
    ? contains(parsePrefix('224.0.0.0/24'), whole(address))
    : isMulticast(address) && ((address.value >> 112n) & 0xfn) === 2n;
/** netip.Addr.IsGlobalUnicast: everything else, private ranges included, but not the IPv4 broadcast address. */
const isGlobalUnicast = (address: Address): boolean =>
  !isUnspecified(address) &&
  !isLoopback(address) &&
  !isMulticast(address) &&
  !isLinkLocalUnicast(address) &&
  !(address.family === 4 && address.value === 0xffffffffn);

const predicate = (name: string, test: (address: Address) => boolean): CelFunc =>
  celMethod(name, OBJECT, [], BOOL, function () {
    return test(asAddress(this));
  });

/** `isIP`, `ip`, `ip.isCanonical`, `isCIDR`, `cidr`, their methods, and `string()` of both. */
export const ipFunctions: readonly CelFunc[] = [
  celFunc('isIP', [STRING], BOOL, (input) => holds(parseAddress, input)),
  celFunc('ip', [STRING], OBJECT, (input) => makeAddress(parseAddress(input))),
  celFunc('ip.isCanonical', [STRING], BOOL, (input) => text(parseAddress(input)) === input),
  celFunc('isCIDR', [STRING], BOOL, (input) => holds(parsePrefix, input)),
  celFunc('cidr', [STRING], OBJECT, (input) => makePrefix(parsePrefix(input))),
  celFunc('string', [OBJECT], STRING, (value) => {
    const prefix = prefixes.get(value);
    return prefix === undefined ? text(asAddress(value)) : prefixText(prefix);
  }),
  celMethod('family', OBJECT, [], INT, function () {
    return BigInt(asAddress(this).family);
  }),
  predicate('isUnspecified', isUnspecified),
  predicate('isLoopback', isLoopback),
  predicate('isLinkLocalMulticast', isLinkLocalMulticast),
  predicate('isLinkLocalUnicast', isLinkLocalUnicast),
  predicate('isGlobalUnicast', isGlobalUnicast),
  celMethod('containsIP', OBJECT, [STRING], BOOL, function (input) {
    return contains(asPrefix(this), whole(parseAddress(input)));
  }),
  celMethod('containsIP', OBJECT, [OBJECT], BOOL, function (other) {
    return contains(asPrefix(this), whole(asAddress(other)));
  }),
  celMethod('containsCIDR', OBJECT, [STRING], BOOL, function (input) {
    return contains(asPrefix(this), parsePrefix(input));
  }),
  celMethod('containsCIDR', OBJECT, [OBJECT], BOOL, function (other) {
    return contains(asPrefix(this), asPrefix(other));
  }),
  celMethod('ip', OBJECT, [], OBJECT, function () {
    const { family, value } = asPrefix(this);
    return makeAddress({ family, value });
  }),
  celMethod('masked', OBJECT, [], OBJECT, function () {
    const prefix = asPrefix(this);
    return makePrefix({ ...prefix, value: network(prefix, prefix.length) });
  }),
  celMethod('prefixLength', OBJECT, [], INT, function () {
    return BigInt(asPrefix(this).length);
  }),
];
