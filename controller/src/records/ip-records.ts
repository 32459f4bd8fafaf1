import type { IP } from '@ovenbird/crds';
import type { Allocator } from '../alloc/allocator.ts';
import { addressOfRecord, ownerOfRecord } from '../alloc/load.ts';
import type { Loans } from '../alloc/loans.ts';
import { isContainerRecord, podOfKey } from '../attachment/wanted.ts';
import { splitOwner } from '../compile/names.ts';
import { hasPort } from '../pod/life.ts';
import type { Address, IpRecord, Key, Pod } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { distinctRecordName, interfaceRecordOf, isRecorded, recordName, recordOf, type Stamp } from './ip-object.ts';
import { isSameAddress, type ReservationProblem } from './reservation.ts';

/** Writes of IP objects; each throws a retryable error when it has to be tried again. */
export interface IpApi {
  create(object: IP): Promise<void>;
  /** Merge patch of labels, annotations, spec and status. `reserved` absent removes the label. */
  update(object: IP): Promise<void>;
  /** Deletes this incarnation; none left is fine. */
  remove(name: string, uid: string): Promise<void>;
}

export interface IpRecordEffects {
  /** Addresses of the subnet were freed. */
  freed(subnet: string): void;
  /** The pod's kept address was released by a person. */
  enqueue(owner: string): void;
  warn(record: IpRecord, reason: string, message: string): void;
  /** The condition of an object that somebody made is to be looked at again. */
  statusChanged(name: Key): void;
  /** The time of the clock on the wall, RFC 3339. */
  now(): string;
}

/**
 * Keeps one IP object per address: what people list, and what reserves an address when they create one. Off every pod's
 * critical path: it follows the northbound row (design §3.2, step 4).
 */
export class IpRecords {
  readonly #state: State;
  readonly #allocator: Allocator;
  readonly #loans: Loans;
  readonly #api: IpApi;
  readonly #effects: IpRecordEffects;
  /** Owner of each object seen, to know what a deletion meant. */
  readonly #ownerByName = new Map<Key, string>();
  /** Why objects that people made reserve nothing. */
  readonly #problems = new Map<Key, ReservationProblem>();

  constructor(state: State, allocator: Allocator, loans: Loans, api: IpApi, effects: IpRecordEffects) {
    this.#state = state;
    this.#allocator = allocator;
    this.#loans = loans;
    this.#api = api;
    this.#effects = effects;
  }

  problem(name: Key): ReservationProblem | undefined {
    return this.#problems.get(name);
  }

