import { randomBytes } from 'node:crypto';
import { IPS, VIPS } from '@ovenbird/crds';
import {
  EventRecorder,
  type KubeClient,
  LEASES,
  NAMESPACES,
  NETWORKPOLICIES,
  NODES,
  PODS,
  type ResourceKind,
  StatusWriter,
  systemClock,
  toTime,
  WorkQueue,
} from '@ovenbird/kube';
import type { Client, OvnNorthbound, OvnSouthbound } from '@ovenbird/ovsdb';
import type { Logger } from 'pino';
import { Announcer } from './api/announcer.ts';
import { ContainerAnnouncer } from './api/container-announcer.ts';
import { ensureDefaults } from './api/defaults.ts';
import { Finalizers } from './api/finalizers.ts';
import { ipApi } from './api/ip-api.ts';
import { StatusBoard } from './api/status-board.ts';
import type { ApiEffects } from './api-effects.ts';
import { Brain } from './brain.ts';
import type { Config } from './config.ts';
import { readLive } from './live.ts';
import { NorthboundError } from './northbound/error.ts';
import { Fence } from './northbound/fence.ts';
import { Northbound } from './northbound/northbound.ts';
import { OvsdbStore } from './northbound/ovsdb-store.ts';
import { arePodsReallyGone } from './pod/really-gone.ts';
import { clusterPolicyKinds } from './policy/cluster-model.ts';
import { IpRecords } from './records/ip-records.ts';
import { RecordGate } from './records/record-gate.ts';
import { ChassisKeeper } from './southbound/chassis.ts';
import { State } from './store/state.ts';
import { clusterPolicyResources, watchAll } from './store/watch.ts';

export interface LeadOptions {
  readonly config: Config;
  readonly client: KubeClient;
  readonly db: Client<OvnNorthbound>;
  /** Connects to the southbound database; undefined where the configuration does not name it. */
  readonly openSouthbound: ((signal: AbortSignal) => Client<OvnSouthbound>) | undefined;
  readonly log: Logger;
  readonly identity: string;
  readonly clusterUid: string;
  /** Fires when leadership ends. */
  readonly signal: AbortSignal;
  /** The network is under control: the first comparison is done. */
  readonly onReady: (northbound: Northbound) => void;
  /** The process has to end: somebody else leads, or a defect stopped the writer. */
  readonly onFatal: (error: Error) => void;
}

/** Name of the Lease that elects the leader. */
export const leaseName = 'ovenbird-controller';

/** Everything is compared with the replica again this often, against what no event told us. */
const auditIntervalMs = 600_000;

/** What comes one by one, or a few at a time, is sent at once. */
const pace = { units: 8, ms: 50, quietMs: 5 } as const;

/** IP objects follow the pods; this many writes at a time leave the API server to the announcements. */
const recordConcurrency = 4;

/**
 * The leader's work, in the order of design §3: epoch, lists by quorum read, alloc from what is durable, everything compiled
 * and compared once, and from then on change by change.
 */
