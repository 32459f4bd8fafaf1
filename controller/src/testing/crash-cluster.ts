import { type DurablePort, ownerOfRecord } from '../alloc/load.ts';
import type { ApiEffects, Finalized } from '../api-effects.ts';
import { Brain } from '../brain.ts';
import type { Output } from '../northbound/rows.ts';
import { isAnnounced, podAnnouncement } from '../pod/announcement.ts';
import { IpRecords } from '../records/ip-records.ts';
import type { IpRecord, Key, Tables } from '../store/model.ts';
import { projectIp } from '../store/projections.ts';
import { State } from '../store/state.ts';
import { MemorySink } from './memory-sink.ts';
import { clusterUid, rules, serviceCidrs, type Watched, watched } from './world.ts';

/** One step that touches what outlives the controller, or that brings news of it. */
interface Step {
  readonly name: string;
  /** What reaches the API server or the database. */
  readonly act: () => void;
  /** What the controller learns of it; a crash comes between. */
  readonly reply: () => void;
}

type Options = Parameters<MemorySink['setUnit']>[2];
type Dirty = readonly [outputs: readonly Output[], options: Options];

/** The life of one controller process. */
interface Process {
  readonly state: State;
  readonly brain: Brain;
  readonly records: IpRecords;
  /** Units whose rows the database does not have yet, in order. */
  readonly dirty: Map<string, Dirty>;
  readonly commits: { readonly unit: string; readonly resolve: () => void }[];
  readonly announcements: Set<Key>;
  readonly dueRecords: Set<string>;
  readonly busyRecords: Set<string>;
  /** Objects, as `Kind/name`, whose finalizer is to be looked at. */
  readonly finalizers: Set<string>;
  /** Calls to the API server that were made and not answered. */
  readonly calls: Step[];
  /** Changes that the watches have not shown yet, in order, by kind. */
  readonly news: Map<Watched, Key[]>;
  /** Ports that were there at start, by the owner that they go with. */
  readonly oldPorts: Map<string, DurablePort>;
}

/**
 * A cluster whose API server and northbound database survive, and a controller that can die before and after each single
 * write to either. The controller is the real one but for its transports: every call waits in a list until the test picks
 * it.
 */
export class CrashCluster {
  readonly objects: State = new State();
  /** What the northbound database holds. */
  readonly database: MemorySink = new MemorySink();
  readonly events: string[] = [];
  readonly errors: unknown[] = [];
  #process: Process | undefined;
  #uids = 0;

  get process(): Process | undefined {
    return this.#process;
  }

  uid(): string {
    this.#uids += 1;
    return `uid-${this.#uids}`;
  }

  /** Somebody changes an object; the controller hears of it later. */
  put<K extends Watched>(kind: K, key: Key, object: Tables[K]): void {
    if (this.objects.set(kind, key, object)) this.#tell(kind, key);
  }

  remove(kind: Watched, key: Key): void {
    if (this.objects.delete(kind, key)) this.#tell(kind, key);
  }

