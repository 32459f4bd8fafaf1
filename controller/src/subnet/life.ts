import type { Allocator } from '../alloc/allocator.ts';
import type { SubnetRules } from '../alloc/choose-subnet.ts';
import { ownerOf } from '../compile/names.ts';
import type { UsableSubnet } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { judgeSubnets, type SubnetVerdict } from './verdict.ts';

export interface SubnetEffects {
  committed(unit: string, then: () => void): void;
  /** The subnet changed in a way that waiting pods care about. */
  changed(subnet: string): void;
  /** Nothing of a deleted Subnet or Vpc is left: its finalizer may go. */
  finished(kind: 'Subnet' | 'Vpc', name: string): void;
  statusChanged(kind: 'Subnet' | 'Vpc', name: string): void;
}

const cidrOf = (subnet: UsableSubnet): string =>
  [subnet.v4?.cidr, subnet.v6?.cidr].filter((cidr) => cidr !== undefined).join(',');

/** Which Subnets are in force, from creation to the moment the last address is back. */
export class SubnetLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #rules: SubnetRules;
  readonly #serviceCidrs: readonly string[];
  readonly #effects: SubnetEffects;
  readonly #live: Map<string, string>;
  #verdicts: ReadonlyMap<string, SubnetVerdict> = new Map();
  /** While alloc is being rebuilt: subnets that durable records name, so that a deleted one in use is not dropped. */
  #expected: ReadonlySet<string> = new Set();

  /** @param live cidrBlock by subnet name that the northbound database holds at start. */
  constructor(
    state: State,
    allocator: Allocator,
    rules: SubnetRules,
    serviceCidrs: readonly string[],
    live: ReadonlyMap<string, string>,
    effects: SubnetEffects,
  ) {
    this.#state = state;
    this.#allocator = allocator;
    this.#rules = rules;
    this.#serviceCidrs = serviceCidrs;
    this.#live = new Map(live);
    this.#effects = effects;
  }

  verdict(name: string): SubnetVerdict | undefined {
    return this.#verdicts.get(name);
  }

  /** Judges all Subnets anew after a Subnet, Vpc or Node changed, and puts the result into the state and into alloc. */
  judge(): void {
    const before = this.#verdicts;
    this.#verdicts = judgeSubnets({
      subnets: this.#state.list('Subnet'),
      vpcs: new Set(this.#state.keys('Vpc')),
      defaultVpc: this.#rules.defaultVpc,
      serviceCidrs: this.#serviceCidrs,
      nodeAddresses: this.#state
        .list('Node')
        .flatMap((node) => node.addresses.map((address) => [node.name, address] as const)),
      live: this.#live,
    });
    for (const [name, verdict] of this.#verdicts) {
      const old = before.get(name);
      if (old?.reason !== verdict.reason || old.message !== verdict.message)
        this.#effects.statusChanged('Subnet', name);
    }
    const names = new Set([...this.#verdicts.keys(), ...this.#state.keys('UsableSubnet')]);
    for (const name of names) this.#settle(name);
    for (const vpc of this.#state.list('Vpc')) this.#settleVpc(vpc.name);
  }

  /** Judges before alloc is loaded: `expected` subnets count as in use. Call `judge` when it is loaded. */
  judgeBeforeLoad(expected: ReadonlySet<string>): void {
    this.#expected = expected;
    this.judge();
    this.#expected = new Set();
  }

  /** An address of the subnet was freed: it may have been the last one of a deleted subnet. */
  freed(name: string): void {
    const subnet = this.#state.get('Subnet', name);
    if (subnet === undefined || subnet.deleting) {
      this.#settle(name);
      const vpc = subnet?.vpc ?? this.#state.get('UsableSubnet', name)?.vpc;
      if (vpc !== undefined) this.#settleVpc(vpc);
    }
  }

  #settle(name: string): void {
    const wanted = this.#wanted(name);
    if (wanted !== undefined) {
      this.#live.set(name, cidrOf(wanted));
      this.#allocator.setSubnet(wanted);
      if (this.#state.set('UsableSubnet', name, wanted)) this.#effects.changed(name);
      return;
    }
    const subnet = this.#state.get('Subnet', name);
    if (this.#state.delete('UsableSubnet', name)) {
      this.#live.delete(name);
      this.#effects.changed(name);
    }
    this.#allocator.removeSubnet(name);
    if (subnet?.deleting !== true) return;
    this.#effects.committed(ownerOf('Subnet', name), () => {
      if (this.#state.get('UsableSubnet', name) === undefined) this.#effects.finished('Subnet', name);
    });
  }

  /** A subnet in use stays, whatever happens to its object; a deleted one goes with its last address. */
  #wanted(name: string): UsableSubnet | undefined {
    const usable = this.#verdicts.get(name)?.usable;
    const inUse = this.#allocator.usersOf(name) > 0 || this.#expected.has(name);
    if (usable !== undefined && !usable.deleting) return usable;
    if (!inUse) return undefined;
    const current = usable ?? this.#state.get('UsableSubnet', name);
    return current === undefined ? undefined : { ...current, deleting: true };
  }

  #settleVpc(name: string): void {
    const vpc = this.#state.get('Vpc', name);
    if (vpc?.deleting !== true) return;
    const left =
      this.#state.index('Subnet', 'vpc', name).length + this.#state.index('UsableSubnet', 'vpc', name).length;
    this.#effects.statusChanged('Vpc', name);
    if (left > 0) return;
    this.#effects.committed(ownerOf('Vpc', name), () => {
      if (this.#state.get('Vpc', name)?.deleting === true) this.#effects.finished('Vpc', name);
    });
  }
}
