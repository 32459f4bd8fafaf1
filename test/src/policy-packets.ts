import { expect } from 'vitest';
import { ControlPair } from './control-pair.ts';
import { startController } from './interruption.ts';
import type { TestLab } from './lab.ts';
import { PacketStreams } from './packet-stream.ts';
import { type Flow, podStreams } from './pod-streams.ts';

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
      const mine = await podStreams(lab, namespace, flows);
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
    await this.#streams.more(count);
  }

  /** Makes a change of policies, waits until it is in the flows of all nodes, and sends some packets more. */
  async change(make: () => Promise<unknown>): Promise<void> {
    const before = await this.acls();
    await make();
    await this.#inForce(before);
    await this.more(20);
  }

  /** The same change while the controller is away: in force as soon as it is back, and nothing else with it. */
  async changeUnseen(make: () => Promise<unknown>): Promise<void> {
    const before = await this.acls();
    await this.#lab.killProcess('controller');
    await this.more(50);
    await make();
    await startController(this.#lab);
    await this.#inForce(before);
    await this.more(50);
  }

  /** Kills northd, then every ovn-controller, then ends these in good order; each is started again. */
  async restartOvn(): Promise<void> {
    const lab = this.#lab;
    await lab.killProcess('northd');
    await lab.startProcess('northd');
    await lab.nbctl('--wait=hv', 'sync');
    await this.more(50);
    for (const end of ['kill', 'stop'] as const) {
      const names = lab.nodes.map((node) => `${node}.ovn-controller`);
      await Promise.all(names.map((name) => (end === 'kill' ? lab.killProcess(name) : lab.stopProcess(name))));
      await this.more(50);
      await Promise.all(names.map((name) => lab.startProcess(name)));
      await lab.nbctl('--wait=hv', 'sync');
      // It installs its flows anew only after `ovn-ofctrl-wait-before-clear` (3 s by default, docs/agent.md).
      await this.more(500);
    }
  }

  async #inForce(before: string): Promise<void> {
    await this.#lab.waitFor('the ACLs have changed', async () => (await this.acls()) !== before, 20_000);
    await this.#lab.nbctl('--wait=hv', 'sync');
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
