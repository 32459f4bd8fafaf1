import { attribute, type NetlinkRequest, text, u32 } from './message.ts';

/** Requests of rtnetlink(7) about queueing disciplines: the one that limits pods. */

const NEW_QDISC = 36;
const CREATE_OR_REPLACE = 0x400 | 0x100;
const TC_H_ROOT = 0xffff_ffff;
const NESTED = 0x8000;
/** pkt_sched.h */
const TCA = { kind: 1, options: 2 } as const;
const TBF = { parameters: 1, rate64: 4, burst: 6 } as const;
const LINK_LAYER_ETHERNET = 1;
const MOST_32 = 0xffff_ffff;

/** A token bucket (tc-tbf(8)). */
export interface TokenBucket {
  /** Bytes per second. */
  readonly rate: number;
  /** Size of the bucket, bytes. */
  readonly burst: number;
  /** What may wait for tokens, the bucket's size included, bytes. */
  readonly limit: number;
}

/**
 * `tc qdisc replace dev NAME root tbf`. The kernel counts the bucket in bytes where it is told them (TCA_TBF_BURST), and needs no
 * table of rates for Ethernet.
 * @param link index
 */
export function limitRequest(link: number, name: string, { rate, burst, limit }: TokenBucket): NetlinkRequest {
  // struct tcmsg
  const head = Buffer.alloc(20);
  head.writeInt32LE(link, 4);
  head.writeUInt32LE(TC_H_ROOT, 12);
  // struct tc_tbf_qopt: two struct tc_ratespec of 12 bytes (the second, the peak rate, is not used), limit, buffer, mtu.
  const parameters = Buffer.alloc(36);
  parameters.writeUInt8(LINK_LAYER_ETHERNET, 1);
  parameters.writeUInt32LE(Math.min(rate, MOST_32), 8);
  parameters.writeUInt32LE(Math.min(limit, MOST_32), 24);
  const rate64 = Buffer.alloc(8);
  rate64.writeBigUInt64LE(BigInt(rate));
  const options = [
    attribute(TBF.parameters, parameters),
    attribute(TBF.burst, u32(burst)),
    ...(rate > MOST_32 ? [attribute(TBF.rate64, rate64)] : []),
  ];
  return {
    type: NEW_QDISC,
    flags: CREATE_OR_REPLACE,
    body: Buffer.concat([head, attribute(TCA.kind, text('tbf')), attribute(TCA.options | NESTED, ...options)]),
    what: `tc qdisc replace dev ${name} root tbf rate ${rate * 8}bit burst ${burst}`,
  };
}
