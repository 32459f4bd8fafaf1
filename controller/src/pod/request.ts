import { announcement, type Dual, isIp, parseMac, parseRoutes, type Route, request, splitDual } from '@ovenbird/crds';
import { AllocError } from '../alloc/error.ts';
import type { Pod } from '../store/model.ts';
import { bandwidthOf } from './bandwidth.ts';

type Annotations = Readonly<Record<string, string>>;

/** What a pod and its namespace ask for. */
export interface PodRequest {
  /** Name of the Subnet. */
  readonly subnet?: string;
  /** Addresses of which it takes the first that is free. */
  readonly choices?: readonly Dual<string>[];
  /** Names of IPPools, of which it takes the first that has a free address. */
  readonly pools?: readonly string[];
  readonly family?: 'IPv4' | 'IPv6' | 'Dual';
  readonly mac?: string;
  /** Name of the Vip whose address it takes, and with it the Vip's MAC. */
  readonly vip?: string;
  readonly routes: readonly Route[];
}

const families = ['IPv4', 'IPv6', 'Dual'] as const;

/**
 * What the annotations of a pod ask for; those of its namespace stand in for `logical_switch`, `ip_pool`, `ip_family` and
 * `routes` that the pod does not have.
 * @param index position in a list of addresses, for the pods of a StatefulSet; absent = the first free one
 * @throws AllocError `invalid`, with what to write instead.
 */
export function requestOf(
  pod: Pick<Pod, 'annotations' | 'uid'>,
  namespace: Annotations | undefined,
  index?: number,
): PodRequest {
  const own = (key: string): string | undefined => nonEmpty(pod.annotations[key]);
  const either = (key: string): string | undefined => own(key) ?? nonEmpty(namespace?.[key]);
  const [badLimit] = bandwidthOf(pod).problems;
  // A running pod keeps its limits; a new one would have none, to the harm of its neighbours.
  if (badLimit !== undefined && !announced(pod)) throw new AllocError('invalid', badLimit);
  const subnet = either(request.logicalSwitch);
  const family = familyOf(either(request.ipFamily));
  const mac = macOf(own(request.macAddress));
  const routes = routesOf(either(request.routes));
  const address = own(request.ipAddress);
  const pool = either(request.ipPool);
  const vip = own(request.vip);
  // What was announced to this very pod says which of the list it has.
  if (vip !== undefined) {
    const other = [request.ipAddress, request.ipPool, request.macAddress].find((key) => own(key) !== undefined);
    if (other !== undefined && !announced(pod))
      throw new AllocError(
        'invalid',
        `annotations ${request.vip} and ${other} both say which address: remove one of the two`,
      );
    return { routes, vip, ...(subnet === undefined ? {} : { subnet }), ...(family === undefined ? {} : { family }) };
  }
  const listed = pool === undefined || (announced(pod) && address !== undefined) ? undefined : listOf(pool);
  const choices = address === undefined ? choicesOf(listed, index) : [addressOf(address)];
  return {
    routes,
    ...(subnet === undefined ? {} : { subnet }),
    ...(family === undefined ? {} : { family }),
    ...(mac === undefined ? {} : { mac }),
    ...(choices === undefined ? {} : { choices }),
    ...(listed?.pools === undefined ? {} : { pools: listed.pools }),
  };
}

/** Whether this very pod was told what it got. */
const announced = (pod: Pick<Pod, 'annotations' | 'uid'>): boolean =>
  pod.annotations[announcement.announcedUid] === pod.uid && pod.uid !== '';

const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
const quoted = (text: string): string => `"${text.slice(0, 100)}"`;

interface Listed {
  readonly addresses?: readonly Dual<string>[];
  readonly pools?: readonly string[];
}

/**
 * Reads `ip_pool`: addresses joined by commas, pairs `v4,v6` joined by semicolons, or names of IPPools joined by commas.
 * One IPv4 and one IPv6 address are a pair.
 */
function listOf(text: string): Listed {
  const bad = (): AllocError =>
    new AllocError(
      'invalid',
      `annotation ${request.ipPool}: ${quoted(text)} is not a list; write addresses joined by commas, pairs "v4,v6" joined by semicolons, or names of IPPools joined by commas`,
    );
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const pairs = text.includes(';') || (parts.length === 2 && parts.every(isIp) && isPair(parts));
  if (!pairs && parts.length > 0 && !parts.some((part) => isIp(part) || /[:;/ ]|\.\./.test(part)))
    return { pools: parts };
  const entries = pairs ? text.split(';').filter((entry) => entry.trim() !== '') : parts;
  try {
    const addresses = entries.map((entry) => splitDual(entry.replaceAll(' ', '')));
    if (addresses.length === 0) throw bad();
    return { addresses };
  } catch {
    throw bad();
  }
}

const isPair = ([one = '', two = '']: readonly string[]): boolean => one.includes(':') !== two.includes(':');

function choicesOf(listed: Listed | undefined, index: number | undefined): readonly Dual<string>[] | undefined {
  const addresses = listed?.addresses;
  if (addresses === undefined || index === undefined) return addresses;
  const mine = addresses[index];
  if (mine !== undefined) return [mine];
  throw new AllocError(
    'invalid',
    `annotation ${request.ipPool} lists ${addresses.length} addresses, and this pod of the StatefulSet needs number ${index + 1}; add addresses, or have fewer replicas`,
  );
}

function addressOf(text: string): Dual<string> {
  try {
    return splitDual(text);
  } catch {
    throw new AllocError(
      'invalid',
      `annotation ${request.ipAddress}: ${quoted(text)} is not an address; write an IPv4 address, an IPv6 address, or both as "v4,v6"`,
    );
  }
}

function macOf(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : parseMac(text);
  } catch {
    throw new AllocError(
      'invalid',
      `annotation ${request.macAddress}: ${quoted(text ?? '')} is not a unicast MAC; write six octets like 0a:58:0a:10:00:05`,
    );
  }
}

function familyOf(text: string | undefined): PodRequest['family'] {
  if (text === undefined) return undefined;
  const found = families.find((family) => family.toLowerCase() === text.toLowerCase());
  if (found !== undefined) return found;
  throw new AllocError('invalid', `annotation ${request.ipFamily}: ${quoted(text)} is none; write IPv4, IPv6 or Dual`);
}

function routesOf(text: string | undefined): readonly Route[] {
  try {
    return text === undefined ? [] : parseRoutes(text);
  } catch (error) {
    throw new AllocError(
      'invalid',
      `annotation ${request.routes}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
