import { describe, expect, it } from 'vitest';
import { makePod, makeStatefulSet, World } from '../testing/world.ts';
import { recordOf } from './ip-object.ts';

const readyOf = (world: World, name: string): unknown => world.state.get('IpRecord', name)?.ready;
const since = '2026-01-01T00:00:00Z';

describe('the condition Ready of an IP object that the controller made', () => {
  it('says whether its pod is there, in the write that makes or changes the object', async () => {
    const world = World.standard();
    world.set('StatefulSet', makeStatefulSet('default', 'web'));
    const pod = makePod('default', 'web-0', 'node-1', { keepFor: 'StatefulSet/default/web' });
    world.set('Pod', pod);
    await world.settle();
    expect(readyOf(world, 'web-0.default')).toEqual({ reason: 'InUse', since, observed: 1 });
    expect(readyOf(world, 'node-node-1')).toEqual({ reason: 'InUse', since, observed: 1 });
    world.delete('Pod', 'default/web-0');
    await world.settle();
    expect(readyOf(world, 'web-0.default')).toEqual({ reason: 'Reserved', since, observed: 2 });
    expect(world.state.get('IpRecord', 'web-0.default')?.generation).toBe(2);
    world.set('Pod', { ...pod, uid: 'another' });
    await world.settle();
    expect(readyOf(world, 'web-0.default')).toEqual({ reason: 'InUse', since, observed: 3 });
  });

  it('is put back when somebody changes it or the object', async () => {
    const world = World.standard();
    world.set('Pod', makePod('default', 'a', 'node-1'));
    await world.settle();
    const record = world.state.get('IpRecord', 'a.default');
    if (record === undefined) throw new Error('no object');
    world.set('IpRecord', { ...record, ready: { reason: 'Forged', since, observed: 2 }, generation: 2 });
    await world.settle();
    expect(readyOf(world, 'a.default')).toEqual({ reason: 'InUse', since, observed: 3 });
    const { ready: _, ...silent } = record;
    world.set('IpRecord', { ...silent, generation: 4 });
    await world.settle();
    expect(readyOf(world, 'a.default')).toEqual({ reason: 'InUse', since, observed: 5 });
    world.set('IpRecord', {
      ...record,
      v4: '10.16.9.9',
      ready: { reason: 'InUse', since, observed: 5 },
      generation: 6,
    });
    await world.settle();
    expect(world.state.get('IpRecord', 'a.default')).toMatchObject({ ready: { observed: 7 }, generation: 7 });
  });

  it.each([
    [{ owner: 'Pod/ns/a' }, true, 'InUse', 'pod ns/a has it'],
    [{ owner: 'Pod/ns/a' }, false, 'Reserved', 'kept for pod ns/a'],
    [{ owner: 'Node/n' }, false, 'InUse', 'node n has it'],
    [{ owner: 'Vip/v' }, false, 'InUse', 'Vip v has it'],
    [{ owner: 'Vip/v' }, true, 'InUse', 'pod ns/a, for Vip v, has it'],
    [{ owner: 'VirtualMachine/ns/m' }, false, 'Reserved', 'kept for VirtualMachine ns/m'],
    [{ owner: 'VirtualMachine/ns/m' }, true, 'InUse', 'pod ns/a, for VirtualMachine ns/m, has it'],
  ] as const)('of %j, with a pod: %s, is %s: %s', ({ owner }, there, reason, message) => {
    const address = { owner, uid: 'u', subnet: 's', v4: '10.0.0.2', mac: '0a:58:0a:00:00:02' };
    const pod = there ? makePod('ns', 'a', 'node-1') : undefined;
    expect(recordOf('x', address, pod, { since, generation: 4 }).status).toEqual({
      conditions: [
        { type: 'Ready', status: 'True', observedGeneration: 4, lastTransitionTime: since, reason, message },
      ],
    });
  });
});
