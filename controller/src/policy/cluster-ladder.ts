import { adminLadder, type BandLadder, baselineLadder, type LadderStep } from '../compile/bands.ts';
import type { PolicyTier } from './cluster-model.ts';

/** Where rules of cluster policies stand among all ACLs. */
export interface Ladder {
  /** OVN has ACL tiers, and the action `pass`. */
  readonly tiers: boolean;
  /**
   * Whether rules of a tier are written with the action `pass`. Not those of Baseline: its tier is OVN's last, and holds `private`
   * and SecurityGroups behind it, which `pass` would leave out.
   */
  canPass(tier: PolicyTier): boolean;
  /** Priority of an ACL; undefined when there is no place. @param level 0 = the first rules of the policies of a priority */
  priority(tier: PolicyTier, priority: number | undefined, level: number): number | undefined;
  /** In words, what of this tier has a place. */
  whyNot(tier: PolicyTier, priority: number | undefined): string;
}

/** The ladder of the connected OVN. */
export function ladderOf(tiers: boolean): Ladder {
  const stepsOf = (tier: PolicyTier): BandLadder =>
    (tier === 'Admin' ? adminLadder : baselineLadder)[tiers ? 'tiers' : 'bands'];
  const stepOf = (tier: PolicyTier, priority: number | undefined): LadderStep =>
    priority === undefined ? stepsOf(tier).last : stepsOf(tier).step;
  return {
    tiers,
    canPass: (tier) => tiers && tier === 'Admin',
    priority(tier, priority, level) {
      const { highest, levels } = stepOf(tier, priority);
      const { priorities } = stepsOf(tier);
      if (level >= levels || (priority ?? 0) >= priorities) return undefined;
      return highest - (priority ?? 0) * levels - level;
    },
    whyNot(tier, priority) {
      const { priorities } = stepsOf(tier);
      const { levels } = stepOf(tier, priority);
      return (priority ?? 0) >= priorities
        ? `tier ${tier} has room for priorities 0 to ${priorities - 1} here`
        : `the policies of ${priority === undefined ? 'this kind' : `priority ${priority}`} change between actions more often than the ${levels - 1} times that have room here`;
    },
  };
}
