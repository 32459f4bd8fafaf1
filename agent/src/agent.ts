import { NODE_MTU } from '@ovenbird/crds';
import { type Node, type ObjectRef, type Pod, systemClock } from '@ovenbird/kube';
import type { Logger } from 'pino';
import { dataplaneProblem, exhaustion, unavailable, unproven } from './availability.ts';
import { bootstrapTransaction, chassisSettings, tunnelAddress } from './bootstrap.ts';
import { concernedByPod, concernedByRow, concernedBySubnet, type LoopName, removedPort } from './changes.ts';
import {
  cniInstalled,
  installCni,
  lacksPortmap,
  mendCni,
  removeStaleConflist,
  uninstallCni,
  watchConflist,
} from './cni-install.ts';
import type { AgentConfig } from './config.ts';
import { AgentError } from './error.ts';
import { type ForwardingReport, openForwarding } from './host/forward.ts';
import { concernsUnderlay, geneveOverhead, LEAST_IPV6_MTU, linkExists, listLinks, underlayOf } from './host/link.ts';
import { follow, monitors } from './host/monitor.ts';
import { concernsNat, Masquerade, natRuleset } from './host/nat.ts';
import { configureForwarding, configureHostPort, HOST_PORT, hostPortTransaction } from './host/ovn0.ts';
import { hasIpv6, hostNetworks, hostRoutes, nodeNetwork } from './networks.ts';
import {
  conditionPatch,
  GATEWAY_HEALTHY,
  type NodeConditionInput,
  networkEmulation,
  networkUnavailable,
} from './node/conditions.ts';
import { Daemons } from './node/daemons.ts';
import { Health, healthConditions, peersOf } from './node/health.ts';
import { nodeMetrics } from './node/metrics.ts';
import { ProbeAnswers, probe } from './node/probe.ts';
import { Serving } from './node/serving.ts';
import { UnderlaySize } from './node/underlay-size.ts';
import {
  commit,
  databaseUnavailable,
  integrationBridge,
  interfaceNamed,
  type Ovs,
  type OvsChange,
} from './ovs/database.ts';
import { SharedCommits } from './ovs/shared-commits.ts';
import { Attachments } from './pod/attachments.ts';
import { podKeyOf } from './pod/collect.ts';
import type { Containers } from './pod/containers.ts';
import { attachmentOf, podInterfaces } from './pod/interface-row.ts';
import { type ReconcileLoop, startLoop } from './reconcile-loop.ts';
import type { Watches } from './watches.ts';

