import type { Pod } from '@ovenbird/kube';
import { AgentError, messageOf, throwTogether } from '../error.ts';
import { linkExists } from '../host/link.ts';
import { DATABASE_PATIENCE_MS, interfaceNamed, withPatience } from '../ovs/database.ts';
import { attach } from './attach.ts';
import { check } from './check.ts';
import { abandonedAttachments, invalidAttachments, unlisted } from './collect.ts';
import type { PodContext } from './context.ts';
import { detach } from './detach.ts';
import { followGateway, movedGateways } from './gateway.ts';
import type { Attachment } from './interface-row.ts';
import { KeyedLock } from './keyed-lock.ts';
import { LostPorts, type TellStray } from './lost-ports.ts';
import { followMtu, wrongMtus } from './mtu.ts';
import { applyNetem, changedNetem } from './netem.ts';
import type { CniRequest } from './request.ts';
import type { CniAddResult } from './result.ts';
import { hostVethName } from './veth.ts';

/**
 * All attachments of this node. Requests for one attachment run one after the other; those for different ones at the
 * same time. A DEL does not wait behind an ADD that waits for something: it aborts it.
 */
export class Attachments {
  readonly #context: PodContext;
  readonly #lock = new KeyedLock();
  readonly #adding = new Map<string, AbortController>();
  /** Attachments that a collection left alone because ADD was in progress. */
  readonly #passedOver = new Set<string>();
  /** What links were to do that this kernel cannot, by host end. */
  readonly #withoutNetem = new Map<string, string>();
  readonly #lostPorts: LostPorts;

  constructor(context: PodContext) {
    this.#context = context;
    this.#lostPorts = new LostPorts(context, this.#lock);
  }

  /** Attachments with a request in progress. */
  get busy(): number {
    return this.#lock.size;
  }

  /** CNI ADD. @param signal aborted when the client went away or the agent ends; the ADD is then undone */
  async add(request: CniRequest, signal: AbortSignal): Promise<CniAddResult> {
    const { containerId, ifname } = request;
    const key = hostVethName(containerId, ifname);
    try {
      return await this.#lock.run(key, async () => {
        const aborter = new AbortController();
        this.#adding.set(key, aborter);
        try {
          const either = AbortSignal.any([signal, aborter.signal]);
          await this.#synced(this.#context.config.installTimeout, either);
          return await attach(this.#context, request, either);
        } finally {
          this.#adding.delete(key);
        }
      });
    } catch (error) {
      this.#noteLeftover(containerId, ifname);
      throw error;
    } finally {
      if (this.#passedOver.delete(key)) this.#context.onLeftover();
    }
  }

  /** CNI DEL. Succeeds for attachments that do not exist. */
  async delete(containerId: string, ifname: string): Promise<void> {
    const key = hostVethName(containerId, ifname);
    this.#adding.get(key)?.abort(new AgentError('try-again', 'the runtime sent DEL while ADD was in progress'));
    await this.#lock.run(key, () => detach(this.#context, containerId, ifname));
    this.#noteLeftover(containerId, ifname);
  }

