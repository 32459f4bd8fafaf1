import { isCidr, isIp, parseCidr, parseIp } from '@ovenbird/crds';

const canonical = (text: string): string => (isIp(text) ? parseIp(text) : isCidr(text) ? parseCidr(text) : text);

/**
 * Addresses or CIDRs joined by a comma in their shortest form, IPv4 first, host bits zero (Kube-OVN masks them itself). What
 * is neither stays as it is: the kind's rules say what is wrong with it.
 */
export function canonicalPair(csv: string): string {
  const parts = csv.split(',').map((part) => canonical(part.trim()));
  return parts
    .filter((part) => part !== '')
    .toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')))
    .join(',');
}

/** An address, a CIDR or a range `a..b`, in its shortest form. */
export const canonicalRange = (text: string): string =>
  text
    .split('..')
    .map((end) => canonical(end.trim()))
    .join('..');
