/** The annotation `routes`: more routes in a pod's network namespace. */
import * as z from 'zod';
import { AddressError } from './address-error.ts';
import { type Cidr, type Ip, ipFamily, isCidr, isIp, parseCidr, parseIp, prefixLength } from './ip.ts';

/** A route in a pod. */
export interface Route {
  readonly dst: Cidr;
  /** Next hop on the pod's link; the subnet's gateway when absent. */
  readonly gw?: Ip;
}

const example = '[{"dst": "192.168.101.0/24", "gw": "10.16.0.254"}]';
const schema = z.array(z.strictObject({ dst: z.string().max(64), gw: z.string().max(64).exactOptional() })).max(64);

/**
 * @param text JSON list of `{dst, gw}`: a CIDR and an address of one family; without `gw` the subnet's gateway
 * @throws AddressError `bad-route`, with what to write instead
 */
export function parseRoutes(text: string): readonly Route[] {
  const bad = (what: string): AddressError =>
    new AddressError('bad-route', text, `${what}; write a JSON list such as ${example}`);
  let entries: z.output<typeof schema>;
  try {
    entries = schema.parse(JSON.parse(text));
  } catch {
    throw bad(`"${text.slice(0, 100)}" is not a list of routes`);
  }
  return entries.map(({ dst, gw }) => {
    const cidr = isIp(dst) ? `${dst}/${ipFamily(dst) === 4 ? 32 : 128}` : dst;
    if (!isCidr(cidr)) throw bad(`"${dst}" is not a CIDR`);
    if (prefixLength(cidr) === 0) throw bad(`${dst} is the default route, which leads to the subnet's gateway`);
    if (gw === undefined || gw === '') return { dst: parseCidr(cidr) };
    if (!isIp(gw)) throw bad(`"${gw}" is not an address`);
    if (ipFamily(gw) !== ipFamily(cidr))
      throw bad(`the route to ${cidr} goes through ${gw}, which is of the other family`);
    return { dst: parseCidr(cidr), gw: parseIp(gw) };
  });
}