/** What an agent is made of. */
export interface AgentParts {
  readonly config: AgentConfig;
  readonly ovs: Ovs;
  readonly watches: Watches;
  /** Containers outside of Kubernetes on this node. */
  readonly containers: Containers;
  readonly log: Logger;
  /** Reads one pod from the API server itself; undefined when it does not exist. */
  readonly lookup: (ref: ObjectRef, signal: AbortSignal) => Promise<Pod | undefined>;
  /** Reports on the Node object (an Event). */
  readonly noteNode: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** Warns on a Pod (an Event). */
  readonly notePod: (pod: Pod, reason: string, message: string) => void;
  /** Patches the status of this node's Node object (strategic merge). */
  readonly patchNodeStatus: (patch: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Ends the agent. */
  readonly signal: AbortSignal;
}

/**
 * The agent of one node: loops that keep the host as it should be, each woken by what it depends on, and the attachments
 * of pods.
 */
export class Agent {
  /** Pods' attachments, for the CNI server. */
  readonly attachments: Attachments;
  readonly #parts: AgentParts;
  readonly #loops: Readonly<Record<LoopName, ReconcileLoop>>;
  /** MTU that the underlay leaves for pods, once known. */
  #overlayMtu: number | undefined;
  #encapIp: string | undefined;
  /** Name of the link that carries it. */
  #underlay = '';
  readonly #underlaySize: UnderlaySize;
  readonly #nat: Masquerade;
  #forwarding: ForwardingReport = { opened: [], blocking: [] };
  #listening = false;
  readonly #daemons: Daemons;
  readonly #serving: Serving;
  readonly #health: Health;
  readonly #answers: ProbeAnswers;
  /** What the Node object has to say, by type. */
  readonly #conditions = new Map<string, NodeConditionInput>();

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const { config, ovs, watches, log, signal, lookup } = parts;
    const mtuOf = (subnet: string): number => this.mtuOf(subnet);
    const dataplane = (): ReturnType<typeof dataplaneProblem> => dataplaneProblem(config);
    const { pods } = watches;
    const { containers } = parts;
    const commits = new SharedCommits(ovs);
    this.#daemons = new Daemons({ config, onChange: () => this.#trigger('bootstrap', 'install'), log, signal });
    const onLeftover = (): void => this.#trigger('collect');
    this.attachments = new Attachments({
      config,
      ovs,
      commits,
      pods,
      containers,
      onLeftover,
      lookup,
      mtuOf,
      dataplane,
      log,
    });
    this.#health = new Health({ probe, onChange: () => this.#onHealth(), clock: systemClock, signal });
    this.#answers = new ProbeAnswers(signal);
    this.#nat = new Masquerade(log);
    this.#underlaySize = new UnderlaySize((message) => {
      log.warn(message);
      parts.noteNode('Warning', 'UnderlayMtuTooSmall', message);
    });
    this.#serving = new Serving({
      installed: () => cniInstalled(config),
      problem: () => this.notReady() ?? this.#daemons.problem()?.message,
      unproven: () => unproven(config, interfaceNamed(ovs, HOST_PORT)),
      graceMs: config.outOfServiceAfter,
      install: () => installCni(config),
      uninstall: () => uninstallCni(config),
      mend: () => mendCni(config),
      again: () => this.#trigger('install'),
      onChange: (reason) => this.#onService(reason),
      log,
      now: () => performance.now(),
    });
    const loop = (name: LoopName, reconcile: (signal: AbortSignal) => Promise<void>): ReconcileLoop =>
      startLoop({
        name,
        reconcile,
        log,
        signal,
        onRun: () => name !== 'install' && name !== 'conditions' && this.#loops.install.trigger(),
      });
    this.#loops = {
      bootstrap: loop('bootstrap', (signal) => this.#bootstrap(signal)),
      ovn0: loop('ovn0', (signal) => this.#hostPort(signal)),
      nat: loop('nat', () => this.#masquerade()),
      forward: loop('forward', () => this.#forward()),
      collect: loop('collect', (until) => this.attachments.collectAbandoned(until)),
      mtu: loop('mtu', (until) => this.attachments.followMtus(until)),
      ports: loop('ports', (until) => this.#restorePorts(until)),
      gateways: loop('gateways', (until) => this.attachments.followGateways(until)),
      netem: loop('netem', (until) => this.#emulate(until)),
      // Without API server nothing is decided anew: that is no fault of this node.
      install: loop('install', async () => {
        if (watches.pods.generation > 0) await this.#serving.reconcile();
      }),
      conditions: loop('conditions', () => this.#writeConditions()),
    };
  }

  /**
   * Connects the loops to their causes and waits for the first snapshot of the local database. Left-overs of an agent
   * that died are removed before this resolves.
   */
  async start(): Promise<void> {
    const { config, ovs, watches, log, signal } = this.#parts;
    if (await removeStaleConflist(config)) log.info('removed the CNI configuration of before the boot');
    ovs.replica.onChange((changes) => this.#onOvsChange(changes));
    // Nothing tells of changes of the older iptables: each of the Node, which come every few minutes, is an occasion to look.
    watches.nodes.onChange(() => this.#trigger('bootstrap', 'ovn0', 'nat', 'forward', 'conditions', 'install'));
    watches.subnets.onChange((changes) => this.#triggerAll(changes.map(concernedBySubnet)));
    watches.pods.onChange((changes) => {
      this.#triggerAll(changes.map(concernedByPod));
      if (this.attachments.hasStrays) this.#trigger('ports');
      for (const { old, new: pod } of changes) if (old === undefined && pod !== undefined) this.#tellHostPorts(pod);
    });
    // An object that the agent does not know of, or one whose container has just gone.
    watches.containers.onChange(() => this.#trigger('collect', 'gateways'));
    // An earlier agent may have left the node in service: that is judged without the database as well.
    void watches.synced.then(() => this.#trigger('install')).catch(() => {});
    await ovs.synced(signal);
    await this.attachments
      .collectOrphanLinks()
      .catch((err: unknown) => log.warn({ err }, 'links of nobody stay for now, looked at again with lost ports'));
    this.#daemons.start();
    this.#trigger('bootstrap', 'forward', 'collect');
    const unseen = (err: unknown): void =>
      log.warn({ err }, 'changes of the CNI configuration go unseen until a restart');
    await watchConflist(config, () => this.#trigger('install'), unseen, signal);
    const look = (): void => this.#trigger('nat', 'forward');
    const onLine = (line: string): void => {
      if (concernsUnderlay(line, this.#underlay)) this.#trigger('bootstrap');
    };
    void follow(monitors.links, { onLine, onStart: () => this.#trigger('bootstrap') }, log, signal);
    void follow(monitors.firewall, { onLine: (line) => this.#onNftLine(line), onStart: look }, log, signal);
    void watches.synced
      .then(() => this.#trigger('bootstrap', 'ovn0', 'nat', 'collect', 'gateways', 'mtu', 'netem', 'ports'))
      .catch(() => {});
  }

  /** Pods can be attached from now on; the runtime may be told. */
  markServing(): void {
    this.#listening = true;
    this.#trigger('install');
  }

  /** Why pods cannot be attached now; undefined when they can. */
  notReady(): string | undefined {
    const { ovs, watches, config } = this.#parts;
    if (ovs.state !== 'synced') return databaseUnavailable(config.ovsdb).message;
    if (watches.pods.generation === 0) return 'the API server has not been reached yet';
    const bridge = integrationBridge(ovs);
    if (bridge === undefined) return `the bridge br-int does not exist: ${this.#reason('bootstrap')}`;
    if (this.#encapIp === undefined) return `the chassis is not configured: ${this.#reason('bootstrap')}`;
    if ((interfaceNamed(ovs, 'br-int')?.ofport ?? -1) < 0) return 'ovs-vswitchd has not created br-int: is it running?';
    if (!this.#listening) return 'the agent is starting';
    const node = watches.nodes.get(config.nodeName);
    if (node === undefined) return `the Node ${config.nodeName} does not exist`;
    if (this.#loops.ovn0.successes === 0)
      return `the node's port ${HOST_PORT} is not connected: ${this.#reason('ovn0')}`;
    return undefined;
  }

  /**
   * Looks at the daemons, then at {@link notReady}: what `/readyz` says.
   * @returns AgentError `limited-connectivity` when attached pods suffer too, `not-available` when only new ones do
   */
  async unready(): Promise<AgentError | undefined> {
    const problem = await dataplaneProblem(this.#parts.config);
    if (problem?.running === true) return unavailable(problem);
    const reason = this.notReady();
    if (reason !== undefined) return new AgentError('not-available', reason);
    return problem === undefined ? undefined : unavailable(problem);
  }

  /**
   * CNI STATUS: {@link unready}, and whether there are addresses. The latter is no matter of this node's readiness: full
   * Subnets must not get nodes tainted.
   * @param subnet what the network configuration names
   */
  async cniStatus(subnet: string | undefined): Promise<AgentError | undefined> {
    const problem = await this.unready();
    if (problem !== undefined) return problem;
    const full = exhaustion(this.#parts.watches.subnets.values(), { join: nodeNetwork(this.#node())?.subnet, subnet });
    return full === undefined ? undefined : new AgentError('not-available', full);
  }

  /** MTU for pods of a Subnet. @throws AgentError `try-again` while the underlay's is not known */
  mtuOf(name: string): number {
    const subnet = this.#parts.watches.subnets.get(name);
    const mtu = subnet?.spec.mtu ?? this.#usualMtu();
    if (mtu === undefined) {
      const why = this.#loops.bootstrap.lastError?.message ?? 'the agent has just started';
      throw new AgentError('try-again', `the MTU of the underlay is not known yet, the runtime asks again; ${why}`);
    }
    return subnet !== undefined && hasIpv6(subnet) ? Math.max(mtu, LEAST_IPV6_MTU) : mtu;
  }

  /** MTU of pods in Subnets that set none, once known. */
  #usualMtu(): number | undefined {
    return this.#parts.config.mtu ?? this.#overlayMtu;
  }

  /** Health of the node, for Prometheus. */
  metrics(): string {
    return nodeMetrics(this.#serving.serves, this.#health.peers);
  }

  /** Everything about this agent, for the query socket. */
  status(): unknown {
    const { config, ovs, watches } = this.#parts;
    return {
      node: config.nodeName,
      notReady: this.notReady() ?? null,
      inService: this.#serving.serves ?? null,
      ovsdb: { state: ovs.state, remote: ovs.remote ?? null },
      encapIp: this.#encapIp ?? null,
      overlayMtu: this.#overlayMtu ?? null,
      watched: { pods: watches.pods.size, subnets: watches.subnets.size },
      busy: this.attachments.busy,
      health: this.#health.peers,
      forwarding: this.#forwarding,
      loops: Object.fromEntries(
        Object.entries(this.#loops).map(([name, { successes, lastError }]) => [
          name,
          { successes, lastError: lastError?.message ?? null },
        ]),
      ),
      pods: podInterfaces(ovs).map((row) => ({
        pod: row.external_ids.get('ip_object') ?? podKeyOf(row),
        link: row.name,
        ...attachmentOf(row),
        addresses: row.external_ids.get('ip_addresses') ?? '',
        ofport: row.ofport ?? null,
        installed: this.#daemons.hasFlows && row.external_ids.get('ovn-installed') === 'true',
        error: row.error ?? null,
      })),
    };
  }

  /** Wakes loops. Those that build on the chassis wait for the first bootstrap, which wakes them. */
  #trigger(...names: readonly LoopName[]): void {
    for (const name of names) {
      if (this.#encapIp !== undefined || (name !== 'ovn0' && name !== 'nat')) this.#loops[name].trigger();
    }
  }

  /** Wakes each loop once that changes which came together concern. */
  #triggerAll(concerned: readonly (readonly LoopName[])[]): void {
    this.#trigger(...new Set(concerned.flat()));
  }

  #reason(name: LoopName): string {
    return this.#loops[name].lastError?.message ?? 'not tried yet';
  }

  #onOvsChange(changes: readonly OvsChange[]): void {
    this.#triggerAll(changes.map(concernedByRow));
    for (const change of changes) {
      const lost = removedPort(change);
      if (lost !== undefined) void this.attachments.isLost(lost).then((is) => is && this.#trigger('ports'));
    }
  }

  #onNftLine(line: string): void {
    // Of a write of the agent's own, too: it then finds the table as it left it.
    if (concernsNat(line)) this.#trigger('nat');
    else if (line.includes('hook forward')) this.#trigger('forward');
    // The line of a deletion does not say which hook the chain had; it matters only while one is in the way.
    else if (line.startsWith('delete chain ') && this.#forwarding.blocking.length > 0) this.#trigger('forward');
  }

  #node(): Node | undefined {
    return this.#parts.watches.nodes.get(this.#parts.config.nodeName);
  }

  async #bootstrap(signal: AbortSignal): Promise<void> {
    const { config, ovs, watches, log } = this.#parts;
    const encapIp = tunnelAddress(config, this.#node());
    const underlay = underlayOf(await listLinks(), encapIp);
    const mtu = underlay.mtu - geneveOverhead(encapIp);
    const mtuChanged = this.#overlayMtu !== undefined && this.#overlayMtu !== mtu;
    if (this.#overlayMtu !== mtu) this.#trigger('conditions');
    if (mtuChanged) log.info({ before: this.#overlayMtu, mtu }, 'the MTU of the underlay changed');
    this.#overlayMtu = mtu;
    this.#underlay = underlay.ifname;
    const ipv6 = [...watches.subnets.values()].some(hasIpv6);
    const fragments = this.#underlaySize.settings(underlay, encapIp, ipv6);
    const settings = new Map([...chassisSettings(config, encapIp), ...fragments]);
    await commit(ovs, () => bootstrapTransaction(ovs, config, settings, this.#daemons.hasFlows), signal);
    const isNew = this.#encapIp !== encapIp;
    this.#encapIp = encapIp;
    if (isNew) this.#trigger('ovn0', 'nat');
    if (mtuChanged) this.#trigger('ovn0', 'mtu');
  }

  async #hostPort(signal: AbortSignal): Promise<void> {
    const { config, ovs, watches, log } = this.#parts;
    const node = nodeNetwork(this.#node());
    if (node === undefined)
      throw new AgentError('try-again', 'the controller has not announced its address on the Node yet');
    // Without them every route would seem superfluous, and the MTU somebody else's.
    if (watches.subnets.generation === 0) throw new AgentError('try-again', 'the Subnets are not listed yet');
    const mtu = this.mtuOf(node.subnet);
    await commit(ovs, () => hostPortTransaction(ovs, node, mtu), signal);
    if (integrationBridge(ovs) === undefined) throw new AgentError('try-again', 'br-int does not exist yet');
    if (!linkExists(HOST_PORT)) throw new AgentError('try-again', `ovs-vswitchd has not created ${HOST_PORT} yet`);
    configureForwarding(node.addresses.some(({ address }) => address.includes(':')));
    const networks = hostNetworks(watches.subnets, node.subnet);
    const did = await configureHostPort(node, hostRoutes(networks, node));
    if (did.length > 0) log.info({ did }, `${HOST_PORT} configured`);
    this.#health.follow(peersOf(config.nodeName, node, watches.subnets.get(node.subnet)));
    await this.#answers.follow(node.addresses.map(({ address }) => address));
  }

  async #masquerade(): Promise<void> {
    const { watches, config } = this.#parts;
    if (watches.subnets.generation === 0) return;
    const join = nodeNetwork(this.#node())?.subnet;
    if (join === undefined) return;
    await this.#nat.follow(natRuleset(hostNetworks(watches.subnets, join), config.serviceCidr.split(',')));
  }

  async #forward(): Promise<void> {
    const { log, noteNode } = this.#parts;
    const before = new Set(this.#forwarding.blocking);
    this.#forwarding = await openForwarding();
    for (const message of this.#forwarding.blocking) {
      if (before.has(message)) continue;
      log.warn({ message }, 'a firewall drops traffic of pods');
      noteNode('Warning', 'ForwardingBlocked', message);
    }
  }

  #onService(reason: string | undefined): void {
    const { noteNode } = this.#parts;
    const condition = networkUnavailable(reason);
    // A start is no news.
    if (reason !== undefined) noteNode('Warning', 'OutOfService', `pods cannot be attached: ${reason}`);
    else if (this.#conditions.get(condition.type)?.status === 'True')
      noteNode('Normal', 'InService', 'pods can be attached again');
    this.#say(condition);
  }

  #tellHostPorts(pod: Pod): void {
    const lacks = lacksPortmap(pod, this.#parts.config);
    // What runs was told when it came.
    if (lacks === undefined || pod.status?.phase !== 'Pending') return;
    const { namespace = '', name } = pod.metadata;
    this.#parts.log.warn({ pod: `${namespace}/${name}` }, lacks);
    this.#parts.notePod(pod, 'HostPortUnavailable', lacks);
  }

  async #restorePorts(signal: AbortSignal): Promise<void> {
    const { log, noteNode } = this.#parts;
    const tell = (link: string, message: string): void => {
      log.warn({ link }, message);
      noteNode('Warning', 'PortLost', message);
    };
    if ((await this.attachments.restorePorts(tell, signal)) > 0) this.#trigger('gateways', 'collect');
  }

  async #emulate(signal: AbortSignal): Promise<void> {
    const { notePod } = this.#parts;
    const condition = networkEmulation(false);
    const lacked = this.attachments.lacksNetem;
    await this.attachments.followNetem((pod) => notePod(pod, 'NetemUnavailable', condition.message), signal);
    // A node on which nobody ever asked says nothing.
    if (lacked || this.attachments.lacksNetem) this.#say(networkEmulation(!this.attachments.lacksNetem));
  }

  #onHealth(): void {
    const said = this.#node()?.status?.conditions?.map(({ type }) => type) ?? [];
    for (const condition of healthConditions(this.#health.peers, new Set([...said, ...this.#conditions.keys()]))) {
      const before = this.#conditions.get(condition.type);
      if (before?.message === condition.message) continue;
      const what = condition.type === GATEWAY_HEALTHY ? 'Gateway' : 'Tunnels';
      if (condition.status === 'False') this.#parts.noteNode('Warning', `${what}Unhealthy`, condition.message);
      else if (before?.status === 'False') this.#parts.noteNode('Normal', `${what}Healthy`, condition.message);
      this.#say(condition);
    }
  }

  #say(condition: NodeConditionInput): void {
    this.#conditions.set(condition.type, condition);
    this.#trigger('conditions');
  }

  async #writeConditions(): Promise<void> {
    const node = this.#node();
    if (node === undefined) return;
    const mtu = this.#usualMtu();
    // The controller tells it to DHCP clients, which know nothing of the underlay.
    const annotations = mtu === undefined ? {} : { [NODE_MTU]: String(mtu) };
    const patch = conditionPatch(node, [...this.#conditions.values()], Date.now(), annotations);
    if (patch !== undefined) await this.#parts.patchNodeStatus(patch);
  }
}