  /** Brings the IP object of an owner up to date. Idempotent; called from a work queue. */
  async write(owner: string): Promise<void> {
    const address = this.#allocator.held(owner);
    const pod = this.#podOf(owner);
    const [kind, key] = splitOwner(owner);
    // A person's own object, or that of a container outside of Kubernetes, which its agent made.
    if (kind === 'IP' || (kind === 'Attachment' && podOfKey(key) === undefined)) return;
    if (kind === 'Attachment') {
      await this.#writeInterface(owner, key, address);
      return;
    }
    const plain = recordName(owner);
    const found = [plain, distinctRecordName(owner)]
      .map((name) => this.#state.get('IpRecord', name))
      .find((record) => record !== undefined && ownerOfRecord(record) === owner);
    if (found?.managed === false) this.#effects.statusChanged(found.name);
    // Without a pod the person's reservation is the object of the address.
    if (address === undefined || (pod === undefined && this.#isReserved(owner, address))) {
      if (found?.managed === true) await this.#api.remove(found.name, found.uid);
      return;
    }
    if (found !== undefined) {
      // A reservation made by hand for this pod stays the person's; it says what has to be said already.
      if (found.managed && !isRecorded(found, address, pod))
        await this.#api.update(recordOf(found.name, address, pod, this.#stamp(found)));
      return;
    }
    const taken = this.#state.get('IpRecord', plain) !== undefined;
    const name = taken ? distinctRecordName(owner) : plain;
    // Created and deleted by somebody between two batches of the watch, it would go unnoticed otherwise.
    this.#ownerByName.set(name, owner);
    await this.#api.create(recordOf(name, address, pod, this.#stamp()));
  }

  /** @param found the object that is written anew */
  #stamp(found?: IpRecord): Stamp {
    return { since: found?.ready?.since ?? this.#effects.now(), generation: (found?.generation ?? 0) + 1 };
  }

  /** The object of a pod's further interface; there is one as long as the interface has its address. */
  async #writeInterface(owner: string, key: Key, address: Address | undefined): Promise<void> {
    const current = this.#state.get('AttachmentAddress', key);
    const found = [recordName(owner), distinctRecordName(owner)]
      .map((name) => this.#state.get('IpRecord', name))
      .find((record) => record !== undefined && ownerOfRecord(record) === owner);
    if (address === undefined || current === undefined) {
      if (found?.managed === true) await this.#api.remove(found.name, found.uid);
      return;
    }
    if (found === undefined) {
      const taken = this.#state.get('IpRecord', recordName(owner)) !== undefined;
      const name = taken ? distinctRecordName(owner) : recordName(owner);
      await this.#api.create(interfaceRecordOf(name, current, this.#stamp()));
    } else if (found.managed && !isRecorded(found, current, undefined)) {
      await this.#api.update(interfaceRecordOf(found.name, current, this.#stamp(found)));
    }
  }

  /** An IP object appeared, changed or went away. */
  changed(name: Key): void {
    const record = this.#state.get('IpRecord', name);
    const known = this.#ownerByName.get(name);
    if (record === undefined || record.deleting) {
      if (known === undefined) return;
      this.#ownerByName.delete(name);
      this.#problems.delete(name);
      this.#removed(known);
      return;
    }
    const owner = ownerOfRecord(record);
    this.#ownerByName.set(name, owner);
    if (isContainerRecord(record)) return;
    if (record.managed) {
      const address = this.#allocator.held(owner);
      if (address === undefined || !isRecorded(record, address, this.#podOf(owner))) this.#effects.enqueue(owner);
      return;
    }
    this.#reserve(record, owner);
    this.#effects.statusChanged(name);
  }

  /** Remembers the objects listed at start. */
  loaded(): void {
    for (const record of this.#state.list('IpRecord')) this.#ownerByName.set(record.name, ownerOfRecord(record));
  }

  #removed(owner: string): void {
    const address = this.#allocator.held(owner);
    if (address === undefined) return;
    const [kind, key] = splitOwner(owner);
    // A container's object is what asks for the attachment: its life sees the deletion.
    if (kind === 'Attachment' && podOfKey(key) === undefined) return;
    const inUse =
      kind === 'Node' ||
      (kind === 'Vip' && this.#state.get('VipAddress', key) !== undefined) ||
      this.#loans.userOf(owner) !== undefined ||
      (kind === 'Attachment' && this.#state.get('AttachmentAddress', key) !== undefined) ||
      (kind === 'Pod' && this.#state.get('PodAddress', key) !== undefined);
    if (inUse) {
      this.#effects.enqueue(owner);
      return;
    }
    // Deleting the record of an address that nobody uses now releases it.
    this.#allocator.release(owner);
    this.#effects.freed(address.subnet);
  }

  #reserve(record: IpRecord, owner: string): void {
    const wanted = addressOfRecord(record);
    if (wanted === undefined) return;
    const held = this.#allocator.held(owner);
    if (held !== undefined && isSameAddress(held, wanted)) return;
    const [kind, key] = splitOwner(owner);
    if (kind === 'Pod' && this.#state.get('PodAddress', key) !== undefined) return;
    const problem = this.#refusal(wanted);
    const known = this.#problems.get(record.name);
    if (problem === undefined) {
      this.#problems.delete(record.name);
      return;
    }
    if (known?.message === problem.message) return;
    this.#problems.set(record.name, problem);
    this.#effects.warn(record, problem.reason, problem.message);
  }

  /** Takes the address, or says why it is not to be had now. */
  #refusal(wanted: Address): ReservationProblem | undefined {
    const { subnet } = wanted;
    const addresses = [wanted.v4, wanted.v6].filter((text) => text !== undefined);
    if (this.#state.get('UsableSubnet', subnet) === undefined) {
      const message = `subnet "${subnet}" does not exist or is not usable; this object reserves its address when it is`;
      return { reason: 'SubnetNotUsable', message };
    }
    if (!this.#allocator.isReservable(subnet, addresses)) {
      const message = `${addresses.join(',')} is not a host address of subnet "${subnet}", or its gateway: this object reserves nothing; delete it, and make one with another address of the subnet's cidrBlock`;
      return { reason: 'AddressOutsideSubnet', message };
    }
    const holder = this.#allocator.adopt(wanted);
    if (holder === undefined) return undefined;
    const message = `${addresses.join(',')} is held by ${holder}; this object reserves it when it is freed`;
    return { reason: 'AddressTaken', message };
  }

  /** Whether an object made by hand holds the address for its owner. */
  #isReserved(owner: string, address: Address): boolean {
    const records = this.#state.index('IpRecord', 'reservation', address.subnet);
    return records.some((record) => ownerOfRecord(record) === owner);
  }

  /** The pod that has what the owner holds; one of that name that waits for another address does not. */
  #podOf(owner: string): Pod | undefined {
    const [kind, key] = splitOwner(this.#loans.userOf(owner) ?? owner);
    const pod = kind === 'Pod' ? this.#state.get('Pod', key) : undefined;
    return hasPort(pod) && this.#state.get('PodAddress', key)?.uid === pod.uid ? pod : undefined;
  }
}
