import type { Logger } from 'pino';
import type { AgentConfig } from '../config.ts';
import type { Ovs } from '../ovs/database.ts';
import type { FlowService } from './service.ts';

/**
 * The flow service, loaded with the first question: the OpenFlow library takes about 20 MB, and on nodes where nobody asks
 * and nothing scrapes it would take them for nothing.
 * @returns undefined when the configuration does not say where br-int's socket is
 */
export function lazyFlowService(
  config: AgentConfig,
  ovs: Ovs,
  log: Logger,
  signal: AbortSignal,
): FlowService | undefined {
  const { ovsRunDir } = config;
  if (ovsRunDir === undefined) return undefined;
  let loading: Promise<FlowService> | undefined;
  const load = async (): Promise<FlowService> =>
    (await import('./service.ts')).flowService(ovsRunDir, config, ovs, log, signal);
  const service = (): Promise<FlowService> => (loading ??= load());
  return {
    metrics: async () => await (await service()).metrics(),
    pod: async (pod) => await (await service()).pod(pod),
    node: async () => await (await service()).node(),
  };
}
