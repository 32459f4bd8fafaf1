import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@ovenbird/openflow';
import type { Logger } from 'pino';
import type { AgentConfig } from '../config.ts';
import { INTEGRATION_BRIDGE, type Ovs } from '../ovs/database.ts';
import { podInterfaces } from '../pod/interface-row.ts';
import { httpsExplainer } from './explainer.ts';
import { metricsText } from './metrics.ts';
import { type NodeReport, nodeReport, type PodPort, type PodReport, podReport } from './report.ts';
import { FlowStatistics } from './statistics.ts';

/** Answers questions about traffic. */
export interface FlowService {
  /** For Prometheus. */
  readonly metrics: () => Promise<string>;
  /** What allowed or dropped a pod's traffic; undefined when it has no port here. @param pod `<namespace>/<name>` */
  readonly pod: (pod: string) => Promise<PodReport | undefined>;
  readonly node: () => Promise<NodeReport>;
}

/** Pods' ports that vswitchd has opened. */
function podPorts(ovs: Ovs): readonly PodPort[] {
  return podInterfaces(ovs).flatMap(({ external_ids: ids, ofport }) => {
    if (ofport === undefined || ofport < 0) return [];
    return [{ namespace: ids.get('pod_namespace') ?? '', pod: ids.get('pod_name') ?? '', ofport }];
  });
}

/**
 * Reads br-int by its management socket (ovs-vswitchd(8), `<run directory>/<bridge>.mgmt`). Sends statistics requests and
 * nothing else: br-int's flows belong to ovn-controller.
 * @param ovsRunDir run directory of vswitchd
 */
export function flowService(
  ovsRunDir: string,
  config: AgentConfig,
  ovs: Ovs,
  log: Logger,
  signal: AbortSignal,
): FlowService {
  const { lookup, tlsKey: key, tlsCert: cert, tlsCa: ca } = config;
  const isTrusted = key !== undefined && cert !== undefined && ca !== undefined;
  const explainer =
    lookup === undefined || !isTrusted ? undefined : httpsExplainer({ urls: lookup, tls: { key, cert, ca } });
  const source = connect({
    remote: `unix:${ovsRunDir}/${INTEGRATION_BRIDGE}.mgmt`,
    // A unix socket ends with its process: nothing has to be probed while nobody asks.
    probeIntervalMs: 0,
    signal,
    onEvent: (event) => log.debug({ type: event.type }, 'br-int'),
  });
  const now = (): number => performance.now();
  const statistics = new FlowStatistics({
    source,
    explainer,
    intervalMs: config.statisticsInterval,
    now,
    sleep: (ms) => sleep(ms, undefined, { signal }).catch(() => undefined),
    signal,
  });
  return {
    metrics: async () => metricsText(await statistics.read(), podPorts(ovs)),
    pod: async (name) => {
      const port = podPorts(ovs).find(({ namespace, pod }) => `${namespace}/${pod}` === name);
      return port === undefined ? undefined : podReport(port, await statistics.attend(), now());
    },
    node: async () => nodeReport(await statistics.attend(), now()),
  };
}
