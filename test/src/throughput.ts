import type { TestLab } from './lab.ts';
import { addressesOf, type PodObject } from './objects.ts';

/** What to measure between two pods of a namespace. */
export interface Measurement {
  readonly from: string;
  /** A pod that runs `iperf3 --server`. */
  readonly to: string;
  /** Of the server, where it is not the pod's first one. */
  readonly address?: string;
  /** Of the server; iperf3's own when absent. A server serves one client at a time. */
  readonly port?: number;
  readonly udp?: boolean;
  readonly ipv6?: boolean;
  /** How long, after the first two seconds, which are left out: the burst passes in them. */
  readonly seconds: number;
}

/** Offered by UDP, Mbit/s: more than any limit that is tested, less than the datapath carries. */
const offered = '60M';

/**
 * Mbit/s that arrived, by iperf3. A rate is a property of the data, and is compared with that of a meter.
 * TCP uses cubic: a meter drops packets, and what BBR makes of that is its own affair.
 */
export async function throughput(lab: TestLab, namespace: string, measured: Measurement): Promise<number> {
  const { from, to, port = 5201, udp = false, ipv6 = false, seconds } = measured;
  const addresses = addressesOf(await lab.get<PodObject>('pod', to, '-n', namespace));
  const address = measured.address ?? addresses.find((text) => text.includes(':') === ipv6) ?? '';
  const options = udp ? ['-u', '-b', offered] : ['-C', 'cubic'];
  const command = `iperf3 -c ${address} -p ${port} -J -t ${seconds} -O 2 --connect-timeout 2000`.split(' ');
  return await lab.waitFor(
    `iperf3 from ${from} to ${to}`,
    async () => {
      const { stdout, stderr } = await lab.kubectlAny(['exec', '-n', namespace, from, '--', ...command, ...options]);
      const start = stdout.indexOf('{');
      if (start < 0) return stderr;
      const { error, end } = JSON.parse(stdout.slice(start)) as {
        error?: string;
        end?: { sum_received?: { bits_per_second: number } };
      };
      if (error !== undefined) return error;
      return end?.sum_received === undefined ? 'no result' : end.sum_received.bits_per_second / 1e6;
    },
    20_000 + 3000 * seconds,
  );
}
