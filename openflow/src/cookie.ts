/** Cookies with a layout: who wrote a flow, in which round, for which object. */
import { OpenFlowError } from './error.ts';

/** A cookie in parts: round (16 bits), category (8), 8 bits of zeros, object (32). */
export interface Cookie {
  /** Grows by one (and wraps) with every start of the writer: tells its flows from those it left behind. 0 to 65,535. */
  readonly round: number;
  /** The part of the program that owns the flow. 1 to 255: 0 is what everybody's flows without a cookie have. */
  readonly category: number;
  /** What the flow is for, in the owner's own numbering. 0 to 2^32-1. */
  readonly object: number;
}

const ROUND_SHIFT = 48n;
const CATEGORY_SHIFT = 40n;
const RESERVED: bigint = 0xffn << 32n;
const CATEGORY: bigint = 0xffn << CATEGORY_SHIFT;
const ROUND: bigint = 0xffffn << ROUND_SHIFT;

function check(what: string, value: number, low: number, high: number): bigint {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new OpenFlowError('invalid_value', `${what} ${value} of a cookie: ${low} to ${high}`);
  }
  return BigInt(value);
}

/** The 64 bits of a cookie. @throws OpenFlowError `invalid_value` */
export function encodeCookie({ round, category, object }: Cookie): bigint {
  return (
    (check('round', round, 0, 0xffff) << ROUND_SHIFT) |
    (check('category', category, 1, 0xff) << CATEGORY_SHIFT) |
    check('object', object, 0, 0xffff_ffff)
  );
}

/** The parts of a cookie, or undefined for one that has another layout: somebody else's. */
export function decodeCookie(cookie: bigint): Cookie | undefined {
  const category = Number((cookie & CATEGORY) >> CATEGORY_SHIFT);
  if (category === 0 || (cookie & RESERVED) !== 0n) return undefined;
  return { round: Number(cookie >> ROUND_SHIFT), category, object: Number(cookie & 0xffff_ffffn) };
}

/**
 * What chooses flows by parts of their cookie, for a dump, a delete or a modify.
 * @throws OpenFlowError `invalid_value`
 * @example dumpFlows(cookieFilter({ category: 3 }))
 */
export function cookieFilter(parts: Partial<Cookie>): { readonly cookie: bigint; readonly cookieMask: bigint } {
  const { round, category, object } = parts;
  const cookie = encodeCookie({ round: round ?? 0, category: category ?? 1, object: object ?? 0 });
  const cookieMask =
    RESERVED |
    (round === undefined ? 0n : ROUND) |
    (category === undefined ? 0n : CATEGORY) |
    (object === undefined ? 0n : 0xffff_ffffn);
  return { cookie: cookie & cookieMask, cookieMask };
}

/** The round after one that was stored; of none (a first start) 1. Wraps to 1: flows of round 0 are nobody's. */
export function nextRound(stored: number | undefined): number {
  return stored === undefined || stored >= 0xffff ? 1 : check('round', stored, 0, 0xffff) === 0n ? 1 : stored + 1;
}
