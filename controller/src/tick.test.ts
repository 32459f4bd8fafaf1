import { describe, expect, it, vi } from 'vitest';
import { makePod, World } from './testing/world.ts';
import { drain } from './tick.ts';

describe('drain', () => {
  it('does what becomes due meanwhile, each once, and forgets it', () => {
    const due = new Set(['a', 'b']);
    const done: string[] = [];
    drain(due, (item) => {
      done.push(item);
      due.add('a');
      if (item === 'b') due.add('c');
    });
    expect(done).toEqual(['a', 'b', 'c']);
    expect([...due]).toEqual([]);
  });

  it('says which of them failed when the others are done', () => {
    const done: string[] = [];
    const cause = new Error('a defect');
    const due = new Set(['a', 'bad', 'b']);
    expect(() =>
      drain(due, (item) => {
        if (item === 'bad') throw cause;
        done.push(item);
      }),
    ).toThrow(
      expect.objectContaining({
        message: 'bad',
        errors: [expect.objectContaining({ message: 'bad', cause })],
      }) as Error,
    );
    expect(done).toEqual(['a', 'b']);
    expect([...due]).toEqual([]);
  });
});

describe('an object that brings out a defect', () => {
  it('keeps nobody else from an address and from rows, now and later', async () => {
    const world = World.standard();
    await world.settle();
    const reconcile = world.brain.pods.reconcile.bind(world.brain.pods);
    vi.spyOn(world.brain.pods, 'reconcile').mockImplementation((key) => {
      if (key === 'default/bad') throw new Error('a defect');
      reconcile(key);
    });
    world.set('Pod', makePod('default', 'bad', 'node-1'));
    for (const name of ['a', 'b']) world.set('Pod', makePod('default', name, 'node-1'));
    await expect(world.settle()).rejects.toThrow('default/bad');
    world.errors.length = 0;
    world.set('Pod', makePod('default', 'later', 'node-1'));
    await world.settle();
    for (const name of ['a', 'b', 'later']) {
      expect(world.state.get('PodAddress', `default/${name}`)?.v4, name).toBeDefined();
      expect([...world.announced], name).toContain(`default/${name}`);
    }
  });
});
