import { createHash } from 'node:crypto';

/**
 * A locally administered unicast MAC (second-lowest bit of the first octet set, lowest clear) derived from a name, so that
 * a rebuilt database has the same addresses.
 */
export function macFromName(name: string): string {
  const digest = createHash('sha256').update(name).digest();
  const octets = [0x0a, 0x58, ...digest.subarray(0, 4)];
  return octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':');
}
