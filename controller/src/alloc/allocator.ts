import { isDeepStrictEqual } from 'node:util';
import { macFromName } from '../compile/mac.ts';
import { routerPortName } from '../compile/names.ts';
import type { Address, Key, UsablePool, UsableSubnet } from '../store/model.ts';
import { AllocError } from './error.ts';
import { FamilyPool } from './family-pool.ts';
import { bitsOfMac, chooseMac, MacTable, macOfBits } from './mac-table.ts';
import { lastUsable, poolConfig } from './net.ts';
import { familyKey, type Slot, type SlotRange } from './slot.ts';

/** What a pod asks for; absent = any. */
export interface Wanted {
  readonly v4?: string;
  readonly v6?: string;
  readonly mac?: string;
  /** Families to take; absent = all that the subnet has. */
  readonly family?: 'IPv4' | 'IPv6' | 'Dual';
  /** Name of the IPPool to take addresses from; absent = what no pool has set apart. */
  readonly pool?: string;
  /** Whether a static or kept address may be one of this IPPool, which was not named; absent = of any. */
  readonly mayUse?: (pool: string) => boolean;
}

interface Pools {
  readonly subnet: UsableSubnet;
  readonly apart: readonly UsablePool[];
  readonly v4?: FamilyPool;
  readonly v6?: FamilyPool;
  /** A MAC has to be unique in its layer-2 domain only. */
  readonly macs: MacTable;
  /** How many owners hold an address here. */
  users: number;
}

type Family = 'v4' | 'v6';
const families = ['v4', 'v6'] as const;

/** What an owner holds, with the slots of its addresses, so that giving them back parses no text. */
interface Holding {
  readonly address: Address;
  readonly v4: Slot | undefined;
  readonly v6: Slot | undefined;
  /** Whether its MAC is the one that is made from its address: then it is in no table. */
  readonly hasMadeMac: boolean;
}

/** How much of a subnet or IPPool is in use. */
export interface Usage {
  readonly using: number;
  readonly available: bigint;
}

/** Holder of the MAC of the router's port in every subnet. */
const router = 'the router';

/**
 * Decides addresses and MACs, in memory (design §3.2). An owner (`Pod/ns/name`, `Node/name`, `IP/name`) holds at most one
 * address per family. What is decided here becomes durable with the northbound row, and is released only after that row
 * is gone.
 */
export class Allocator {
  readonly #pools = new Map<string, Pools>();
  readonly #held = new Map<string, Holding>();
  /** Owners whose address is kept for a StatefulSet or virtual machine, by its key. */
  readonly #keptFor = new Map<Key, Set<string>>();
  /** Name of the subnet that connects the nodes. */
  readonly joinSubnet: string;

  constructor(options: { joinSubnet: string }) {
    this.joinSubnet = options.joinSubnet;
  }

