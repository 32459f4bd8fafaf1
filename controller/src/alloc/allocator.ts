import { bigintToIp, ipFamily, ipToBigint } from '@ovenbird/crds';
import { macFromName } from '../compile/mac.ts';
import type { Address, Key, UsableSubnet } from '../store/model.ts';
import { AllocError } from './error.ts';
import { FamilyPool } from './family-pool.ts';
import { lastUsable, poolConfig } from './net.ts';

/** What a pod asks for; absent = any. */
export interface Wanted {
  readonly v4?: string;
  readonly v6?: string;
  readonly mac?: string;
}

interface Pools {
  readonly subnet: UsableSubnet;
  readonly v4?: FamilyPool;
  readonly v6?: FamilyPool;
  /** MAC → owner; a MAC has to be unique in its layer-2 domain only. */
  readonly macs: Map<string, string>;
  readonly owners: Set<string>;
}

type Family = 'v4' | 'v6';
const families = ['v4', 'v6'] as const;

/**
 * Decides addresses and MACs, in memory (design §3.2). An owner (`Pod/ns/name`, `Node/name`, `IP/name`) holds at most one
 * address per family. What is decided here becomes durable with the northbound row, and is released only after that row
 * is gone.
 */
export class Allocator {
  readonly #pools = new Map<string, Pools>();
  readonly #held = new Map<string, Address>();
  readonly #joinSubnet: string;

  constructor(options: { joinSubnet: string }) {
    this.#joinSubnet = options.joinSubnet;
  }

