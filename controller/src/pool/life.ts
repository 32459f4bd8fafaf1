import type { Key, UsablePool } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { judgePools, type PoolVerdict } from './verdict.ts';

export interface PoolEffects {
  /** Waiting pods of the subnet may have what they ask for now. */
  changed(subnet: string): void;
  statusChanged(pool: string): void;
}

/** Which IPPools are in force. */
export class PoolLife {
  readonly #state: State;
  readonly #effects: PoolEffects;
  readonly #verdicts = new Map<Key, PoolVerdict>();
  /** Subnet of each pool seen, to know where a deleted one was. */
  readonly #subnets = new Map<Key, string>();

  constructor(state: State, effects: PoolEffects) {
    this.#state = state;
    this.#effects = effects;
  }

  verdict(name: string): PoolVerdict | undefined {
    return this.#verdicts.get(name);
  }

  /** IPPools in force in a subnet, in the order of their names. */
  of(subnet: string): readonly UsablePool[] {
    return this.#state.index('UsablePool', 'subnet', subnet).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Brings the subnet of an IPPool that appeared, changed or went up to date. */
  changed(name: Key): void {
    const pool = this.#state.get('IPPool', name);
    const before = this.#subnets.get(name);
    if (pool === undefined) {
      this.#subnets.delete(name);
      this.#verdicts.delete(name);
    } else this.#subnets.set(name, pool.subnet);
    for (const subnet of new Set([before, pool?.subnet])) if (subnet !== undefined) this.judge(subnet);
    this.#effects.statusChanged(name);
  }

  /** Judges all IPPools anew. */
  judgeAll(): void {
    for (const pool of this.#state.list('IPPool')) this.#subnets.set(pool.name, pool.subnet);
    for (const subnet of new Set(this.#subnets.values())) this.judge(subnet);
  }

  /** Judges the IPPools of a subnet, after one of them or the subnet changed. */
  judge(subnet: string): void {
    const verdicts = judgePools(
      subnet,
      this.#state.get('UsableSubnet', subnet),
      this.#state.index('IPPool', 'subnet', subnet),
    );
    let changed = false;
    for (const { name } of this.#state.index('UsablePool', 'subnet', subnet)) {
      if (verdicts.get(name)?.usable !== undefined) continue;
      changed = this.#state.delete('UsablePool', name) || changed;
      if (!verdicts.has(name)) this.#verdicts.delete(name);
    }
    for (const [name, verdict] of verdicts) {
      if (verdict.usable !== undefined) changed = this.#state.set('UsablePool', name, verdict.usable) || changed;
      const old = this.#verdicts.get(name);
      this.#verdicts.set(name, verdict);
      if (old?.reason !== verdict.reason || old.message !== verdict.message) this.#effects.statusChanged(name);
    }
    if (changed) this.#effects.changed(subnet);
  }
}
