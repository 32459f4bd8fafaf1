import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { KubeClient, KubeError, LEASES, LeaseElector, NAMESPACES, sleep, systemClock } from '@ovenbird/kube';
import {
  type Client,
  type ClientEvent,
  connect,
  type OvnNorthbound,
  type OvnSouthbound,
  ovnNorthbound,
  ovnSouthbound,
} from '@ovenbird/ovsdb';
import { type Logger, pino } from 'pino';
import { type Config, ConfigError, loadConfig } from './config.ts';
import { serveHealth } from './health.ts';
import { lead, leaseName } from './lead.ts';
import { FlowLookup } from './lookup/flow-lookup.ts';
import { serveLookups } from './lookup/server.ts';
import { southboundIndexes, southboundMonitor } from './lookup/southbound.ts';
import { monitoredColumns } from './northbound/ownership.ts';
import { chassisMonitor } from './southbound/chassis.ts';

/** Kube-OVN's controller elects its leader with this Lease, in the same namespace. */
const kubeOvnLease = 'kube-ovn-controller';

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const config = loadConfig(values.config, process.env);
  const log = pino({ level: config.logLevel, base: { component: 'controller' } });
  const stop = new AbortController();
  let failure: Error | undefined;
  const fatal = (error: Error): void => {
    failure ??= error;
    stop.abort();
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const { signal } = stop;
  const health = serveHealth(config.listen, signal);

  const identity = config.identity ?? `${hostname()}_${randomBytes(4).toString('hex')}`;
  const client = await KubeClient.load({ kubeconfig: config.kubeconfig });
  const db = connect({
    remotes: config.northbound,
    database: ovnNorthbound,
    monitor: monitoredColumns(),
    leaderOnly: true,
    signal,
    onEvent: (event) => logEvent(log, 'northbound database', event),
    ...(config.tls === undefined ? {} : { tls: config.tls }),
  });
  await explainFlows(config, db, log, signal);
  const clusterUid = await readClusterUid(client, log, signal);
  if (config.adopt !== 'kube-ovn') await refuseKubeOvn(client, config, signal);
  const elector = new LeaseElector({
    client,
    namespace: config.leaseNamespace,
    name: leaseName,
    identity,
    signal,
    onNewLeader: (leader) => log.info({ leader }, 'leader'),
    onError: (err) => log.warn({ err }, 'the lease could not be renewed or taken, is tried again'),
    onStartedLeading: async (leading) => {
      try {
        await lead({
          config,
          client,
          db,
          openSouthbound: southboundFor(config, log),
          log,
          identity,
          clusterUid,
          signal: leading,
          onReady: health.ready,
          onFatal: fatal,
        });
      } catch (error) {
        if (!leading.aborted) fatal(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
  const end = await elector.run();
  if (end === 'lost' && failure === undefined) failure = new Error('the lease was lost: another controller takes over');
  await db.close();
  if (failure !== undefined) {
    log.fatal({ err: failure }, 'ended');
    process.exitCode = 1;
  }
  // Leadership is over: nothing that is still under way may hold the process.
  setImmediate(() => process.exit());
}

/** How the leader connects to the southbound database, if the configuration names it. */
function southboundFor(
  { southbound: remotes, tls }: Config,
  log: Logger,
): ((signal: AbortSignal) => Client<OvnSouthbound>) | undefined {
  if (remotes === undefined) return undefined;
  return (signal) =>
    connect({
      remotes,
      database: ovnSouthbound,
      monitor: chassisMonitor,
      signal,
      onEvent: (event) => logEvent(log, 'southbound database', event),
      ...(tls === undefined ? {} : { tls }),
    });
}

/** Answers agents' questions about flows, whether this process leads or not. */
async function explainFlows(
  config: Config,
  northbound: Client<OvnNorthbound>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { lookupListen: listen, southbound: remotes, tls } = config;
  if (listen === undefined || remotes === undefined || tls === undefined) return;
  const southbound = connect({
    remotes,
    database: ovnSouthbound,
    monitor: southboundMonitor,
    indexes: southboundIndexes,
    signal,
    tls,
    onEvent: (event) => logEvent(log, 'southbound database', event),
  });
  await serveLookups({ listen, tls, lookup: new FlowLookup(northbound.replica, southbound.replica), signal });
  log.info({ listen }, 'explaining flows to agents');
}

/** The UID of kube-system names the cluster; the API server may still be starting. */
async function readClusterUid(client: KubeClient, log: Logger, signal: AbortSignal): Promise<string> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const namespace = await client.resource(NAMESPACES).get({ name: 'kube-system' }, { signal });
      return namespace.metadata.uid ?? '';
    } catch (error) {
      if (!(error instanceof KubeError) || !error.retryable || signal.aborted) throw error;
      log.warn({ err: error }, 'waiting for the API server: is it up, and the kubeconfig right?');
      await sleep(systemClock, Math.min(5000, 200 * 2 ** attempt), signal);
    }
  }
}

/** Two controllers on one cluster destroy each other's network. @throws Error when Kube-OVN's Lease has a holder */
async function refuseKubeOvn(client: KubeClient, config: Config, signal: AbortSignal): Promise<void> {
  const ref = { namespace: config.leaseNamespace, name: kubeOvnLease };
  const holder = (await client.resource(LEASES).find(ref, { signal }))?.spec?.holderIdentity ?? '';
  if (holder === '') return;
  throw new ConfigError(
    `Lease ${ref.namespace}/${ref.name} is held by ${holder}: Kube-OVN runs this cluster's network. ` +
      'Remove Kube-OVN first, or set "adopt": "kube-ovn" to take over',
  );
}

function logEvent(log: Logger, database: string, event: ClientEvent): void {
  switch (event.type) {
    case 'connecting':
      log.debug(event, database);
      break;
    case 'connected':
    case 'synced':
      log.info(event, database);
      break;
    case 'disconnected':
      log.warn({ ...event, err: event.error }, `${database}: disconnected, is connected again as soon as it answers`);
      break;
    case 'listener_error':
      log.error({ err: event.error }, `${database}: a defect: please report it`);
      break;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
});
