import { Allocator } from './alloc/allocator.ts';
import type { SubnetRules } from './alloc/choose-subnet.ts';
import { durableHolders, type LoadResult, loadAddresses } from './alloc/load.ts';
import { Loans } from './alloc/loans.ts';
import type { ApiEffects, Finalized } from './api-effects.ts';
import { AttachmentLife } from './attachment/life.ts';
import { isContainerRecord } from './attachment/wanted.ts';
import { CompileContext } from './compile/context.ts';
import { Engine, type UnitSink } from './compile/engine.ts';
import { ownerOf, splitOwner } from './compile/names.ts';
import { allUnits } from './compile/units.ts';
import type { Known } from './live.ts';
import { NodeLife } from './node/life.ts';
import { NetworkMtu } from './node/network-mtu.ts';
import { type KeeperKind, Keepers } from './pod/keepers.ts';
import { PodLife } from './pod/life.ts';
import { ProblemTeller } from './pod/problems.ts';
import { PolicyLife } from './policy/life.ts';
import { PoolLife } from './pool/life.ts';
import { Publication } from './publication.ts';
import { QosLife } from './qos/life.ts';
import { SecurityGroupLife } from './security-group/life.ts';
import { keysByAge } from './store/by-age.ts';
import { type Key, podKey, type WatchedKind } from './store/model.ts';
import { State } from './store/state.ts';
import { SubnetLife } from './subnet/life.ts';
import { attempt, drain, Tick } from './tick.ts';
import { VipLife } from './vip/life.ts';
import { sharesVip } from './vip/members.ts';

/** The northbound writer, as far as the brain sees it. */
export interface RowSink extends UnitSink {
  /** Resolves when what the unit emitted last is in the database (gone, when it emitted nothing). */
  committed(unit: string): Promise<void>;
}

export interface BrainOptions {
  /** OVN has the column ACL.tier. */
  readonly tiers: boolean;
  readonly state: State;
  readonly rules: SubnetRules;
  readonly clusterUid: string;
  readonly serviceCidrs: readonly string[];
  /** What the northbound database holds at start. */
  readonly live: Known;
  readonly sink: RowSink;
  readonly api: ApiEffects;
  readonly onError: (what: string, error: unknown) => void;
}

/**
 * From changed objects to decisions to rows: the synchronous middle of the controller, without any I/O of its own. Tests
 * run it on a plain sink; production gives it the northbound writer.
 */
export class Brain {
  readonly allocator: Allocator;
  readonly loans: Loans = new Loans();
  readonly pods: PodLife;
  readonly nodes: NodeLife;
  readonly subnets: SubnetLife;
  readonly pools: PoolLife;
  readonly vips: VipLife;
  readonly attachments: AttachmentLife;
  readonly policies: PolicyLife;
  readonly qos: QosLife;
  readonly groups: SecurityGroupLife;
  readonly engine: Engine;
  readonly #options: BrainOptions;
  readonly #tick: Tick;
  readonly #dirtyPods = new Set<Key>();
  /** Pods that were not told their address yet, and may have to get another one. */
  readonly #untoldPods = new Set<Key>();
  readonly #problems: ProblemTeller;
  readonly #dirtyNodes = new Set<Key>();
  readonly #dirtyVips = new Set<Key>();
  /** Pods, and names of IP objects of containers outside of Kubernetes. */
  readonly #dirtyAttachments = new Set<Key>();
  #judge = true;
  #loading = false;
  readonly #awaiting: { unit: string; done: () => void }[] = [];
  readonly #finished = new Set<string>();
  readonly #keepers: Keepers;
  readonly #mtu: NetworkMtu;
  readonly #publication: Publication;