export async function lead(options: LeadOptions): Promise<void> {
  const { config, client, db, log, identity, clusterUid, signal } = options;
  const store = new OvsdbStore(db);
  const adopt = config.adopt === 'kube-ovn';
  const lease = await client.resource(LEASES).find({ namespace: config.leaseNamespace, name: leaseName }, { signal });
  const fence = new Fence({
    store,
    clusterUid,
    // The lease may be taken over by a process of the same name at once; the fence tells even those apart.
    identity: `${identity}/${randomBytes(4).toString('hex')}`,
    adoptKubeOvn: adopt,
    minimumEpoch: lease?.spec?.leaseTransitions ?? 0,
    clock: systemClock,
  });
  const epoch = await fence.acquire(signal);
  log.info({ epoch }, 'leading');
  await ensureDefaults(client, config, signal);

  const kinds: Readonly<Record<Parameters<ApiEffects['event']>[0]['kind'], ResourceKind>> = {
    ...clusterPolicyResources,
    Pod: PODS,
    Node: NODES,
    IP: IPS,
    Vip: VIPS,
    NetworkPolicy: NETWORKPOLICIES,
  };
  const state = new State();
  const events = new EventRecorder({ client, component: 'ovenbird-controller', instance: identity, signal });
  const statusWriter = new StatusWriter({
    client,
    signal,
    onError: (err, retrying) =>
      log.warn({ err, retrying }, `a status was not written${retrying ? ', is tried again' : ''}`),
  });
  const northbound = new Northbound({
    store,
    fence,
    clock: systemClock,
    log: log.child({ mod: 'northbound' }),
    onHeld: (held) => statusOf(held.unit),
    onCommitted: (units) => {
      for (const unit of units) statusOf(unit);
    },
    onDrift: (unit, drifts) => {
      const what = drifts.map((drift) => `${drift.table} ${drift.what}`).join('; ');
      const [kind, key = ''] = unit.split(/\/(.*)/s);
      const pod = kind === 'Pod' ? state.get('Pod', key) : undefined;
      const message = `somebody changed rows of this object in the northbound database (${what}); they were put right`;
      if (pod !== undefined)
        events.record(
          kinds.Pod,
          { metadata: metadataOf(pod) },
          { type: 'Warning', reason: 'NorthboundDrift', message },
        );
    },
    auditIntervalMs,
    pace,
    onFenced: options.onFatal,
    onSafetyStop: (stop) => {
      arePodsReallyGone({ client, state, owners: stop.owners, signal })
        .then((gone) => {
          if (!gone) {
            const message = `${stop.count} of ${stop.total} ports belong to pods that no list holds any more; nothing was deleted. If the pods really are gone, run: ovenbird confirm-deletion ${stop.token}`;
            const system = { metadata: { name: config.leaseNamespace } };
            events.record(NAMESPACES, system, { type: 'Warning', reason: 'DeletionsStopped', message });
            return;
          }
          log.warn(
            { ports: stop.count },
            'every one of these pods was asked for by name and is gone: their ports are deleted',
          );
          northbound.confirmDeletion(stop.token);
        })
        .catch((err: unknown) => log.warn({ err }, 'could not ask for the pods behind the deletions; they wait'));
    },
  });
  const heldReason = (unit: string): string | undefined => northbound.heldUnit(unit)?.error.message;
  const board = new StatusBoard({
    state,
    writer: statusWriter,
    clock: systemClock,
    warn: (kind, object, reason, message) => events.record(kind, object, { type: 'Warning', reason, message }),
    defaultVpc: config.defaultVpc,
    held: heldReason,
    reservationProblem: (name) => records.problem(name),
    signal,
  });

  const recordQueue = new WorkQueue<string>({
    process: ({ key }) => records.write(key),
    concurrency: recordConcurrency,
    signal,
    onReport: ({ key, failure }) => failure !== undefined && log.debug({ key, err: failure.error }, 'IP object'),
  });
  const announcer = new Announcer({
    client,
    state,
    signal,
    isPublished: (owner, uid) => brain.isPublished(owner, uid),
    announced: (owner) => gate.add(owner),
    restored: (pod) =>
      events.record(
        kinds.Pod,
        { metadata: metadataOf(pod) },
        {
          type: 'Warning',
          reason: 'AnnouncementRestored',
          message:
            'annotations ovn.kubernetes.io/* of a running pod say what it got; an edit changes nothing and was put back',
        },
      ),
    onReport: ({ key, failure }) =>
      failure !== undefined && log.warn({ key, err: failure.error }, 'an announcement failed, is tried again'),
  });
  const containers = new ContainerAnnouncer({
    client,
    state,
    signal,
    onReport: ({ key, failure }) =>
      failure !== undefined && log.warn({ key, err: failure.error }, 'an announcement failed, is tried again'),
  });
  const gate = new RecordGate({
    clock: systemClock,
    announced: () => announcer.idle(),
    release: (owners) => {
      for (const owner of owners) recordQueue.add(owner);
    },
  });

  const api: ApiEffects = {
    announcePod: (key) => announcer.pod(key),
    announceNode: (name) => announcer.node(name),
    announceContainer: (name) => containers.announce(name),
    refuseContainer: (name, reason, message) => containers.refuse(name, reason, message),
    writeRecord: (owner) => gate.add(owner),
    writeRecordNow: (owner) => recordQueue.add(owner),
    recordChanged: (name) => records.changed(name),
    event: ({ kind, object }, reason, message) => {
      const metadata = metadataOf(object);
      events.record(kinds[kind], { metadata }, { type: 'Warning', reason, message });
    },
    writeStatus: (kind, name) => board.due(kind, name),
    writeFinalizer: (kind, name) => finalizers.enqueue(kind, name),
  };
  const live = readLive(db);
  const tiers = db.hasColumn('ACL', 'tier');
  const brain = new Brain({
    state,
    tiers,
    rules: {
      defaultVpc: config.defaultVpc,
      defaultSubnet: config.defaultSubnet.name,
      joinSubnet: config.joinSubnet.name,
    },
    clusterUid,
    serviceCidrs: config.serviceCidr.split(','),
    live,
    sink: northbound,
    api,
    onError: (what, err) => {
      // What waited for the writer learns that it has ended; the reason was logged once.
      if (err instanceof NorthboundError && (err.code === 'closed' || err.code === 'fenced')) return;
      log.error({ what, err }, 'a defect: please report it');
    },
  });
  signal.addEventListener('abort', () => brain.stop(), { once: true });
  const records = new IpRecords(state, brain.allocator, brain.loans, ipApi(client, signal), {
    freed: (subnet) => brain.freed(subnet),
    enqueue: (owner) => recordQueue.add(owner),
    warn: (record, reason, message) => api.event({ kind: 'IP', object: record }, reason, message),
    statusChanged: (name) => board.due('IP', name),
    now: () => toTime(systemClock.wallMs()),
  });
  const finalizers = new Finalizers({
    client,
    state,
    signal,
    isFinished: (kind, name) => brain.isFinished(kind, name),
  });

  let loaded = false;
  await watchAll({
    client,
    state,
    defaultVpc: config.defaultVpc,
    lasting: { vpcs: [config.defaultVpc], subnets: [config.defaultSubnet.name, config.joinSubnet.name] },
    signal,
    inferred: (change) => brain.engine.inferred(change),
    // Until everything is listed nothing may be decided.
    changed: (kind, keys) => loaded && brain.changed(kind, keys),
    announced: (pods) => loaded && brain.announced(pods),
    seenSubnet: (object) => board.seenSubnet(object),
    seenVpc: (object) => board.seenVpc(object),
    seenIpPool: (object) => board.seenIpPool(object),
    seenVip: (object) => board.seenVip(object),
    seenQosPolicy: (object) => board.seenQosPolicy(object),
    seenSecurityGroup: (object) => board.seenSecurityGroup(object),
    seenIp: (object) => board.seenIp(object),
    seenClusterPolicy: (kind, object) => board.seenClusterPolicy(kind, object),
    onNotice: (kind, notice) => {
      if (notice.type === 'error' && notice.error.code === 'forbidden') {
        log.error(
          { kind, err: notice.error },
          'the API server refuses this watch, and nothing works without it: apply deploy/rbac',
        );
      } else if (notice.type === 'error' && notice.error.code !== 'gone') {
        // History that is gone only means to list again.
        log.warn({ kind, err: notice.error, retryInMs: notice.retryInMs }, 'cannot watch, is tried again');
      }
      if (notice.type === 'handler-error') log.error({ kind, err: notice.error }, 'a defect: please report it');
    },
  });
  const result = brain.load();
  loaded = true;
  for (const conflict of result.conflicts)
    log.error({ conflict }, 'two records of one address; the northbound row wins');
  brain.run();
  const ownerOfPort = new Map(live.ports.map((port) => [port.uuid, port.owner]));
  db.replica.onChange((changes) => {
    // Another OVN, or its database converted: every rule has another place.
    if (db.hasColumn('ACL', 'tier') !== tiers)
      options.onFatal(
        new Error(`ACL tiers ${tiers ? 'are gone from' : 'came to'} the northbound schema: starting anew`),
      );
    for (const { table, uuid, new: now } of changes) {
      const owner = table === 'Logical_Switch_Port' && now === undefined ? ownerOfPort.get(uuid) : undefined;
      if (owner === undefined) continue;
      ownerOfPort.delete(uuid);
      brain.portGone(owner);
    }
  });
  northbound.start(signal);
  brain.publishLoaded();
  records.loaded();
  recordQueue.start();
  for (const owner of result.stale) recordQueue.add(owner);
  for (const record of state.list('IpRecord')) records.changed(record.name);
  for (const kind of ['Subnet', 'Vpc', 'SecurityGroup'] as const)
    for (const name of state.keys(kind)) finalizers.enqueue(kind, name);
  board.start(brain);
  if (options.openSouthbound !== undefined) {
    const hasNode = (name: string): boolean => state.get('Node', name) !== undefined;
    const keeper = new ChassisKeeper({ southbound: options.openSouthbound(signal), hasNode, log, signal });
    state.onTouch((kind) => kind === 'Node' && keeper.look());
    keeper.look();
  }
  await northbound.idle();
  log.info(
    { units: northbound.stats.units, transactions: northbound.stats.transactions, adopted: result.adopted },
    'in control',
  );
  options.onReady(northbound);

  function statusOf(unit: string): void {
    const slash = unit.indexOf('/');
    const kind = unit.slice(0, slash);
    const known = (['Subnet', 'Vpc', 'IPPool', 'QoSPolicy', 'SecurityGroup', ...clusterPolicyKinds] as const).find(
      (one) => one === kind,
    );
    if (known !== undefined) board.due(known, unit.slice(slash + 1));
  }
}

function metadataOf(object: { readonly name: string; readonly uid: string; readonly namespace?: string | undefined }): {
  name: string;
  uid: string;
  namespace?: string;
} {
  const { name, uid, namespace } = object;
  return namespace === undefined ? { name, uid } : { name, uid, namespace };
}
