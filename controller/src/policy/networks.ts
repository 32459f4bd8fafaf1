import { ipFamily, parseCidr } from '@ovenbird/crds';
import { excludeCidr, mergeCidr } from 'cidr-tools';

/** Canonical, disjoint CIDRs by family. */
export interface Networks {
  readonly 4: readonly string[];
  readonly 6: readonly string[];
}

export const families = [4, 6] as const;

export const noNetworks: Networks = { 4: [], 6: [] };
export const everywhere: Networks = { 4: ['0.0.0.0/0'], 6: ['::/0'] };

const canonical = (cidrs: readonly string[]): readonly string[] => mergeCidr([...cidrs]).map((text) => parseCidr(text));

/** CIDRs and addresses of both families, merged. */
export function networks(cidrs: readonly string[]): Networks {
  const of = (family: 4 | 6): readonly string[] =>
    canonical(
      cidrs.map((text) => (text.includes('/') ? text : hostCidr(text))).filter((text) => ipFamily(text) === family),
    );
  return { 4: of(4), 6: of(6) };
}

const hostCidr = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

/** What is in `a` and not in `b`. */
export function without(a: Networks, b: Networks): Networks {
  const of = (family: 4 | 6): readonly string[] =>
    a[family].length === 0 || b[family].length === 0
      ? a[family]
      : canonical(excludeCidr([...a[family]], [...b[family]]));
  return { 4: of(4), 6: of(6) };
}

/** What is in both. */
export const common = (a: Networks, b: Networks): Networks => without(a, without(a, b));

export const union = (a: Networks, b: Networks): Networks => networks([...a[4], ...a[6], ...b[4], ...b[6]]);

export const isNowhere = (a: Networks): boolean => a[4].length === 0 && a[6].length === 0;

/** Whether all of `a` is in `b`. */
export const isWithin = (a: Networks, b: Networks): boolean => isNowhere(without(a, b));
