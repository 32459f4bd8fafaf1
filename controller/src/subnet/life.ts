import type { Allocator } from '../alloc/allocator.ts';
import type { SubnetRules } from '../alloc/choose-subnet.ts';
import { ownerOf } from '../compile/names.ts';
import { familiesOf } from '../store/families.ts';
import type { UsableSubnet } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { judgeSubnets, type LiveSubnet, type SubnetVerdict } from './verdict.ts';

export interface SubnetEffects {
  committed(unit: string, then: () => void): void;
  /** The subnet changed in a way that waiting pods care about. */
  changed(subnet: string): void;
  /** Nothing of a deleted Subnet or Vpc is left: its finalizer may go. */
  finished(kind: 'Subnet' | 'Vpc', name: string): void;
  statusChanged(kind: 'Subnet' | 'Vpc', name: string): void;
}

const liveOf = (subnet: UsableSubnet): LiveSubnet => {
  const nets = familiesOf(subnet).map(([, net]) => net);
  return {
    vpc: subnet.vpc,
    cidr: nets.map((net) => net.cidr).join(','),
    gateway: nets.map((net) => net.gateway).join(','),
  };
};

/** Which Subnets are in force, from creation to the moment the last address is back. */
export class SubnetLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #rules: SubnetRules;
  readonly #serviceCidrs: readonly string[];
  readonly #effects: SubnetEffects;
  readonly #live: Map<string, LiveSubnet>;
  #verdicts: ReadonlyMap<string, SubnetVerdict> = new Map();
  /** While alloc is being rebuilt: who holds what by durable records, so that a deleted subnet in use is not dropped. */
  #expected: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map();

  /** @param live what the northbound database holds at start, by subnet name. */
  constructor(
    state: State,
    allocator: Allocator,
    rules: SubnetRules,
    serviceCidrs: readonly string[],
    live: ReadonlyMap<string, LiveSubnet>,
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
      vpcs: new Map(this.#state.list('Vpc').map(({ name, created }) => [name, created])),
      defaultVpc: this.#rules.defaultVpc,
      serviceCidrs: this.#serviceCidrs,
      nodeAddresses: this.#state
        .list('Node')
        .flatMap((node) => node.addresses.map((address) => [node.name, address] as const)),
      live: this.#live,
      inUse: (name) => this.#inUse(name),
      holder: (name, address) => this.#allocator.holder(name, address) ?? this.#expected.get(name)?.get(address),
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

  /**
   * Judges before alloc is loaded. Call `judge` when it is.
   * @param expected who holds which address of which subnet, by durable records.
   */
  judgeBeforeLoad(expected: ReadonlyMap<string, ReadonlyMap<string, string>>): void {
    this.#expected = expected;
    this.judge();
    this.#expected = new Map();
  }

  /** An address of the subnet was freed: it may have been the last one of a deleted subnet. */
  freed(name: string): void {
    const subnet = this.#state.get('Subnet', name);
    const reason = this.#verdicts.get(name)?.reason;
    // What was freed may be the gateway that this subnet wants, or the last address of its predecessor.
    if (reason === 'GatewayTaken' || (reason === 'InUse' && !this.#inUse(name))) this.judge();
    if (subnet === undefined || subnet.deleting) {
      this.#settle(name);
      const vpc = subnet?.vpc ?? this.#state.get('UsableSubnet', name)?.vpc;
      if (vpc !== undefined) this.#settleVpc(vpc);
    }
  }

  #settle(name: string): void {
    const wanted = this.#wanted(name);
    if (wanted !== undefined) {
      this.#live.set(name, liveOf(wanted));
      this.#allocator.setSubnet(wanted, this.#state.index('UsablePool', 'subnet', name));
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
    if (usable !== undefined && !usable.deleting) return usable;
    if (!this.#inUse(name)) return undefined;
    const current = usable ?? this.#state.get('UsableSubnet', name);
    return current === undefined ? undefined : { ...current, deleting: true };
  }

  #inUse(name: string): boolean {
    return this.#allocator.usersOf(name) > 0 || this.#expected.has(name);
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