  /** Adds a subnet, or takes over its changes. Addresses in use stay in use even when they are now excluded. */
  setSubnet(subnet: UsableSubnet): void {
    const old = this.#pools.get(subnet.name);
    const pool = (family: Family): FamilyPool | undefined => {
      const net = subnet[family];
      if (net === undefined) return old?.[family];
      const config = poolConfig(subnet, net, subnet.name === this.#joinSubnet ? [lastUsable(net.cidr)] : []);
      const existing = old?.[family];
      if (existing === undefined) return new FamilyPool(config);
      existing.configure(config);
      return existing;
    };
    const v4 = pool('v4');
    const v6 = pool('v6');
    this.#pools.set(subnet.name, {
      subnet,
      macs: old?.macs ?? new Map<string, string>(),
      owners: old?.owners ?? new Set<string>(),
      ...(v4 === undefined ? {} : { v4 }),
      ...(v6 === undefined ? {} : { v6 }),
    });
  }

  /** Forgets a subnet that nobody holds an address of any more. */
  removeSubnet(name: string): void {
    if (this.usersOf(name) === 0) this.#pools.delete(name);
  }

  usersOf(subnet: string): number {
    return this.#pools.get(subnet)?.owners.size ?? 0;
  }

  held(owner: string): Address | undefined {
    return this.#held.get(owner);
  }

  owners(): IterableIterator<[string, Address]> {
    return this.#held.entries();
  }

  /** Who holds this address of the subnet. */
  holder(subnet: string, address: string): string | undefined {
    const pools = this.#pools.get(subnet);
    return (ipFamily(address) === 4 ? pools?.v4 : pools?.v6)?.holder(ipToBigint(address));
  }

  /** Whether every address is a host address of the subnet and not its gateway; `excludeIps` are there to be reserved. */
  isReservable(subnet: string, addresses: readonly string[]): boolean {
    const pools = this.#pools.get(subnet);
    return addresses.every((address) => {
      const family = ipFamily(address) === 4 ? 'v4' : 'v6';
      const net = pools?.subnet[family];
      if (net === undefined || net.gateway === address) return false;
      return pools?.[family]?.refusal(ipToBigint(address)) !== 'outside';
    });
  }

  /** Numbers for the Subnet's status; undefined when the family is absent. */
  usage(subnet: string, family: Family): { using: number; available: bigint } | undefined {
    const pool = this.#pools.get(subnet)?.[family];
    return pool === undefined ? undefined : { using: pool.using, available: pool.available };
  }

  /**
   * Gives `owner` an address of `subnet`, or returns what it already holds there when that satisfies the wish.
   * @param statefulSet keep the address for this StatefulSet's pod when the pod is gone.
   * @throws AllocError `no-subnet`, `outside`, `excluded`, `taken`, `exhausted`; nothing has changed then.
   */
  allocate(owner: string, uid: string, subnetName: string, wanted: Wanted, statefulSet?: Key): Address {
    const pools = this.#pools.get(subnetName);
    if (pools === undefined || pools.subnet.deleting) {
      throw new AllocError('no-subnet', `subnet "${subnetName}" does not exist, is not usable or is being deleted`, [
        subnetName,
      ]);
    }
    const mine = this.#held.get(owner);
    const keep = mine?.subnet === subnetName ? mine : undefined;
    const chosen: { v4?: string; v6?: string } = {};
    for (const family of families) {
      const address = this.#choose(pools, family, owner, wanted[family], keep?.[family]);
      if (address !== undefined) chosen[family] = address;
    }
    const mac = this.#chooseMac(pools, owner, wanted.mac, keep?.mac, chosen.v4 ?? chosen.v6 ?? owner);
    if (mine !== undefined) this.release(owner);
    const keepFor = statefulSet === undefined ? {} : { statefulSet };
    const result: Address = { owner, uid, subnet: subnetName, mac, ...chosen, ...keepFor };
    this.#take(pools, result);
    return result;
  }

  /**
   * Takes over a decision that is already durable (a northbound port, an IP object).
   * @returns the holder that stands in the way, or undefined when it worked.
   */
  adopt(address: Address): string | undefined {
    const pools = this.#pools.get(address.subnet);
    if (pools === undefined) return `no subnet ${address.subnet}`;
    for (const family of families) {
      const text = address[family];
      const holder = text === undefined ? undefined : pools[family]?.holder(ipToBigint(text));
      if (holder !== undefined && holder !== address.owner) return holder;
    }
    const macHolder = pools.macs.get(address.mac);
    if (macHolder !== undefined && macHolder !== address.owner) return macHolder;
    this.release(address.owner);
    this.#take(pools, address);
    return undefined;
  }

  /** Frees what `owner` holds. Returns it, or undefined when it held nothing. */
  release(owner: string): Address | undefined {
    const address = this.#held.get(owner);
    if (address === undefined) return undefined;
    this.#held.delete(owner);
    const pools = this.#pools.get(address.subnet);
    for (const family of families) {
      const text = address[family];
      if (text !== undefined) pools?.[family]?.free(ipToBigint(text), owner);
    }
    if (pools?.macs.get(address.mac) === owner) pools.macs.delete(address.mac);
    pools?.owners.delete(owner);
    return address;
  }

  #take(pools: Pools, address: Address): void {
    for (const family of families) {
      const text = address[family];
      if (text !== undefined) pools[family]?.take(ipToBigint(text), address.owner);
    }
    // A reservation made by hand may leave the MAC open.
    if (address.mac !== '') pools.macs.set(address.mac, address.owner);
    pools.owners.add(address.owner);
    this.#held.set(address.owner, address);
  }

  #choose(
    pools: Pools,
    family: Family,
    owner: string,
    wanted: string | undefined,
    kept: string | undefined,
  ): string | undefined {
    const { subnet } = pools;
    const pool = subnet[family] === undefined ? undefined : pools[family];
    if (wanted !== undefined) {
      const cidr = [subnet.v4?.cidr, subnet.v6?.cidr].filter((text) => text !== undefined).join(',');
      const refusal = pool === undefined ? 'outside' : pool.refusal(ipToBigint(wanted));
      if (refusal === 'outside') {
        throw new AllocError(
          'outside',
          `address ${wanted} is not a host address of subnet "${subnet.name}" (${cidr}); ask for one inside it, or name another subnet in ovn.kubernetes.io/logical_switch`,
          [subnet.name],
        );
      }
      if (refusal === 'excluded') {
        throw new AllocError(
          'excluded',
          `address ${wanted} is the gateway of subnet "${subnet.name}" or in its excludeIps; ask for another one`,
          [subnet.name],
        );
      }
      const holder = pool?.holder(ipToBigint(wanted));
      if (holder !== undefined && holder !== owner) {
        throw new AllocError(
          'taken',
          `address ${wanted} of subnet "${subnet.name}" is held by ${holder}; the pod starts when it is freed`,
          [subnet.name],
        );
      }
      return wanted;
    }
    if (pool === undefined) return undefined;
    if (kept !== undefined) return kept;
    const next = pool.next();
    if (next === undefined) {
      throw new AllocError(
        'exhausted',
        `subnet "${subnet.name}" has no free ${family === 'v4' ? 'IPv4' : 'IPv6'} address left; delete pods, or let its cidrBlock grow`,
        [subnet.name],
      );
    }
    return bigintToIp(next, family === 'v4' ? 4 : 6);
  }

  #chooseMac(pools: Pools, owner: string, wanted: string | undefined, kept: string | undefined, seed: string): string {
    if (wanted !== undefined) {
      const holder = pools.macs.get(wanted);
      if (holder !== undefined && holder !== owner) {
        throw new AllocError(
          'taken',
          `MAC ${wanted} is held by ${holder} in subnet "${pools.subnet.name}"; ask for another one`,
          [pools.subnet.name],
        );
      }
      return wanted;
    }
    if (kept !== undefined && kept !== '') return kept;
    // From the address, so that neighbours' caches stay right when an address comes back.
    for (let salt = 0; ; salt += 1) {
      const mac = macFromName(`${pools.subnet.name}/${seed}/${salt}`);
      const holder = pools.macs.get(mac);
      if (holder === undefined || holder === owner) return mac;
    }
  }
}