  /** CNI CHECK. */
  async check(request: CniRequest, signal: AbortSignal): Promise<void> {
    await this.#lock.run(hostVethName(request.containerId, request.ifname), async () => {
      await this.#synced(this.#context.config.installTimeout, signal);
      await check(this.#context, request, signal);
    });
  }

  /**
   * CNI GC: removes what the runtime does not list and what was abandoned. Goes on after a failure.
   * @throws AgentError the failures together
   */
  async collectGarbage(request: CniRequest): Promise<void> {
    await this.#synced(DATABASE_PATIENCE_MS);
    const { ovs, pods, containers } = this.#context;
    const valid = request.config['cni.dev/valid-attachments'];
    const unwanted = unlisted(request.config.name, valid);
    const find = (): readonly Attachment[] => [
      ...invalidAttachments(ovs, unwanted),
      ...abandonedAttachments(ovs, pods, containers.objects),
    ];
    const failed = (work: Promise<void>): Promise<string[]> =>
      work.then(
        () => [],
        (error: unknown) => [messageOf(error)],
      );
    // What is invalid by the list of now, not by what is attached from here on.
    const attached = await this.#deleteAll(find);
    const orphans = await failed(this.#lostPorts.collect(unwanted));
    throwTogether([...orphans, ...attached, ...(await failed(this.collectContainers()))]);
  }

  /** Removes attachments that have no container any more. @throws AgentError the failures together */
  async collectAbandoned(signal: AbortSignal): Promise<void> {
    const { ovs, pods, containers } = this.#context;
    // What is not known yet is not gone.
    await ovs.synced(signal);
    throwTogether(await this.#deleteAll(() => abandonedAttachments(ovs, pods, containers.objects)));
    await this.collectContainers();
  }

  /**
   * Removes IP objects of containers that have no interface: of an ADD that was cut off, or a DEL without API server.
   * @throws AgentError the failures together
   */
  async collectContainers(): Promise<void> {
    const { containers, log } = this.#context;
    // Of one with a request in progress nothing is known before its end.
    const left = containers.all().filter(({ hostName }) => !this.#lock.holds(hostName) && this.#isGone(hostName));
    // At once: without API server each takes as long as a request may.
    const failures = left.map(async ({ object, hostName }) => {
      const { name } = object.metadata;
      log.info({ object: name }, 'removing the IP object of a container that is gone');
      return await this.#lock
        .run(hostName, async () => {
          if (this.#isGone(hostName)) await containers.remove(object);
        })
        .then(
          () => [],
          (error: unknown) => [`IP object ${name}: ${messageOf(error)}`],
        );
    });
    throwTogether((await Promise.all(failures)).flat());
  }

  /** Removes pairs without a row that belong to nobody. @throws AgentError the failures together */
  async collectOrphanLinks(): Promise<void> {
    await this.#lostPorts.collect();
  }

  /** Whether links of running pods wait for something to be announced, to be connected again. */
  get hasStrays(): boolean {
    return this.#lostPorts.hasStrays;
  }

  /** Connects running pods again that lost their port. @returns how many. @throws AgentError the failures together */
  async restorePorts(tell: TellStray, signal: AbortSignal): Promise<number> {
    await this.#context.ovs.synced(signal);
    return await this.#lostPorts.restore(tell, signal);
  }

  /** Whether a link whose row was removed stays without one: not so where a request removed it. */
  async isLost(hostName: string): Promise<boolean> {
    return await this.#lostPorts.isLost(hostName);
  }

  /** Points the routes of running containers at the gateways that are announced now. @throws AgentError the failures together */
  async followGateways(signal: AbortSignal): Promise<void> {
    const failures: string[] = [];
    for (const moved of movedGateways(this.#context)) {
      await this.#lock
        .run(moved.hostName, () => followGateway(this.#context, moved, signal))
        .catch((error: unknown) => failures.push(`${moved.now.label}: ${messageOf(error)}`));
    }
    throwTogether(failures);
  }

  /**
   * Has pods' links delay and lose packets as their annotations say now. @throws AgentError the failures together
   * @param unsupported called for a pod whose wish this kernel cannot fulfil; it is not tried again until it is another one
   */
  async followNetem(unsupported: (pod: Pod) => void, signal: AbortSignal): Promise<void> {
    const { ovs } = this.#context;
    const failures: string[] = [];
    const changed = changedNetem(this.#context);
    for (const key of this.#withoutNetem.keys())
      if (!changed.some(({ hostName, text }) => hostName === key && this.#withoutNetem.get(key) === text))
        this.#withoutNetem.delete(key);
    for (const one of changed) {
      const { hostName, pod, text } = one;
      if (this.#withoutNetem.has(hostName)) continue;
      const done = this.#lock.run(hostName, () => applyNetem(ovs, one, signal));
      await done.then(
        (works) => {
          if (works) return;
          this.#withoutNetem.set(hostName, text);
          unsupported(pod);
        },
        (error: unknown) => failures.push(`${pod.metadata.namespace}/${pod.metadata.name}: ${messageOf(error)}`),
      );
    }
    throwTogether(failures);
  }

  /** Gives running pods the MTU that new ones get. @throws AgentError the failures together */
  async followMtus(signal: AbortSignal): Promise<void> {
    const failures: string[] = [];
    for (const wrong of await wrongMtus(this.#context)) {
      await this.#lock
        .run(wrong.hostName, () => followMtu(this.#context, wrong, signal))
        .catch((error: unknown) => failures.push(`${wrong.hostName}: ${messageOf(error)}`));
    }
    throwTogether(failures);
  }

  /** Whether a pod asks for delay or loss in vain. */
  get lacksNetem(): boolean {
    return this.#withoutNetem.size > 0;
  }

  /** Without the database nothing is begun that could not be finished. @throws AgentError `try-again` naming it */
  async #synced(patienceMs: number, signal?: AbortSignal): Promise<void> {
    const { ovs, config } = this.#context;
    await withPatience(config.ovsdb, patienceMs, signal, (until) => ovs.synced(until));
  }

  /** Asks for another try where an interface is gone and its IP object is not. After its request: one in progress is passed over. */
  #noteLeftover(containerId: string, ifname: string): void {
    const { containers, onLeftover } = this.#context;
    if (this.#isGone(hostVethName(containerId, ifname)) && containers.of(containerId, ifname) !== undefined)
      onLeftover();
  }

  /** Whether an interface has neither a port nor a link: one that has only lost its port gets it again. */
  #isGone(hostName: string): boolean {
    return interfaceNamed(this.#context.ovs, hostName) === undefined && !linkExists(hostName);
  }

  /**
   * Removes what `find` finds now and, when its turn has come, still finds. An ADD in progress is neither aborted nor undone.
   * Goes on after a failure; returns what failed.
   */
  async #deleteAll(find: () => readonly Attachment[]): Promise<string[]> {
    const { ovs, log } = this.#context;
    const failures: string[] = [];
    const found = find().map(({ containerId, ifname }) => {
      const key = hostVethName(containerId, ifname);
      return { containerId, ifname, key, row: interfaceNamed(ovs, key)?._uuid };
    });
    for (const { containerId, ifname, key, row } of found) {
      if (this.#adding.has(key)) {
        this.#passedOver.add(key);
        continue;
      }
      const remove = async (): Promise<void> => {
        const isLeft = find().some((one) => hostVethName(one.containerId, one.ifname) === key);
        if (!isLeft || interfaceNamed(ovs, key)?._uuid !== row) return;
        log.info({ containerId, ifname }, 'removing an attachment whose container is gone');
        await detach(this.#context, containerId, ifname);
      };
      await this.#lock.run(key, remove).catch((error: unknown) => {
        failures.push(`${containerId} ${ifname}: ${messageOf(error)}`);
      });
      this.#noteLeftover(containerId, ifname);
    }
    return failures;
  }
}
