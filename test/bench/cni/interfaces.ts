import { type Client, connect, type OpenVswitch, openVswitch } from '@ovenbird/ovsdb';

/** Tells when OVN has installed the flows of an interface, by events of the node's Open_vSwitch database. */
export class InstalledInterfaces implements AsyncDisposable {
  readonly #db: Client<OpenVswitch>;
  readonly #waiting = new Map<string, () => void>();

  private constructor(db: Client<OpenVswitch>) {
    this.#db = db;
    db.replica.onChange((changes) => {
      for (const change of changes) {
        if (change.table !== 'Interface' || change.new === undefined) continue;
        const { name, external_ids } = change.new;
        if (external_ids.get('ovn-installed') !== 'true') continue;
        this.#waiting.get(name)?.();
        this.#waiting.delete(name);
      }
    });
  }

  /** @param socket of the database */
  static async open(socket: string, signal: AbortSignal): Promise<InstalledInterfaces> {
    const db = connect({
      remotes: [`unix:${socket}`],
      database: openVswitch,
      monitor: { Interface: ['name', 'external_ids'] },
      indexes: { Interface: [['name']] },
      signal,
    });
    await db.synced(signal);
    return new InstalledInterfaces(db);
  }

  /** Resolves when the interface of that name has its flows (`external_ids:ovn-installed`, ovn-controller(8)). */
  installed(name: string): Promise<void> {
    const row = this.#db.replica.table('Interface').find('name', name)[0];
    if (row?.external_ids.get('ovn-installed') === 'true') return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.close();
  }
}