  constructor(options: BrainOptions) {
    this.#options = options;
    const { state, rules, sink, api } = options;
    this.#tick = new Tick(
      () => this.run(),
      (error) => options.onError('tick', error),
    );
    this.#problems = new ProblemTeller(state, api, (error) => options.onError('problems', error));
    this.#keepers = new Keepers(state);
    this.#mtu = new NetworkMtu(state);
    this.#publication = new Publication(state, this.loans, api);
    this.allocator = new Allocator(rules);
    const context = new CompileContext({ clusterUid: options.clusterUid, ...rules, tiers: options.tiers });
    this.engine = new Engine(state, allUnits(context), sink, (unit, error) => options.onError(unit, error));
    const committed = (unit: string, done: () => void): void => {
      this.#awaiting.push({ unit, done });
      this.#tick.schedule();
    };
    const recordChanged = (owner: string): void => api.writeRecord(owner);
    this.pools = new PoolLife(state, {
      changed: (subnet) => this.#poolsChanged(subnet),
      statusChanged: (pool) => api.writeStatus('IPPool', pool),
    });
    this.vips = new VipLife(state, this.allocator, this.loans, {
      committed,
      recordChanged,
      freed: (subnet) => this.freed(subnet),
      statusChanged: (vip) => api.writeStatus('Vip', vip),
      warn: (vip, reason, message) => api.event({ kind: 'Vip', object: vip }, reason, message),
    });
    this.pods = new PodLife(state, this.allocator, this.loans, rules, {
      committed,
      announce: (key) => this.#publication.publish('Pod', key),
      recordChanged,
      warn: (pod, reason, message) => api.event({ kind: 'Pod', object: pod }, reason, message),
      freed: (subnet) => this.freed(subnet),
      returned: (holder) => {
        const [kind, name] = splitOwner(holder);
        if (kind === 'Vip') this.vips.returned(name);
      },
      waits: (subnet) => api.writeStatus('Subnet', subnet),
    });
    this.nodes = new NodeLife(state, this.allocator, rules.joinSubnet, {
      committed,
      announceNode: (name) => this.#publication.publish('Node', name),
      recordChanged,
      warnNode: (node, reason, message) => api.event({ kind: 'Node', object: node }, reason, message),
      freed: (subnet) => this.freed(subnet),
    });
    this.attachments = new AttachmentLife(state, this.allocator, rules, {
      committed,
      announcePod: (key) => {
        this.#publication.again('Pod', key);
        // What its annotations ask for the interface in vain is known by its subnet.
        this.#problems.changed(key);
        this.#tick.schedule();
      },
      announceContainer: (name) => api.announceContainer(name),
      refuseContainer: (name, reason, message) => api.refuseContainer(name, reason, message),
      recordChanged,
      warn: (pod, reason, message) => api.event({ kind: 'Pod', object: pod }, reason, message),
      freed: (subnet) => this.freed(subnet),
    });
    this.subnets = new SubnetLife(state, this.allocator, rules, options.serviceCidrs, options.live.subnets, {
      committed,
      changed: (subnet) => this.#subnetChanged(subnet),
      finished: (kind, name) => this.#finish(kind, name),
      statusChanged: (kind, name) => api.writeStatus(kind, name),
    });
    this.policies = new PolicyLife(
      state,
      { ...rules, tiers: options.tiers },
      {
        committed,
        warn: (policy, reason, message) =>
          api.event({ kind: 'tier' in policy ? policy.kind : 'NetworkPolicy', object: policy }, reason, message),
        statusChanged: ({ kind, name }) => api.writeStatus(kind, name),
      },
    );
    this.qos = new QosLife(state, options.live.bandwidths, {
      statusChanged: (policy) => api.writeStatus('QoSPolicy', policy),
    });
    this.groups = new SecurityGroupLife(
      state,
      { ...rules, tiers: options.tiers },
      {
        committed,
        held: (name) => void this.#finished.delete(`SecurityGroup/${name}`),
        finished: (name) => this.#finish('SecurityGroup', name),
        statusChanged: (name) => api.writeStatus('SecurityGroup', name),
      },
    );
    state.onTouch(() => this.#tick.schedule());
  }

