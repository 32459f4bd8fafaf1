import { isIpamOnly } from '@ovenbird/crds';
import type { Allocator } from '../alloc/allocator.ts';
import type { SubnetRules } from '../alloc/choose-subnet.ts';
import { AllocError } from '../alloc/error.ts';
import { ownerOf } from '../compile/names.ts';
import { hasPort, reasons } from '../pod/life.ts';
import type { IpRecord, Key, Pod } from '../store/model.ts';
import type { State } from '../store/state.ts';
import type { AttachmentAddress, NetworkSelection, WantedAttachment } from './model.ts';
import { attachmentSubnets } from './subnets.ts';
import { attachmentUid, podOfKey, selectionsOf, wantedByContainer, wantedByPod } from './wanted.ts';

/** What follows from decisions about attachments, after the northbound database has them. */
export interface AttachmentEffects {
  committed(unit: string, then: () => void): void;
  /** A pod's interfaces are to be announced (again). */
  announcePod(key: Key): void;
  /** A container's IP object is to say what it got. */
  announceContainer(name: Key): void;
  /** A container's IP object is to say why it gets nothing. */
  refuseContainer(name: Key, reason: string, message: string): void;
  recordChanged(owner: string): void;
  warn(pod: Pod, reason: string, message: string): void;
  freed(subnet: string): void;
}

const unitOf = (key: Key): string => ownerOf('AttachmentAddress', key);

/**
 * Gives attachments (further interfaces of pods, and containers outside of Kubernetes) their addresses, and takes them
 * back. One that cannot have any waits, and is tried again when a subnet, a definition or what asks for it changes.
 */
export class AttachmentLife {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #rules: SubnetRules;
  readonly #effects: AttachmentEffects;
  /** What waits, by attachment or (its list of networks cannot be read) by pod, and why. */
  readonly #waiting = new Map<Key, { readonly uid: string; readonly message: string }>();

  constructor(state: State, allocator: Allocator, rules: SubnetRules, effects: AttachmentEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#rules = rules;
    this.#effects = effects;
  }

