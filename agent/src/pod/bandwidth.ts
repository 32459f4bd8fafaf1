import { limitRequest, type TokenBucket } from '../netlink/qdisc.ts';
import { hostSocket, RouteSocket } from '../netlink/socket.ts';
import type { PodNetns } from './netns.ts';
import type { Bandwidth } from './runtime-config.ts';
import type { VethPlan } from './veth.ts';

/** containerd 1.6 asks for this burst when the pod names none: all ones, which would let the first half GB through. */
const UNLIMITED_BURST = 0xffff_ffff;
/** Queue behind the token bucket in seconds, as long as the stock `bandwidth` plugin's. */
const LATENCY = 0.025;

/**
 * The token bucket that limits what leaves a link; undefined when there is no limit. The bucket holds half a second's worth
 * unless a burst is asked for, and never less than two packets or 4 ms, without which the rate is not reached.
 * @param rate bits per second
 * @param burst bits
 * @param mtu of the link, bytes
 */
export function bucketOf(rate: number | undefined, burst: number | undefined, mtu: number): TokenBucket | undefined {
  if (rate === undefined || rate === 0) return undefined;
  const asked = burst === undefined || burst === 0 || burst >= UNLIMITED_BURST ? rate / 2 : burst;
  const bytes = Math.min(Math.ceil(Math.max(asked / 8, 2 * (mtu + 18), rate / 8 / 250)), 0x7fff_ffff);
  return { rate: Math.ceil(rate / 8), burst: bytes, limit: bytes + Math.ceil((rate / 8) * LATENCY) };
}

async function limit(socket: RouteSocket, link: string, bucket: TokenBucket): Promise<void> {
  await socket.run([limitRequest(await socket.indexOf(link), link, bucket)]);
}

/**
 * Limits an interface: what the pod receives on the host's end of the pair, what it sends on its own end. Both are where
 * packets enter the pair, so they hold on the kernel's and on the userspace datapath.
 * @throws AgentError `host-command`
 */
export async function limitBandwidth(plan: VethPlan, netns: PodNetns, bandwidth: Bandwidth | undefined): Promise<void> {
  const toPod = bucketOf(bandwidth?.ingressRate, bandwidth?.ingressBurst, plan.mtu);
  const fromPod = bucketOf(bandwidth?.egressRate, bandwidth?.egressBurst, plan.mtu);
  if (toPod !== undefined) await limit(hostSocket(), plan.hostName, toPod);
  if (fromPod === undefined) return;
  using socket = new RouteSocket(netns.fd);
  await limit(socket, plan.ifname, fromPod);
}
