import { expect } from 'vitest';
import { ControlPair } from './control-pair.ts';
import type { TestLab } from './lab.ts';
import { addressesOf, type PodObject } from './objects.ts';
import { PacketStreams, type Stream } from './packet-stream.ts';

/** UDP packets from a pod to another one; `closed`: no version of the policies lets them through. */
export interface Flow {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly closed?: boolean;
}

/** Numbered packets between the pods of a namespace, in each family, and beside them those of a pair without policies. */
export class PolicyPackets implements AsyncDisposable {
  readonly #lab: TestLab;
  readonly #pair: ControlPair;
  readonly #streams: PacketStreams;
  readonly #expected: number;

  private constructor(lab: TestLab, pair: ControlPair, streams: PacketStreams, expected: number) {
    this.#lab = lab;
    this.#pair = pair;
    this.#streams = streams;
    this.#expected = expected;
  }

  static async start(lab: TestLab, namespace: string, flows: readonly Flow[]): Promise<PolicyPackets> {
    const pair = await ControlPair.create(lab);
    try {
      const mine = await streamsOf(lab, namespace, flows);
      // The pair's new ports cost packets until they are in the flows of all nodes.
      await lab.nbctl('--wait=hv', 'sync');
      const streams = await PacketStreams.start([...mine, ...pair.streams()]);
      return new PolicyPackets(lab, pair, streams, mine.length);
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Waits until so many packets more were sent on each stream. */
  async more(count: number): Promise<void> {
    const until = this.#streams.sent + count;
    await this.#lab.waitFor(
      `packet ${until}`,
      () => this.#streams.sent >= until || `${this.#streams.sent} sent`,
      60_000,
    );
  }

  /** Makes a change of policies, waits until it is in the flows of all nodes, and sends some packets more. */
  async change(make: () => Promise<unknown>): Promise<void> {
    const before = await this.acls();
    await make();
    await this.#lab.waitFor('the ACLs have changed', async () => (await this.acls()) !== before, 20_000);
    await this.#lab.nbctl('--wait=hv', 'sync');
    await this.more(20);
  }

  /** All ACLs, as text. */
  async acls(): Promise<string> {
    return await this.#lab.nbctl('--bare', '--columns=_uuid,priority,action,match', 'list', 'ACL');
  }

  /** Ends: nothing closed has passed; of what is open no more was lost than by the pair without policies. */
  async judge(): Promise<void> {
    const results = await this.#streams.stop();
    const control = results.filter(({ name }) => name.startsWith('control'));
    const allowed = Math.max(...control.map(({ lost }) => lost.length));
    const mine = results.filter(({ name }) => !name.startsWith('control'));
    expect(mine).toHaveLength(this.#expected);
    const wrong = mine.flatMap(({ name, sent, lost, leaked }) => [
      ...(leaked.length === 0 ? [] : [`${name}: of ${sent} packets ${leaked.join(',')} came through`]),
      ...(lost.length <= allowed ? [] : [`${name}: of ${sent} packets ${lost.join(',')} were lost`]),
    ]);
    expect(wrong, control.map(({ name, lost }) => `${name} lost ${lost.join(',')}`).join('; ')).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#streams[Symbol.asyncDispose]();
    await this.#pair[Symbol.asyncDispose]();
  }
}

async function streamsOf(lab: TestLab, namespace: string, flows: readonly Flow[]): Promise<readonly Stream[]> {
  const netns = await lab.podNamespaces();
  const pathOf = (name: string): string => netns.get(`${namespace}/${name}`) ?? '';
  const streams: Stream[] = [];
  for (const { from, to, port, closed } of flows)
    for (const address of addressesOf(await lab.get<PodObject>('pod', to, '-n', namespace)))
      streams.push({
        name: `${from}-${to}-${port}-${address.includes(':') ? 'ipv6' : 'ipv4'}`,
        from: pathOf(from),
        to: pathOf(to),
        address,
        port,
        ...(closed === true ? { closed } : {}),
      });
  return streams;
}
