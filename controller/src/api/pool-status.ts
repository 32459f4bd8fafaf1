import { type IPPoolStatus, statusCount } from '@ovenbird/crds';
import type { Brain } from '../brain.ts';
import type { IpPool } from '../store/model.ts';
import { type HeldReason, shownRanges, type WantedCondition } from './subnet-status.ts';

/** The status of an IPPool: counts, ranges, and the `Ready` condition. */
export function poolStatus(
  { name, subnet }: IpPool,
  brain: Brain,
  held: HeldReason,
): { fields: object; conditions: readonly WantedCondition[] } {
  const verdict = brain.pools.verdict(name);
  const refused = held(`IPPool/${name}`);
  const inForce = verdict?.usable !== undefined;
  const { allocator } = brain;
  const v4 = inForce ? allocator.usage(subnet, 'v4', name) : undefined;
  const v6 = inForce ? allocator.usage(subnet, 'v6', name) : undefined;
  const v4Ranges = inForce ? allocator.ranges(subnet, 'v4', shownRanges, name) : undefined;
  const v6Ranges = inForce ? allocator.ranges(subnet, 'v6', shownRanges, name) : undefined;
  const fields: IPPoolStatus = {
    v4AvailableIPs: statusCount(v4?.available ?? 0n),
    v4AvailableIPRange: v4Ranges?.available ?? '',
    v4UsingIPs: v4?.using ?? 0,
    v4UsingIPRange: v4Ranges?.using ?? '',
    v6AvailableIPs: statusCount(v6?.available ?? 0n),
    v6AvailableIPRange: v6Ranges?.available ?? '',
    v6UsingIPs: v6?.using ?? 0,
    v6UsingIPRange: v6Ranges?.using ?? '',
  };
  const ready = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (verdict === undefined) return { fields, conditions: [ready('False', 'Pending', 'not looked at yet')] };
  if (!inForce) return { fields, conditions: [ready('False', verdict.reason, verdict.message)] };
  if (refused !== undefined) return { fields, conditions: [ready('False', 'RefusedByOVN', refused)] };
  return { fields, conditions: [ready('True', 'Ready', `in force in subnet "${subnet}"`)] };
}
