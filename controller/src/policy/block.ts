import { type Family, ipFamily, parseCidr } from '@ovenbird/crds';
import { excludeCidr, mergeCidr } from 'cidr-tools';
import type { BlockPeer } from './model.ts';

/**
 * The addresses of a block as disjoint networks. Written positively, because a match such as `ip4.src != {a, b}` multiplies
 * out to more flows with each exception (ovn-sb(5), expressions).
 * @returns nothing when the exceptions cover the block
 */
export function networksOf(block: BlockPeer): readonly string[] {
  const networks = block.except.length === 0 ? [block.cidr] : excludeCidr([block.cidr], [...block.except]);
  return mergeCidr(networks).map((text) => parseCidr(text));
}

/** Family of a block: its exceptions lie in it, so they have the same. */
export const familyOfBlock = (block: BlockPeer): Family => ipFamily(block.cidr);
