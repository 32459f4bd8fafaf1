import type { IPPool, QoSPolicy, SecurityGroup, Subnet, Vpc } from '@ovenbird/crds';
import type { KubeObject, ResourceKind, StatusUpdate } from '@ovenbird/kube';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../northbound/testing/manual-clock.ts';
import { makeGroup, makePool, makeQosPolicy, makeSubnet, makeVpc, World } from '../testing/world.ts';
import { StatusBoard } from './status-board.ts';

/** A board over a world, and the API server's copies of the objects: what is written comes back by the watch. */
class Desk {
  readonly clock = new ManualClock();
  readonly world: World;
  readonly written: string[] = [];
  readonly warned: string[] = [];
  readonly held = new Map<string, string>();
  /** Time that writing a status takes. */
  writeMs = 0;
  /** Whether the watch has told of what was written. */
  watching = true;
  board: StatusBoard;
  readonly #objects = new Map<string, KubeObject>();

  constructor(world: World) {
    this.world = world;
    this.board = this.#start();
  }

  /** Another process begins with what the API server has. */
  restart(): void {
    this.board = this.#start();
  }

  /** All that is due is written. */
  async settle(): Promise<void> {
    await this.world.settle();
    for (const kind of ['Subnet', 'Vpc', 'IPPool', 'QoSPolicy', 'SecurityGroup'] as const)
      for (const { name, uid } of this.world.state.list(kind)) {
        this.#see(kind, this.#objects.get(uid) ?? { metadata: { name, uid } });
        this.board.due(kind, name);
      }
    this.clock.advance(60_000);
  }

  #start(): StatusBoard {
    const board = new StatusBoard({
      state: this.world.state,
      writer: { update: (kind, object, update) => this.#update(kind, object, update) },
      clock: this.clock,
      warn: (kind, { metadata }, reason, message) =>
        void this.warned.push(`${kind.kind} ${metadata.name} ${reason}: ${message}`),
      defaultVpc: 'ovn-cluster',
      held: (unit) => this.held.get(unit),
      reservationProblem: () => undefined,
      signal: new AbortController().signal,
    });
    board.start(this.world.brain);
    return board;
  }

  #update(kind: ResourceKind, object: KubeObject, { fields, conditions }: StatusUpdate): void {
    this.written.push(`${kind.kind} ${object.metadata.name}`);
    this.clock.advance(this.writeMs);
    const status = { ...fields, conditions };
    if (this.watching) this.#objects.set(object.metadata.uid ?? '', { ...object, ...{ status } });
  }

  #see(kind: 'Subnet' | 'Vpc' | 'IPPool' | 'QoSPolicy' | 'SecurityGroup', object: KubeObject): void {
    if (kind === 'Subnet') this.board.seenSubnet(object as Subnet);
    else if (kind === 'Vpc') this.board.seenVpc(object as Vpc);
    else if (kind === 'QoSPolicy') this.board.seenQosPolicy(object as QoSPolicy);
    else if (kind === 'SecurityGroup') this.board.seenSecurityGroup(object as SecurityGroup);
    else this.board.seenIpPool(object as IPPool);
  }
}