  /** What to reconcile again when something changed that waiting attachments may care about: pods and IP objects. */
  waiting(): ReadonlySet<Key> {
    return new Set([...this.#waiting.keys()].map((key) => (key.split('/').length > 2 ? (podOfKey(key) ?? key) : key)));
  }

  /** Brings alloc in line with one pod (`namespace/name`) or one container (name of its IP object). */
  reconcile(key: Key): void {
    if (key.includes('/')) this.#reconcilePod(key);
    else this.#reconcileContainer(key);
  }

  /** The port of an attachment is gone: unless somebody took it over, its address is free. */
  portGone(key: Key): void {
    if (this.#state.get('AttachmentAddress', key) !== undefined) return;
    const address = this.#allocator.release(ownerOf('Attachment', key));
    if (address === undefined) return;
    this.#effects.recordChanged(address.owner);
    this.#effects.freed(address.subnet);
  }

  /** The port of an attachment is in the northbound database: it may be announced. */
  committed(key: Key, uid: string): void {
    const address = this.#state.get('AttachmentAddress', key);
    if (address?.uid !== uid) return;
    this.#state.set('AttachmentAddress', key, { ...address, committed: true });
    const pod = podOfKey(key);
    if (pod === undefined) this.#effects.announceContainer(key);
    else this.#effects.announcePod(pod);
    this.#effects.recordChanged(address.owner);
  }

  /** An IP object was seen: an address without a port that it records may be announced. */
  recorded({ attachment, namespace = '', podName, ownerUid }: IpRecord): void {
    if (attachment === undefined || podName === undefined) return;
    const key = `${namespace}/${podName}/${attachment.interface}`;
    const address = this.#state.get('AttachmentAddress', key);
    if (address === undefined || address.committed || !isIpamOnly(address.provider)) return;
    if (address.uid === ownerUid) this.committed(key, address.uid);
  }

  #reconcileContainer(name: Key): void {
    const record = this.#state.get('IpRecord', name);
    if (record === undefined || attachmentUid(this.#state, name) === undefined) {
      this.#forget(name);
      return;
    }
    if (this.#state.get('AttachmentAddress', name)?.uid === record.uid) return;
    this.#try(
      name,
      record.uid,
      () => wantedByContainer(record),
      (reason, message) => this.#effects.refuseContainer(name, reason, message),
    );
  }

  #reconcilePod(key: Key): void {
    const pod = this.#state.get('Pod', key);
    const present = this.#state.index('AttachmentAddress', 'pod', key);
    const waiting = [...this.#waiting.keys()].filter((one) => one === key || podOfKey(one) === key);
    if (!hasPort(pod)) {
      for (const one of waiting) this.#waiting.delete(one);
      for (const { ifname } of present) this.#forget(`${key}/${ifname}`);
      return;
    }
    const refuse = (reason: string, message: string): void => this.#effects.warn(pod, reason, message);
    let selections: readonly NetworkSelection[];
    try {
      selections = selectionsOf(pod);
      this.#waiting.delete(key);
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      // What is attached stays so: an edit that cannot be read takes nothing away from this pod.
      for (const { ifname, uid } of present) if (uid !== pod.uid) this.#forget(`${key}/${ifname}`);
      this.#wait(key, pod.uid, error, refuse);
      return;
    }
    const names = new Set(selections.map(({ ifname }) => ifname));
    for (const { ifname } of present) if (!names.has(ifname)) this.#forget(`${key}/${ifname}`);
    for (const one of waiting) if (one !== key && !names.has(one.slice(key.length + 1))) this.#waiting.delete(one);
    const providers = new Set<string>();
    for (const selection of selections) {
      const one = `${key}/${selection.ifname}`;
      const provider = this.#state.get('NetworkAttachment', selection.definition)?.provider;
      const first = !providers.has(provider ?? '');
      providers.add(provider ?? '');
      // Also when its definition is gone: a running pod keeps what it has.
      if (this.#state.get('AttachmentAddress', one)?.uid === pod.uid) continue;
      this.#try(one, pod.uid, () => wantedByPod(this.#state, pod, selection, () => first), refuse);
    }
  }

  #try(
    key: Key,
    uid: string,
    want: () => WantedAttachment | undefined,
    refuse: (reason: string, message: string) => void,
  ): void {
    try {
      const wanted = want();
      if (wanted === undefined) this.#forget(key);
      else this.#allocate(wanted);
    } catch (error) {
      if (!(error instanceof AllocError)) throw error;
      // The port of an earlier incarnation goes, whatever becomes of this one.
      this.#drop(key);
      this.#wait(key, uid, error, refuse);
    }
  }

  #allocate(wanted: WantedAttachment): void {
    const { key, uid, node, ifname, provider, pod } = wanted;
    const owner = ownerOf('Attachment', key);
    const before = this.#allocator.held(owner);
    let failure: AllocError | undefined;
    for (const subnet of attachmentSubnets(wanted, this.#state, this.#rules)) {
      try {
        const address = this.#allocator.allocate(owner, uid, subnet, wanted.wanted);
        const decided: AttachmentAddress = {
          ...address,
          node,
          ifname,
          provider,
          committed: false,
          ...(pod === undefined ? {} : { pod }),
        };
        this.#waiting.delete(key);
        this.#state.set('AttachmentAddress', key, decided);
        this.#effects.committed(unitOf(key), () => {
          // An address without a port is durable when its IP object is.
          if (isIpamOnly(provider)) this.#effects.recordChanged(owner);
          else this.committed(key, uid);
          if (before !== undefined) this.#effects.freed(before.subnet);
        });
        return;
      } catch (error) {
        if (!(error instanceof AllocError)) throw error;
        failure ??= error;
        if (error.code !== 'exhausted' && error.code !== 'no-subnet') break;
      }
    }
    throw failure ?? new AllocError('no-subnet', 'no subnet to take an address from');
  }

  #wait(key: Key, uid: string, error: AllocError, refuse: (reason: string, message: string) => void): void {
    const before = this.#waiting.get(key);
    this.#waiting.set(key, { uid, message: error.message });
    if (before?.uid === uid && before.message === error.message) return;
    const pod = podOfKey(key);
    const ifname = pod?.includes('/') === true ? `interface ${key.slice(pod.length + 1)}: ` : '';
    refuse(reasons[error.code], `${ifname}${error.message}`);
  }

  #forget(key: Key): void {
    this.#waiting.delete(key);
    this.#drop(key);
  }

  /** The port goes first; the address is free only when the northbound database says so. */
  #drop(key: Key): void {
    if (this.#state.delete('AttachmentAddress', key)) this.#effects.committed(unitOf(key), () => this.portGone(key));
  }
}
