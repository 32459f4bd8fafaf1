import { run } from '../host/run.ts';
import { INHERITED_NETNS, type PodNetns } from './netns.ts';
import type { Bandwidth } from './runtime-config.ts';
import type { VethPlan } from './veth.ts';

/** containerd 1.6 asks for this burst when the pod names none: all ones, which would let the first half GB through. */
const UNLIMITED_BURST = 0xffff_ffff;
/** Queue behind the token bucket, as long as the stock `bandwidth` plugin's. */
const LATENCY = '25ms';

/**
 * `tc` arguments that limit what leaves a link (tc-tbf(8)); undefined when there is no limit. The bucket holds half a
 * second's worth unless a burst is asked for, and never less than two packets or 4 ms, without which the rate is not reached.
 * @param rate bits per second
 * @param burst bits
 * @param mtu of the link, bytes
 */
export function limitCommand(
  link: string,
  rate: number | undefined,
  burst: number | undefined,
  mtu: number,
): readonly string[] | undefined {
  if (rate === undefined || rate === 0) return undefined;
  const asked = burst === undefined || burst === 0 || burst >= UNLIMITED_BURST ? rate / 2 : burst;
  const bytes = Math.min(Math.ceil(Math.max(asked / 8, 2 * (mtu + 18), rate / 8 / 250)), 0x7fff_ffff);
  return `qdisc replace dev ${link} root tbf rate ${rate}bit burst ${bytes} latency ${LATENCY}`.split(' ');
}

/**
 * Limits an interface: what the pod receives on the host's end of the pair, what it sends on its own end. Both are where
 * packets enter the pair, so they hold on the kernel's and on the userspace datapath.
 */
export async function limitBandwidth(
  plan: VethPlan,
  netns: PodNetns,
  bandwidth: Bandwidth | undefined,
  signal: AbortSignal,
): Promise<void> {
  const toPod = limitCommand(plan.hostName, bandwidth?.ingressRate, bandwidth?.ingressBurst, plan.mtu);
  const fromPod = limitCommand(plan.ifname, bandwidth?.egressRate, bandwidth?.egressBurst, plan.mtu);
  if (toPod !== undefined) await run('tc', toPod, { signal });
  if (fromPod !== undefined) {
    await run('nsenter', [`--net=${INHERITED_NETNS}`, 'tc', ...fromPod], { fds: [netns.fd], signal });
  }
}
