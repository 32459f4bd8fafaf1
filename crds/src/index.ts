/** Custom resources of the group ovenbird.io, and the addresses in them. */
export { AddressError, type AddressErrorCode } from './address-error.ts';
export { type Dual, dualValues, joinDual, splitDual, splitDualCidr } from './dual.ts';
export {
  type AddressRange,
  addressBits,
  bigintToIp,
  type Cidr,
  cidrContains,
  cidrRange,
  cidrsOverlap,
  type Family,
  firstUsable,
  type Ip,
  type IpRange,
  ipFamily,
  ipToBigint,
  isCanonicalIp,
  isCidr,
  isIp,
  isUsableHost,
  parseCidr,
  parseIp,
  parseIpRange,
  prefixLength,
} from './ip.ts';
export { isMac, type Mac, parseMac } from './mac.ts';