  #tell(kind: Watched, key: Key): void {
    this.#process?.news.get(kind)?.push(key);
  }

  /** Starts a controller, which finds what is durable. */
  start(): void {
    const state = new State();
    for (const kind of watched) for (const [key, object] of this.objects.entries(kind)) state.set(kind, key, object);
    const live = this.database.live();
    const dirty = new Map<string, Dirty>();
    const commits: Process['commits'] = [];
    const announcements = new Set<Key>();
    const dueRecords = new Set<string>();
    const calls: Step[] = [];
    const finalizers = new Set<string>();
    const api: ApiEffects = {
      announcePod: (key) => void announcements.add(key),
      announceNode: (name) => void dueRecords.add(`Node/${name}`),
      announceContainer: () => undefined,
      refuseContainer: () => undefined,
      writeRecord: (owner) => void dueRecords.add(owner),
      writeRecordNow: (owner) => void dueRecords.add(owner),
      recordChanged: (name) => records.changed(name),
      event: ({ object }, reason, message) => void this.events.push(`${object.name} ${reason}: ${message}`),
      writeStatus: () => undefined,
      writeFinalizer: (kind, name) => void finalizers.add(`${kind}/${name}`),
    };
    const brain = new Brain({
      state,
      tiers: false,
      rules,
      clusterUid,
      serviceCidrs,
      live,
      sink: {
        setUnit: (unit, outputs, options) => {
          // The newest goes to the end: its predecessor was never written.
          dirty.delete(unit);
          dirty.set(unit, [outputs, options]);
        },
        committed: (unit) =>
          dirty.has(unit) ? new Promise<void>((resolve) => commits.push({ unit, resolve })) : Promise.resolve(),
      },
      api,
      onError: (_what, error) => void this.errors.push(error),
    });
    const call = (name: string, act: () => void): Promise<void> =>
      new Promise((resolve, reject) => {
        let failure: Error | undefined;
        calls.push({
          name,
          act: () => {
            try {
              act();
            } catch (error) {
              failure = error instanceof Error ? error : new Error(String(error));
            }
          },
          reply: () => (failure === undefined ? resolve() : reject(failure)),
        });
      });
    const records = new IpRecords(
      state,
      brain.allocator,
      brain.loans,
      {
        create: (object) =>
          call(`create IP ${object.metadata.name}`, () => {
            const { name } = object.metadata;
            if (this.objects.get('IpRecord', name) !== undefined) throw new Error('already exists');
            this.put('IpRecord', name, projectIp({ ...object, metadata: { ...object.metadata, uid: this.uid() } }));
          }),
        update: (object) =>
          call(`update IP ${object.metadata.name}`, () => {
            const { name } = object.metadata;
            const now = this.objects.get('IpRecord', name);
            if (now === undefined) throw new Error('not found');
            this.put('IpRecord', name, projectIp({ ...object, metadata: { ...object.metadata, uid: now.uid } }));
          }),
        remove: (name, uid) =>
          call(`delete IP ${name}`, () => {
            if (this.objects.get('IpRecord', name)?.uid === uid) this.remove('IpRecord', name);
          }),
      },
      {
        freed: (subnet) => brain.freed(subnet),
        enqueue: (owner) => void dueRecords.add(owner),
        warn: (record, reason, message) => void this.events.push(`${record.name} ${reason}: ${message}`),
        statusChanged: () => undefined,
        now: () => '2026-01-01T00:00:00Z',
      },
    );
    const news = new Map(watched.map((kind) => [kind, [] as Key[]]));
    const oldPorts = new Map(live.ports.map((port) => [port.owner, port]));
    const busyRecords = new Set<string>();
    this.#process = {
      state,
      brain,
      records,
      dirty,
      commits,
      announcements,
      dueRecords,
      busyRecords,
      finalizers,
      calls,
      news,
      oldPorts,
    };
    const { stale } = brain.load();
    brain.run();
    // What nobody wants any more goes with the first comparison.
    const bulk = { rank: 9, lane: 'bulk', inferred: true } as const;
    for (const unit of this.database.units.keys()) if (!dirty.has(unit)) dirty.set(unit, [[], bulk]);
    brain.publishLoaded();
    records.loaded();
    for (const owner of stale) dueRecords.add(owner);
    for (const { name } of state.list('IpRecord')) records.changed(name);
  }

  /** The controller dies; what it had not written is lost. */
  crash(): void {
    this.#process?.brain.stop();
    this.#process = undefined;
  }

  /** Everything that could happen next. */
  steps(): readonly Step[] {
    const now = this.#process;
    if (now === undefined) return [];
    const steps: Step[] = [];
    for (const [kind, keys] of now.news) {
      const [key] = keys;
      if (key !== undefined) steps.push(this.#delivery(now, kind, key));
    }
    // The writer sends what has come together, whole units; how much that is depends on the moment.
    if (now.dirty.size > 0) steps.push(this.#commit(now, now.dirty.size));
    if (now.dirty.size > 1) steps.push(this.#commit(now, 1));
    for (const key of now.announcements) steps.push(this.#announcement(now, key));
    for (const owner of now.dueRecords) if (!now.busyRecords.has(owner)) steps.push(this.#record(now, owner));
    for (const finalized of now.finalizers) steps.push(this.#finalizer(now, finalized));
    for (const call of now.calls)
      steps.push({
        name: call.name,
        act: call.act,
        reply: () => {
          now.calls.splice(now.calls.indexOf(call), 1);
          call.reply();
        },
      });
    return steps;
  }

  #delivery(now: Process, kind: Watched, key: Key): Step {
    return {
      name: `watch ${kind} ${key}`,
      act: () => undefined,
      reply: () => {
        now.news.get(kind)?.shift();
        const object = this.objects.get(kind, key);
        const what = object === undefined ? now.state.delete(kind, key) : now.state.put(kind, key, object);
        if (what === 'announced') now.brain.announced([key]);
        else now.brain.changed(kind, [key]);
      },
    };
  }

  #commit(now: Process, count: number): Step {
    const batch = [...now.dirty].slice(0, count);
    return {
      name: `commit ${batch.map(([unit]) => unit).join(' ')}`,
      act: () => {
        for (const [unit, [outputs, options]] of batch) this.database.setUnit(unit, outputs, options);
      },
      reply: () => {
        for (const [unit, dirty] of batch) if (now.dirty.get(unit) === dirty) now.dirty.delete(unit);
        for (const wait of now.commits.splice(0)) {
          if (now.dirty.has(wait.unit)) now.commits.push(wait);
          else wait.resolve();
        }
        for (const owner of now.oldPorts.keys()) {
          if (this.database.units.has(owner)) continue;
          now.oldPorts.delete(owner);
          now.brain.portGone(owner);
        }
      },
    };
  }

  #announcement(now: Process, key: Key): Step {
    return {
      name: `announce ${key}`,
      act: () => {
        const pod = now.state.get('Pod', key);
        const address = now.state.get('PodAddress', key);
        const subnet = address === undefined ? undefined : now.state.get('UsableSubnet', address.subnet);
        const stored = this.objects.get('Pod', key);
        if (pod === undefined || address?.uid !== pod.uid || subnet === undefined) return;
        if (!now.brain.isPublished(`Pod/${key}`, pod.uid)) return;
        const annotations = podAnnouncement(address, subnet);
        // The UID is a precondition of the patch.
        if (stored?.uid !== pod.uid || isAnnounced(stored, annotations)) return;
        this.put('Pod', key, { ...stored, annotations: { ...stored.annotations, ...annotations } });
      },
      reply: () => {
        now.announcements.delete(key);
        now.dueRecords.add(`Pod/${key}`);
      },
    };
  }

  /** With its finalizer an object that was deleted goes. */
  #finalizer(now: Process, finalized: string): Step {
    const slash = finalized.indexOf('/');
    const kind = finalized.slice(0, slash) as Finalized;
    const name = finalized.slice(slash + 1);
    return {
      name: `write the finalizer of ${finalized}`,
      act: () => {
        if (now.brain.isFinished(kind, name) && this.objects.get(kind, name)?.deleting === true)
          this.remove(kind, name);
      },
      reply: () => void now.finalizers.delete(finalized),
    };
  }

  #record(now: Process, owner: string): Step {
    return {
      name: `write the record of ${owner}`,
      act: () => undefined,
      reply: () => {
        now.dueRecords.delete(owner);
        now.busyRecords.add(owner);
        void now.records
          .write(owner)
          .catch(() => void now.dueRecords.add(owner))
          .finally(() => void now.busyRecords.delete(owner));
      },
    };
  }

  /** Lets promises run that a step has settled. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#process?.brain.run();
    await new Promise((resolve) => setImmediate(resolve));
    if (this.errors.length > 0) throw this.errors[0];
  }

  /** Everything that is under way happens, in a fixed order. @throws Error when it never ends */
  async drain(): Promise<void> {
    for (let round = 0; round < 2000; round += 1) {
      await this.settle();
      const [step] = this.steps();
      if (step === undefined) return;
      step.act();
      step.reply();
    }
    throw new Error(
      `still busy: ${this.steps()
        .map(({ name }) => name)
        .join('; ')}`,
    );
  }

  /** The IP objects of an owner. */
  recordsOf(owner: string): readonly IpRecord[] {
    return this.objects.list('IpRecord').filter((record) => ownerOfRecord(record) === owner);
  }
}