describe('StatusBoard', () => {
  let desk: Desk;
  beforeEach(async () => {
    desk = new Desk(World.standard());
    await desk.settle();
    desk.written.length = 0;
    expect(desk.warned).toEqual([]);
  });

  it('writes counts once for many pods', () => {
    for (let pod = 0; pod < 1_000; pod += 1) {
      desk.board.due('Subnet', 'ovn-default');
      // All of them arrive within one interval.
      if (pod % 100 === 0) desk.clock.advance(40);
    }
    desk.clock.advance(60_000);
    expect(desk.written.length).toBeGreaterThanOrEqual(1);
    expect(desk.written.length).toBeLessThanOrEqual(2);
    expect(new Set(desk.written)).toEqual(new Set(['Subnet ovn-default']));
    expect(desk.clock.pending).toBe(0);
  });

  it('rests fifty times as long as writing took, and no longer once that is quick again', () => {
    desk.writeMs = 100;
    desk.board.due('Subnet', 'ovn-default');
    desk.clock.advance(60_000);
    expect(desk.written).toHaveLength(1);
    desk.writeMs = 0;
    desk.board.due('Subnet', 'ovn-default');
    desk.clock.advance(4_999);
    expect(desk.written).toHaveLength(1);
    desk.clock.advance(1);
    expect(desk.written).toHaveLength(2);
    desk.board.due('Subnet', 'ovn-default');
    desk.clock.advance(500);
    expect(desk.written).toHaveLength(3);
  });

  describe('warns of what is not in force as written', () => {
    it('once, again when it is something else, and not over a restart', async () => {
      desk.world.set('Subnet', makeSubnet('first', '10.50.0.0/24'));
      await desk.settle();
      const late = makeSubnet('late', '10.50.0.128/25');
      desk.world.set('Subnet', late);
      await desk.settle();
      await desk.settle();
      const overlap = expect.stringMatching(/^Subnet late Overlap: .*"first"/) as string;
      expect(desk.warned).toEqual([overlap]);
      desk.restart();
      await desk.settle();
      expect(desk.warned).toEqual([overlap]);
      const acls = [{ direction: 'to-lport', priority: 1, match: 'ip4.src == ', action: 'drop' }] as const;
      desk.world.set('Subnet', { ...late, cidrBlock: '10.51.0.0/24', acls });
      await desk.settle();
      const acl = expect.stringMatching(/^Subnet late InvalidAcl: spec\.acls\[0\]/) as string;
      expect(desk.warned).toEqual([overlap, acl]);
      desk.world.set('Subnet', { ...late, cidrBlock: '10.51.0.0/24' });
      await desk.settle();
      desk.world.set('Subnet', late);
      await desk.settle();
      expect(desk.warned).toEqual([overlap, acl, overlap]);
    });

    it('once, also while the watch has not told of the status that was written', async () => {
      desk.watching = false;
      desk.world.set('IPPool', makePool('lost', 'nowhere', ['10.50.0.1']));
      await desk.settle();
      await desk.settle();
      expect(desk.warned).toEqual([expect.stringMatching(/^IPPool lost SubnetMissing: /)]);
      // Another object of the name says so again.
      desk.world.delete('IPPool', 'lost');
      desk.world.set('IPPool', makePool('lost', 'nowhere', ['10.50.0.1']));
      await desk.settle();
      expect(desk.warned).toHaveLength(2);
    });

    it('for QoSPolicies and SecurityGroups too', async () => {
      const targets = [{ pods: [], subnets: ['gone'] }];
      desk.world.set('QoSPolicy', makeQosPolicy('slow', { targets }));
      const tooMany = Array.from({ length: 981 }, (_, index) => index + 1).map((priority) => ({
        ...({ family: 4, protocol: 'all', remote: { cidr: '0.0.0.0/0' }, policy: 'drop', log: false } as const),
        priority,
      }));
      desk.world.set('SecurityGroup', makeGroup('late', { tier: 1, ingress: tooMany }));
      await desk.settle();
      await desk.settle();
      desk.restart();
      await desk.settle();
      expect(desk.warned.toSorted()).toEqual([
        expect.stringMatching(/^QoSPolicy slow SubnetNotFound: .*"gone"/),
        expect.stringMatching(/^SecurityGroup late DoesNotFit: .*more than 980 different priorities/),
      ]);
    });

    it('for IPPools and Vpcs too, but not of a deletion', async () => {
      desk.world.set('IPPool', makePool('old', 'ovn-default', ['10.16.0.16/28']));
      desk.world.set('IPPool', makePool('young', 'ovn-default', ['10.16.0.20']));
      const vpc = makeVpc('island');
      desk.world.set('Vpc', vpc);
      desk.world.set('Subnet', makeSubnet('shore', '10.50.0.0/24', { vpc: 'island' }));
      desk.held.set('Vpc/island', 'constraint violation');
      await desk.settle();
      expect(desk.warned.toSorted()).toEqual([
        expect.stringMatching(/^IPPool young Overlap: .*"old"/),
        'Vpc island RefusedByOVN: constraint violation',
      ]);
      desk.held.clear();
      desk.world.set('Vpc', { ...vpc, deleting: true });
      await desk.settle();
      expect(desk.warned).toHaveLength(2);
    });
  });
});
