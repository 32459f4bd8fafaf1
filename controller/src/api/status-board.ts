import {
  type IP,
  IPPOOLS,
  type IPPool,
  IPS,
  ipObject,
  QOSPOLICIES,
  type QoSPolicy,
  SECURITYGROUPS,
  type SecurityGroup,
  SUBNETS,
  type Subnet as SubnetObject,
  VIPS,
  type Vip,
  VPCS,
  type Vpc as VpcObject,
} from '@ovenbird/crds';
import type { Clock, ClusterPolicyObject, StatusWriter } from '@ovenbird/kube';
import type { Brain } from '../brain.ts';
import { type ClusterPolicyKind, clusterPolicyKey, clusterPolicyKinds } from '../policy/cluster-model.ts';
import { type ReservationProblem, reservationCondition } from '../records/reservation.ts';
import type { State } from '../store/state.ts';
import { clusterPolicyResources } from '../store/watch.ts';
import { clusterPolicyStatus } from './cluster-policy-status.ts';
import { ConditionWarnings, type Warn } from './condition-warnings.ts';
import { poolStatus } from './pool-status.ts';
import { qosStatus } from './qos-status.ts';
import { securityGroupStatus } from './security-group-status.ts';
import { type HeldReason, subnetStatus, vpcStatus } from './subnet-status.ts';
import { vipStatus } from './vip-status.ts';

/** Counts may lag behind by this much: a burst of pods writes a Subnet's status a few times, not once per pod. */
const coalesceMs = 500;

/** Writing ranges sorts what is in use; in a large subnet it is done less often, so that it takes 2 % of the time at most. */
const restFactor = 50;

/**
 * Keeps the status of Subnets, Vpcs, IPPools, Vips, QoSPolicies, SecurityGroups, cluster policies and of IPs that reserve
 * addresses true, off every pod's path.
 */
export class StatusBoard {
  readonly #state: State;
  readonly #writer: Pick<StatusWriter, 'update'>;
  readonly #clock: Clock;
  readonly #warnings: ConditionWarnings;
  readonly #held: HeldReason;
  readonly #defaultVpc: string;
  /** As the API server has them: the writer compares with the stored status. */
  readonly #subnets = new Map<string, SubnetObject>();
  readonly #vpcs = new Map<string, VpcObject>();
  readonly #pools = new Map<string, IPPool>();
  readonly #vips = new Map<string, Vip>();
  readonly #qos = new Map<string, QoSPolicy>();
  readonly #groups = new Map<string, SecurityGroup>();
  /** Reservations made by hand: the other IP objects say all in their spec. */
  readonly #ips = new Map<string, IP>();
  readonly #reservationProblem: (name: string) => ReservationProblem | undefined;
  /** By kind and name. */
  readonly #policies = new Map<string, ClusterPolicyObject>();
  readonly #due = new Set<string>();
  /** Takes the next flush back. */
  #cancel: (() => void) | undefined;
  #pauseMs = coalesceMs;
  #brain: Brain | undefined;

