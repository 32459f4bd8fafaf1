import { ownerOfRecord } from './alloc/load.ts';
import type { Loans } from './alloc/loans.ts';
import type { ApiEffects } from './api-effects.ts';
import { ownerOf, splitOwner } from './compile/names.ts';
import { isDurable } from './records/ip-object.ts';
import type { Key } from './store/model.ts';
import type { State } from './store/state.ts';

type Published = 'Pod' | 'Node';

/** When the addresses of pods and nodes may be announced: their rows are in the database, and what outlives them is kept. */
export class Publication {
  readonly #state: State;
  readonly #loans: Loans;
  readonly #api: ApiEffects;
  /** UIDs of pods whose address is in the database, and not announced before its IP object is written. */
  readonly #unrecorded = new Map<Key, string>();
  /** UID of each owner whose rows are in the database: nothing is announced before. */
  readonly #published = new Map<string, string>();

  constructor(state: State, loans: Loans, api: ApiEffects) {
    this.#state = state;
    this.#loans = loans;
    this.#api = api;
  }

  /** Whether the rows of this incarnation of a pod or node are in the database. */
  has(owner: string, uid: string): boolean {
    return this.#published.get(owner) === uid;
  }

  /** The rows of a pod or node are in the database. */
  publish(kind: Published, key: Key): void {
    const address = this.#state.get(kind === 'Pod' ? 'PodAddress' : 'NodeAddress', key);
    if (address === undefined) return;
    // What outlives the pod has to outlive its port as well, and from then on only the IP object tells of it.
    if (address.keepFor !== undefined && !isDurable(address, this.#state)) {
      this.#unrecorded.set(key, address.uid);
      this.#api.writeRecordNow(address.via ?? address.owner);
      return;
    }
    this.#published.set(address.owner, address.uid);
    this.#api.writeStatus('Subnet', address.subnet);
    this.again(kind, key);
  }

  /** An IP object is there that a pod may wait for before its address is announced. */
  recordSeen(name: Key): void {
    const record = this.#state.get('IpRecord', name);
    if (record === undefined || this.#unrecorded.size === 0) return;
    const owner = ownerOfRecord(record);
    const [kind, key] = splitOwner(this.#loans.userOf(owner) ?? owner);
    const uid = kind === 'Pod' ? this.#unrecorded.get(key) : undefined;
    if (uid === undefined) return;
    this.#unrecorded.delete(key);
    // Not for a successor of the same name, whose port may not be there yet.
    if (this.#state.get('PodAddress', key)?.uid === uid) this.publish('Pod', key);
  }

  /** Has the announcement compared with the object again; what is not in the database yet is announced when it is. */
  again(kind: Published, key: Key): void {
    const object = this.#state.get(kind, key);
    if (object === undefined || !this.has(ownerOf(kind, key), object.uid)) return;
    this.#announce(kind, key);
  }

  /** The object is gone. */
  gone(kind: Published, key: Key): void {
    this.#published.delete(ownerOf(kind, key));
    if (kind === 'Pod') this.#unrecorded.delete(key);
    this.#announce(kind, key);
  }

  #announce(kind: Published, key: Key): void {
    if (kind === 'Pod') this.#api.announcePod(key);
    else this.#api.announceNode(key);
  }
}