  /** Rebuilds alloc from what is durable, before the first tick. */
  load(): LoadResult {
    const { state, live } = this.#options;
    this.#keepers.load();
    this.#loading = true;
    this.subnets.judgeBeforeLoad(durableHolders(live.ports, state.list('IpRecord')));
    this.pools.judgeAll();
    const result = loadAddresses(state, this.allocator, this.loans, live.ports);
    this.#loading = false;
    // Before the pods: a Vip's status is what it had, and nothing else tells of it when the database was emptied.
    for (const key of keysByAge(state, 'Vip')) this.vips.reconcile(key);
    for (const key of keysByAge(state, 'Pod')) this.#dirtyPods.add(key);
    for (const key of keysByAge(state, 'Node')) this.#dirtyNodes.add(key);
    for (const key of keysByAge(state, 'Pod')) this.#dirtyAttachments.add(key);
    for (const record of state.list('IpRecord')) if (isContainerRecord(record)) this.#dirtyAttachments.add(record.name);
    return result;
  }

  /** The row of a port that was there at start is gone: if nobody took its address over, it is free. */
  portGone(owner: string): void {
    const slash = owner.indexOf('/');
    const key = owner.slice(slash + 1);
    if (owner.startsWith('Pod/')) this.pods.portGone(key);
    else if (owner.startsWith('Node/')) this.nodes.portGone(key);
    else if (owner.startsWith('Vip/')) this.vips.portGone(key);
    else if (owner.startsWith('Attachment/')) this.attachments.portGone(key);
    this.#tick.schedule();
  }

  /** The database agrees with what was loaded: everything adopted may be announced (again). */
  publishLoaded(): void {
    const { state } = this.#options;
    for (const key of state.keys('PodAddress')) this.#awaitPublish('Pod', key);
    for (const key of state.keys('NodeAddress')) this.#awaitPublish('Node', key);
    // No announcement brings their IP objects up to date.
    const record = (unit: string, owner: string): void =>
      void this.#awaiting.push({ unit, done: () => this.#options.api.writeRecord(owner) });
    for (const { owner } of state.list('VipAddress')) record(owner, owner);
    for (const { owner, via } of state.list('PodAddress')) if (via !== undefined) record(owner, via);
    for (const [key, { uid }] of state.entries('AttachmentAddress')) {
      const unit = ownerOf('AttachmentAddress', key);
      this.#awaiting.push({ unit, done: () => this.attachments.committed(key, uid) });
    }
  }