  constructor(options: {
    state: State;
    writer: Pick<StatusWriter, 'update'>;
    clock: Clock;
    /** Told of a Subnet, Vpc, IPPool, QoSPolicy or SecurityGroup that is not in force as written, once. */
    warn: Warn;
    defaultVpc: string;
    held: HeldReason;
    reservationProblem: (name: string) => ReservationProblem | undefined;
    signal: AbortSignal;
  }) {
    this.#state = options.state;
    this.#writer = options.writer;
    this.#clock = options.clock;
    this.#warnings = new ConditionWarnings(options.warn);
    this.#held = options.held;
    this.#reservationProblem = options.reservationProblem;
    this.#defaultVpc = options.defaultVpc;
    options.signal.addEventListener('abort', () => this.#cancel?.(), { once: true });
  }

  /** Status is written from here on. */
  start(brain: Brain): void {
    this.#brain = brain;
    for (const name of this.#subnets.keys()) this.due('Subnet', name);
    for (const name of this.#vpcs.keys()) this.due('Vpc', name);
    for (const name of this.#pools.keys()) this.due('IPPool', name);
    for (const name of this.#vips.keys()) this.due('Vip', name);
    for (const name of this.#qos.keys()) this.due('QoSPolicy', name);
    for (const name of this.#groups.keys()) this.due('SecurityGroup', name);
    for (const kind of clusterPolicyKinds) for (const name of this.#state.keys(kind)) this.due(kind, name);
  }

  seenSubnet(object: SubnetObject): void {
    this.#subnets.set(object.metadata.name, object);
  }

  seenVpc(object: VpcObject): void {
    this.#vpcs.set(object.metadata.name, object);
  }

  seenIpPool(object: IPPool): void {
    this.#pools.set(object.metadata.name, object);
  }

  seenClusterPolicy(kind: ClusterPolicyKind, object: ClusterPolicyObject): void {
    this.#policies.set(clusterPolicyKey({ kind, name: object.metadata.name }), object);
  }

  seenVip(object: Vip): void {
    this.#vips.set(object.metadata.name, object);
  }

  seenQosPolicy(object: QoSPolicy): void {
    this.#qos.set(object.metadata.name, object);
  }

  seenSecurityGroup(object: SecurityGroup): void {
    this.#groups.set(object.metadata.name, object);
  }

  seenIp(object: IP): void {
    const { name, labels } = object.metadata;
    if (labels?.[ipObject.managed] === 'true' || object.spec.attachment !== undefined) this.#ips.delete(name);
    else this.#ips.set(name, object);
  }

  due(
    kind: 'Subnet' | 'Vpc' | 'IPPool' | ClusterPolicyKind | 'Vip' | 'QoSPolicy' | 'SecurityGroup' | 'IP',
    name: string,
  ): void {
    this.#due.add(`${kind}/${name}`);
    if (this.#brain === undefined || this.#cancel !== undefined) return;
    this.#cancel = this.#clock.schedule(this.#pauseMs, () => {
      this.#cancel = undefined;
      const begun = this.#clock.monotonicMs();
      this.#flush();
      this.#pauseMs = Math.max(coalesceMs, restFactor * (this.#clock.monotonicMs() - begun));
    });
  }

  #flush(): void {
    const brain = this.#brain;
    if (brain === undefined) return;
    // The counts of a subnet's IPPools change with its own.
    for (const key of [...this.#due]) {
      const subnet = key.startsWith('Subnet/') ? key.slice('Subnet/'.length) : undefined;
      if (subnet === undefined) continue;
      for (const { name } of this.#state.index('IPPool', 'subnet', subnet)) this.#due.add(`IPPool/${name}`);
    }
    for (const key of this.#due) {
      const name = key.slice(key.indexOf('/') + 1);
      if (key.startsWith('Subnet/')) this.#writeSubnet(name, brain);
      else if (key.startsWith('IPPool/')) this.#writePool(name, brain);
      else if (key.startsWith('Vip/')) this.#writeVip(name, brain);
      else if (key.startsWith('QoSPolicy/')) this.#writeQosPolicy(name);
      else if (key.startsWith('SecurityGroup/')) this.#writeGroup(name, brain);
      else if (key.startsWith('IP/')) this.#writeReservation(name, brain);
      else if (key.startsWith('Vpc/')) this.#writeVpc(name);
      else for (const kind of clusterPolicyKinds) if (key.startsWith(`${kind}/`)) this.#writePolicy(kind, name);
    }
    this.#due.clear();
  }

  #writeSubnet(name: string, brain: Brain): void {
    const subnet = this.#state.get('Subnet', name);
    const object = this.#subnets.get(name);
    if (subnet === undefined || object === undefined) {
      this.#subnets.delete(name);
      this.#warnings.forget(SUBNETS, name);
      return;
    }
    const { fields, conditions } = subnetStatus(subnet, brain, this.#state, this.#held);
    this.#warnings.look(SUBNETS, object, conditions);
    this.#writer.update(SUBNETS, object, { fields: { ...fields }, conditions });
  }

  #writeVip(name: string, brain: Brain): void {
    const vip = this.#state.get('Vip', name);
    const object = this.#vips.get(name);
    if (vip === undefined || object === undefined) {
      this.#vips.delete(name);
      return;
    }
    const { fields, conditions } = vipStatus(vip, brain, this.#state, this.#held);
    this.#writer.update(VIPS, object, { fields: { ...fields }, conditions });
  }

  #writeQosPolicy(name: string): void {
    const policy = this.#state.get('QoSPolicy', name);
    const object = this.#qos.get(name);
    if (policy === undefined || object === undefined) {
      this.#qos.delete(name);
      this.#warnings.forget(QOSPOLICIES, name);
      return;
    }
    const { fields, conditions } = qosStatus(policy, this.#state, this.#held);
    this.#warnings.look(QOSPOLICIES, object, conditions);
    this.#writer.update(QOSPOLICIES, object, { fields: { ...fields }, conditions });
  }

  #writeGroup(name: string, brain: Brain): void {
    const group = this.#state.get('SecurityGroup', name);
    const object = this.#groups.get(name);
    if (group === undefined || object === undefined) {
      this.#groups.delete(name);
      this.#warnings.forget(SECURITYGROUPS, name);
      return;
    }
    const { fields, conditions } = securityGroupStatus(group, brain.groups, this.#state, this.#held);
    this.#warnings.look(SECURITYGROUPS, object, conditions);
    this.#writer.update(SECURITYGROUPS, object, { fields: { ...fields }, conditions });
  }

  #writeReservation(name: string, brain: Brain): void {
    const record = this.#state.get('IpRecord', name);
    const object = this.#ips.get(name);
    if (record === undefined || object === undefined) {
      this.#ips.delete(name);
      return;
    }
    const problem = this.#reservationProblem(name);
    const condition = reservationCondition(record, problem, brain.allocator, this.#state);
    this.#writer.update(IPS, object, { conditions: [condition] });
  }

  #writePool(name: string, brain: Brain): void {
    const pool = this.#state.get('IPPool', name);
    const object = this.#pools.get(name);
    if (pool === undefined || object === undefined) {
      this.#pools.delete(name);
      this.#warnings.forget(IPPOOLS, name);
      return;
    }
    const { fields, conditions } = poolStatus(pool, brain, this.#held);
    this.#warnings.look(IPPOOLS, object, conditions);
    this.#writer.update(IPPOOLS, object, { fields: { ...fields }, conditions });
  }

  #writePolicy(kind: ClusterPolicyKind, name: string): void {
    const key = clusterPolicyKey({ kind, name });
    const policy = this.#state.get(kind, name);
    const object = this.#policies.get(key);
    if (policy === undefined || object === undefined) {
      this.#policies.delete(key);
      return;
    }
    const old = (object.status?.conditions ?? []).map(({ type }) => type);
    const conditions = clusterPolicyStatus(policy, this.#state.get('ClusterPlan', key), this.#held, old);
    this.#writer.update(clusterPolicyResources[kind], object, { conditions });
  }

  #writeVpc(name: string): void {
    const object = this.#vpcs.get(name);
    if (this.#state.get('Vpc', name) === undefined || object === undefined) {
      this.#vpcs.delete(name);
      this.#warnings.forget(VPCS, name);
      return;
    }
    const { fields, conditions } = vpcStatus(name, this.#defaultVpc, this.#state, this.#held);
    this.#warnings.look(VPCS, object, conditions);
    this.#writer.update(VPCS, object, { fields: { ...fields }, conditions });
  }
}