  /**
   * Adds a subnet, or takes over its changes. Addresses in use stay in use even when they are now excluded.
   * @param apart its IPPools, which do not overlap
   */
  setSubnet(subnet: UsableSubnet, apart: readonly UsablePool[] = []): void {
    const old = this.#pools.get(subnet.name);
    if (old !== undefined && isDeepStrictEqual(old.subnet, subnet) && isDeepStrictEqual(old.apart, apart)) return;
    const pool = (family: Family): FamilyPool | undefined => {
      const net = subnet[family];
      if (net === undefined) return old?.[family];
      const config = poolConfig(subnet, net, apart, subnet.name === this.joinSubnet ? [lastUsable(net.cidr)] : []);
      const existing = old?.[family];
      if (existing === undefined) return new FamilyPool(config);
      existing.configure(config);
      return existing;
    };
    const v4 = pool('v4');
    const v6 = pool('v6');
    const macs = old?.macs ?? new MacTable();
    const gatewayMac = macFromName(routerPortName(subnet.vpc, subnet.name));
    if (macs.holder(gatewayMac) === undefined) macs.set(gatewayMac, router);
    this.#pools.set(subnet.name, {
      subnet,
      apart,
      macs,
      users: old?.users ?? 0,
      ...(v4 === undefined ? {} : { v4 }),
      ...(v6 === undefined ? {} : { v6 }),
    });
  }

  /** Forgets a subnet that nobody holds an address of any more. */
  removeSubnet(name: string): void {
    if (this.usersOf(name) === 0) this.#pools.delete(name);
  }

  usersOf(subnet: string): number {
    return this.#pools.get(subnet)?.users ?? 0;
  }

  /** Some of those who hold an address of the subnet, pods first. Looks at everybody: for a subnet that is to go. */
  ownersIn(subnet: string, most: number): readonly string[] {
    const owners: string[] = [];
    for (const [owner, { address }] of this.#held) if (address.subnet === subnet) owners.push(owner);
    return owners
      .toSorted((a, b) => Number(b.startsWith('Pod/')) - Number(a.startsWith('Pod/')) || (a < b ? -1 : 1))
      .slice(0, most);
  }

  held(owner: string): Address | undefined {
    return this.#held.get(owner)?.address;
  }

  /** Owners of addresses that are kept for this StatefulSet or virtual machine, whether in use now or not. */
  keptFor(key: Key): readonly string[] {
    return [...(this.#keptFor.get(key) ?? [])];
  }

  /** Who holds this address of the subnet. */
  holder(subnet: string, address: string): string | undefined {
    const pool = this.#pools.get(subnet)?.[familyKey(address)];
    return pool?.holder(pool.slots.fromText(address));
  }

  /** Name of the IPPool that an address of the subnet is in, if it is in one. */
  poolOf(subnet: string, address: string): string | undefined {
    const pool = this.#pools.get(subnet)?.[familyKey(address)];
    const name = pool?.poolOf(pool.slots.fromText(address));
    return name === '' ? undefined : name;
  }

  /** Whether every address is a host address of the subnet and not its gateway; `excludeIps` are there to be reserved. */
  isReservable(subnet: string, addresses: readonly string[]): boolean {
    const pools = this.#pools.get(subnet);
    return addresses.every((address) => {
      const family = familyKey(address);
      const net = pools?.subnet[family];
      const pool = pools?.[family];
      if (net === undefined || pool === undefined || net.gateway === address) return false;
      return pool.refusal(pool.slots.fromText(address)) !== 'outside';
    });
  }

  /** Numbers for a status; undefined when the family is absent. Without a pool: of the whole subnet. */
  usage(subnet: string, family: Family, pool?: string): Usage | undefined {
    const found = this.#pools.get(subnet)?.[family];
    if (found === undefined) return undefined;
    if (pool !== undefined) return { using: found.using(pool), available: found.available(pool) };
    const apart = this.#pools.get(subnet)?.apart ?? [];
    const available = apart.reduce((sum, { name }) => sum + found.available(name), found.available());
    return { using: found.using(), available };
  }

  /**
   * Which addresses are in use and which are free, as `a-b` joined by commas. Sorts what is in use.
   * @param most ranges that are written out; more end in `...`
   */
  ranges(
    subnet: string,
    family: Family,
    most: number,
    pool?: string,
  ): { using: string; available: string } | undefined {
    const found = this.#pools.get(subnet)?.[family];
    if (found === undefined) return undefined;
    const apart = pool === undefined ? (this.#pools.get(subnet)?.apart ?? []).map(({ name }) => name) : [];
    const used = found.usedRanges(pool);
    const free = [pool ?? '', ...apart].flatMap((name) => [...found.availableRanges(name)]);
    const text = (ranges: readonly SlotRange[]): string => {
      const shown = ranges.slice(0, most).map(({ first, last }) => {
        const from = found.slots.toText(first);
        return first === last ? from : `${from}-${found.slots.toText(last)}`;
      });
      return [...shown, ...(ranges.length > most ? ['...'] : [])].join(',');
    };
    return { using: text(used), available: text(free.sort((a, b) => (a.first < b.first ? -1 : 1))) };
  }

  /**
   * Gives `owner` an address of `subnet`, or returns what it already holds there when that satisfies the wish.
   * @param keepFor key of the StatefulSet or virtual machine whose pod this is: keep the address when the pod is gone.
   * @throws AllocError `no-subnet`, `outside`, `excluded`, `taken`, `exhausted`, `family`, `forbidden`; nothing has changed
   * then.
   */
  allocate(owner: string, uid: string, subnetName: string, wanted: Wanted, keepFor?: Key): Address {
    const pools = this.#pools.get(subnetName);
    if (pools === undefined || pools.subnet.deleting) {
      throw new AllocError('no-subnet', `subnet "${subnetName}" does not exist, is not usable or is being deleted`, [
        subnetName,
      ]);
    }
    const mine = this.#held.get(owner);
    const keep = mine?.address.subnet === subnetName ? mine : undefined;
    const v4 = this.#choose(pools, 'v4', owner, wanted, keep?.v4);
    const v6 = this.#choose(pools, 'v6', owner, wanted, keep?.v6);
    const v4Text = v4 === undefined ? undefined : pools.v4?.slots.toText(v4);
    const v6Text = v6 === undefined ? undefined : pools.v6?.slots.toText(v6);
    const known = this.#wantedMac(pools, owner, wanted.mac) ?? keep?.address.mac ?? '';
    const bits = madeFrom(pools, v4, v6);
    const isMade = known === '' && bits !== undefined && this.#isMacFree(pools, '', bits, owner);
    const mac = isMade
      ? macOfBits(bits)
      : known === ''
        ? this.#otherMac(pools, v4Text ?? v6Text ?? owner, owner)
        : known;
    const hasMadeMac = isMade || (bits !== undefined && bitsOfMac(mac) === bits);
    if (mine !== undefined) this.release(owner);
    const plain = addressOf(owner, uid, subnetName, mac, v4Text, v6Text);
    const address = keepFor === undefined ? plain : { ...plain, keepFor };
    this.#take(pools, { address, v4, v6, hasMadeMac });
    return address;
  }

  /**
   * Takes over a decision that is already durable (a northbound port, an IP object).
   * @returns the holder that stands in the way, or undefined when it worked.
   */
  adopt(address: Address): string | undefined {
    const pools = this.#pools.get(address.subnet);
    if (pools === undefined) return `no subnet ${address.subnet}`;
    const slots: { v4: Slot | undefined; v6: Slot | undefined } = { v4: undefined, v6: undefined };
    for (const family of families) {
      const text = address[family];
      const pool = pools[family];
      if (text === undefined || pool === undefined) continue;
      const slot = pool.slots.fromText(text);
      const holder = pool.holder(slot);
      if (holder !== undefined && holder !== address.owner) return holder;
      slots[family] = slot;
    }
    const bits = bitsOfMac(address.mac);
    const macHolder = this.#macHolder(pools, address.mac, bits);
    if (macHolder !== undefined && macHolder !== address.owner) return macHolder;
    this.release(address.owner);
    const hasMadeMac = bits !== undefined && bits === madeFrom(pools, slots.v4, slots.v6);
    this.#take(pools, { address, ...slots, hasMadeMac });
    return undefined;
  }

  /** Frees what `owner` holds. Returns it, or undefined when it held nothing. */
  release(owner: string): Address | undefined {
    const holding = this.#held.get(owner);
    if (holding === undefined) return undefined;
    const { address } = holding;
    this.#held.delete(owner);
    const pools = this.#pools.get(address.subnet);
    if (pools !== undefined) {
      if (holding.v4 !== undefined) pools.v4?.free(holding.v4);
      if (holding.v6 !== undefined) pools.v6?.free(holding.v6);
      if (!holding.hasMadeMac) pools.macs.delete(address.mac, owner);
      pools.users -= 1;
    }
    if (address.keepFor !== undefined) {
      const kept = this.#keptFor.get(address.keepFor);
      kept?.delete(owner);
      if (kept?.size === 0) this.#keptFor.delete(address.keepFor);
    }
    return address;
  }

  #take(pools: Pools, holding: Holding): void {
    const { address } = holding;
    const { owner } = address;
    if (holding.v4 !== undefined) pools.v4?.take(holding.v4, owner);
    if (holding.v6 !== undefined) pools.v6?.take(holding.v6, owner);
    // A reservation made by hand may leave the MAC open.
    if (!holding.hasMadeMac && address.mac !== '') pools.macs.set(address.mac, owner);
    pools.users += 1;
    this.#held.set(owner, holding);
    if (address.keepFor === undefined) return;
    const kept = this.#keptFor.get(address.keepFor);
    if (kept === undefined) this.#keptFor.set(address.keepFor, new Set([owner]));
    else kept.add(owner);
  }

  #choose(pools: Pools, family: Family, owner: string, wanted: Wanted, kept: Slot | undefined): Slot | undefined {
    const { subnet } = pools;
    const pool = subnet[family] === undefined ? undefined : pools[family];
    const name = family === 'v4' ? 'IPv4' : 'IPv6';
    const text = wanted[family];
    if (wanted.family !== undefined && wanted.family !== 'Dual' && wanted.family !== name) {
      if (text === undefined) return undefined;
      throw new AllocError(
        'family',
        `address ${text} is asked for, but ovn.kubernetes.io/ip_family is ${wanted.family}; remove one of the two`,
      );
    }
    if (pool === undefined) {
      if (text !== undefined) throw outside(subnet, text);
      if (wanted.family === undefined) return undefined;
      throw new AllocError(
        'family',
        `subnet "${subnet.name}" has no ${name} addresses, which ovn.kubernetes.io/ip_family ${wanted.family} asks for; name another subnet, or remove the annotation`,
        [subnet.name],
      );
    }
    if (text !== undefined) return this.#static(pools, pool, owner, text, wanted);
    if (kept !== undefined && this.#mayKeep(pool, kept, wanted)) return kept;
    const next = pool.next(wanted.pool);
    if (next !== undefined) return next;
    const where = wanted.pool === undefined ? `subnet "${subnet.name}"` : `IPPool "${wanted.pool}"`;
    const grow = wanted.pool === undefined ? 'let its cidrBlock grow' : 'add addresses to its spec.ips';
    throw new AllocError(
      wanted.pool === undefined ? 'exhausted' : 'pool-exhausted',
      `${where} has no free ${name} address left; delete pods, or ${grow}`,
      [subnet.name],
    );
  }

  /** An address that was asked for by itself. */
  #static(pools: Pools, pool: FamilyPool, owner: string, text: string, wanted: Wanted): Slot {
    const { subnet } = pools;
    const slot = pool.slots.fromText(text);
    const refusal = pool.refusal(slot);
    if (refusal === 'outside') throw outside(subnet, text);
    if (refusal === 'excluded') {
      throw new AllocError(
        'excluded',
        `address ${text} is the gateway of subnet "${subnet.name}" or in its excludeIps; ask for another one`,
        [subnet.name],
      );
    }
    const apart = pool.poolOf(slot) ?? '';
    if (wanted.pool !== undefined && apart !== wanted.pool) {
      throw new AllocError(
        'outside',
        `address ${text} is not in IPPool "${wanted.pool}", from which the pod takes its addresses; ask for one inside it`,
        [subnet.name],
      );
    }
    if (apart !== '' && wanted.mayUse?.(apart) === false) {
      throw new AllocError(
        'pool-forbidden',
        `address ${text} belongs to IPPool "${apart}", which the namespace may not use; ask for another one, or add the namespace to the pool's spec.namespaces`,
        [subnet.name],
      );
    }
    const holder = pool.holder(slot);
    if (holder !== undefined && holder !== owner) {
      throw new AllocError(
        'taken',
        `address ${text} of subnet "${subnet.name}" is held by ${holder}; the pod starts when it is freed`,
        [subnet.name],
      );
    }
    return slot;
  }

  #mayKeep(pool: FamilyPool, kept: Slot, wanted: Wanted): boolean {
    const apart = pool.poolOf(kept) ?? '';
    return wanted.pool === undefined ? apart === '' || wanted.mayUse?.(apart) !== false : apart === wanted.pool;
  }

  /** @param bits of the MAC, undefined for one that is made from no address */
  #macHolder(pools: Pools, mac: string, bits: number | undefined): string | undefined {
    const known = pools.macs.holder(mac, bits);
    if (known !== undefined || bits === undefined) return known;
    for (const family of families) {
      const pool = pools[family];
      const owner = pool?.holder(pool.slots.ofBits(bits));
      const holding = owner === undefined ? undefined : this.#held.get(owner);
      if (holding?.hasMadeMac === true && madeFrom(pools, holding.v4, holding.v6) === bits) return owner;
    }
    return undefined;
  }

  #isMacFree(pools: Pools, mac: string, bits: number | undefined, owner: string): boolean {
    const holder = this.#macHolder(pools, mac, bits);
    return holder === undefined || holder === owner;
  }

  /** A MAC for an address whose own is taken, or that has none. */
  #otherMac(pools: Pools, seed: string, owner: string): string {
    return chooseMac(seed, (mac) => this.#isMacFree(pools, mac, bitsOfMac(mac), owner));
  }

  #wantedMac(pools: Pools, owner: string, wanted: string | undefined): string | undefined {
    const holder = wanted === undefined ? undefined : this.#macHolder(pools, wanted, bitsOfMac(wanted));
    if (holder === undefined || holder === owner) return wanted;
    throw new AllocError(
      'taken',
      `MAC ${wanted} is held by ${holder} in subnet "${pools.subnet.name}"; ask for another one`,
      [pools.subnet.name],
    );
  }
}

/** Each shape written out: properties that are added to an object later cost another allocation. */
function addressOf(owner: string, uid: string, subnet: string, mac: string, v4?: string, v6?: string): Address {
  if (v6 === undefined) return v4 === undefined ? { owner, uid, subnet, mac } : { owner, uid, subnet, mac, v4 };
  return v4 === undefined ? { owner, uid, subnet, mac, v6 } : { owner, uid, subnet, mac, v4, v6 };
}

/** The 32 bits that the MAC for an address is made from. */
function madeFrom(pools: Pools, v4: Slot | undefined, v6: Slot | undefined): number | undefined {
  if (v4 !== undefined) return pools.v4?.slots.bits(v4);
  return v6 === undefined ? undefined : pools.v6?.slots.bits(v6);
}

function outside(subnet: UsableSubnet, address: string): AllocError {
  const cidr = [subnet.v4?.cidr, subnet.v6?.cidr].filter((text) => text !== undefined).join(',');
  return new AllocError(
    'outside',
    `address ${address} is not a host address of subnet "${subnet.name}" (${cidr}); ask for one inside it, or name another subnet in ovn.kubernetes.io/logical_switch`,
    [subnet.name],
  );
}