  #awaitPublish(kind: 'Pod' | 'Node', key: Key): void {
    this.#awaiting.push({ unit: ownerOf(kind, key), done: () => this.#publication.publish(kind, key) });
    this.#tick.schedule();
  }

  /** Objects changed in the state (reflectors call this with each batch). */
  changed(kind: WatchedKind, keys: readonly Key[]): void {
    const { state, api } = this.#options;
    for (const key of keys) {
      switch (kind) {
        case 'Pod':
          this.#podChanged(key);
          break;
        case 'Node':
          if (state.get('Node', key) === undefined) this.#publication.gone('Node', key);
          this.#dirtyNodes.add(key);
          this.#judge = true;
          this.#retryAttachments();
          for (const { name } of state.index('IpRecord', 'container', key)) this.#dirtyAttachments.add(name);
          this.#publication.again('Node', key);
          api.writeStatus('Subnet', this.allocator.joinSubnet);
          break;
        case 'Subnet':
        case 'Vpc':
          this.#judge = true;
          api.writeStatus(kind, key);
          // They say which of the subnets that they name there is not.
          if (kind === 'Subnet') for (const policy of state.keys('QoSPolicy')) api.writeStatus('QoSPolicy', policy);
          if (state.get(kind, key)?.deleting !== true) this.#finished.delete(`${kind}/${key}`);
          if (state.get(kind, key)?.deleting === false) api.writeFinalizer(kind, key);
          // Its list of namespaces may have changed.
          if (kind === 'Vpc') for (const pod of this.pods.waitingAnywhere()) this.#dirtyPods.add(pod);
          break;
        case 'SecurityGroup':
          if (state.get(kind, key)?.deleting !== true) this.#finished.delete(`${kind}/${key}`);
          if (state.get(kind, key)?.deleting === false) api.writeFinalizer(kind, key);
          break;
        case 'Namespace':
          for (const pod of this.pods.waitingIn(key)) this.#dirtyPods.add(pod);
          for (const pod of this.pods.untold(key)) this.#untoldPods.add(pod);
          for (const { name } of state.index('Vip', 'namespace', key)) api.writeStatus('Vip', name);
          for (const { name } of state.index('Pod', 'namespace', key)) this.#problems.changed(podKey(key, name));
          this.#retryAttachments();
          break;
        case 'NetworkAttachment':
          this.#retryAttachments();
          break;
        case 'StatefulSet':
        case 'VirtualMachine':
        case 'VirtualMachineInstance':
          this.#keeperChanged(kind, key);
          break;
        case 'Vip':
          this.#dirtyVips.add(key);
          api.writeStatus('Vip', key);
          // Pods that want its address for their own.
          for (const pod of this.pods.waitingAnywhere()) this.#dirtyPods.add(pod);
          break;
        case 'QoSPolicy':
          api.writeStatus('QoSPolicy', key);
          break;
        case 'IPPool':
          this.pools.changed(key);
          break;
        case 'IpRecord':
          this.#publication.recordSeen(key);
          api.recordChanged(key);
          this.#attachmentSeen(key);
          break;
        case 'NetworkPolicy':
        case 'AdminNetworkPolicy':
        case 'BaselineAdminNetworkPolicy':
        case 'ClusterNetworkPolicy':
          break;
      }
    }
    this.#tick.schedule();
  }

  /**
   * What we announced on these pods, and nothing else, changed: nothing follows from that, unless somebody else edited it.
   */
  announced(pods: readonly Key[]): void {
    for (const key of pods) this.#publication.again('Pod', key);
  }

  /** Whether the rows of this incarnation of a pod or node are in the database: nothing is announced before. */
  isPublished(owner: string, uid: string): boolean {
    return this.#publication.has(owner, uid);
  }

  /** Addresses of a subnet were freed. */
  freed(subnet: string): void {
    this.#reserve(subnet);
    for (const key of this.pods.waitingFor(subnet)) this.#dirtyPods.add(key);
    this.#retryAttachments();
    for (const key of this.vips.waitingFor(subnet)) this.#dirtyVips.add(key);
    this.subnets.freed(subnet);
    this.#options.api.writeStatus('Subnet', subnet);
    this.#tick.schedule();
  }

  /** Whether a deleted object's finalizer may go. */
  isFinished(kind: Finalized, name: string): boolean {
    return this.#finished.has(`${kind}/${name}`);
  }

  /** One round: judge, decide, compile, hand over. Also called directly by tests. */
  run(): void {
    const { onError } = this.#options;
    const judge = this.#judge;
    this.#judge = false;
    if (judge) attempt('subnets', onError, () => this.subnets.judge());
    attempt('nodes', onError, () =>
      drain(this.#dirtyNodes, (key) => {
        this.#mtu.changed(key);
        this.nodes.reconcile(key);
      }),
    );
    attempt('Vips', onError, () => drain(this.#dirtyVips, (key) => this.vips.reconcile(key)));
    attempt('untold pods', onError, () => drain(this.#untoldPods, (key) => this.pods.reconsider(key)));
    attempt('pods', onError, () => drain(this.#dirtyPods, (key) => this.pods.reconcile(key)));
    attempt('attachments', onError, () => drain(this.#dirtyAttachments, (key) => this.attachments.reconcile(key)));
    attempt('policies', onError, () => this.policies.run());
    attempt('QoSPolicies', onError, () => this.qos.run());
    attempt('SecurityGroups', onError, () => this.groups.run());
    this.engine.flush();
    this.#problems.tell();
    for (const { unit, done } of this.#awaiting.splice(0)) void this.#afterCommit(unit, done);
  }

  #finish(kind: Finalized, name: string): void {
    this.#finished.add(`${kind}/${name}`);
    this.#options.api.writeFinalizer(kind, name);
  }

  async #afterCommit(unit: string, effect: () => void): Promise<void> {
    try {
      await this.#options.sink.committed(unit);
      effect();
    } catch (error) {
      this.#options.onError(unit, error);
    }
  }

  stop(): void {
    this.#tick.stop();
    this.#problems.stop();
  }

  #podChanged(key: Key): void {
    const { state, api } = this.#options;
    const pod = state.get('Pod', key);
    this.#dirtyPods.add(key);
    this.#dirtyAttachments.add(key);
    if (pod === undefined) {
      this.#publication.gone('Pod', key);
      return;
    }
    // Somebody else may have edited what was announced.
    this.#publication.again('Pod', key);
    for (const vip of state.index('Vip', 'namespace', pod.namespace))
      if (sharesVip(pod, vip, state)) api.writeStatus('Vip', vip.name);
    this.#problems.changed(key);
  }

  #poolsChanged(subnet: string): void {
    const usable = this.#options.state.get('UsableSubnet', subnet);
    if (usable !== undefined) this.allocator.setSubnet(usable, this.pools.of(subnet));
    this.#sourcesChanged();
    this.#options.api.writeStatus('Subnet', subnet);
  }

  /** Addresses may be had elsewhere than before. */
  #sourcesChanged(): void {
    for (const key of this.pods.waitingAnywhere()) this.#dirtyPods.add(key);
    for (const key of this.pods.untold()) this.#untoldPods.add(key);
  }

  #keeperChanged(kind: KeeperKind, key: Key): void {
    const { keepFor, replaced } = this.#keepers.changed(kind, key);
    this.pods.keeperChanged(keepFor, replaced);
    for (const pod of this.pods.waitingIn(key.slice(0, key.indexOf('/')))) this.#dirtyPods.add(pod);
  }

  #subnetChanged(name: string): void {
    const { state, api, rules } = this.#options;
    this.pools.judge(name);
    for (const key of this.vips.waitingFor(name)) this.#dirtyVips.add(key);
    this.#reserve(name);
    // Also those that wait for another subnet: this one may list their namespace, or hold the address they ask for.
    this.#sourcesChanged();
    this.#retryAttachments();
    for (const { pod, owner } of state.index('AttachmentAddress', 'subnet', name)) {
      if (pod === undefined) api.announceContainer(splitOwner(owner)[1]);
      else this.#publication.again('Pod', pod);
    }
    // What was announced (gateway, cidr) may have changed with it.
    if (name === rules.joinSubnet) {
      for (const node of state.keys('Node')) {
        this.#dirtyNodes.add(node);
        this.#publication.again('Node', node);
      }
    }
    for (const address of state.index('PodAddress', 'subnet', name))
      this.#publication.again('Pod', address.owner.slice('Pod/'.length));
    api.writeStatus('Subnet', name);
    const vpc = (state.get('UsableSubnet', name) ?? state.get('Subnet', name))?.vpc;
    if (vpc !== undefined) api.writeStatus('Vpc', vpc);
  }

  /** Reservations by hand that found no subnet or a taken address are tried again, before any waiting pod. */
  #reserve(subnet: string): void {
    const { state, api } = this.#options;
    // Not before the addresses in use are known: the northbound database goes first.
    if (this.#loading) return;
    for (const record of state.index('IpRecord', 'reservation', subnet)) api.recordChanged(record.name);
  }

  #attachmentSeen(name: Key): void {
    const { state } = this.#options;
    const record = state.get('IpRecord', name);
    if (isContainerRecord(record) || state.get('AttachmentAddress', name) !== undefined)
      this.#dirtyAttachments.add(name);
    if (record !== undefined) this.attachments.recorded(record);
  }

  #retryAttachments(): void {
    for (const key of this.attachments.waiting()) this.#dirtyAttachments.add(key);
  }
}
