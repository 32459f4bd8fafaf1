import { describe, expect, test } from 'vitest';
import type { LabOptions } from './layout.ts';
import { checkWithout, leftOut, processesOf, processOf } from './processes.ts';
import { planState } from './state.ts';

const options: LabOptions = { nodes: 2, dualStack: true, fabricOnly: false, keepState: false, without: [] };

describe('planState', () => {
  test('the same directory and options give the same state', () => {
    expect(planState('/tmp/a', options)).toEqual(planState('/tmp/a', options));
    expect(planState('/tmp/a', options).nodes.map((node) => node.name)).toEqual(['node-1', 'node-2']);
  });

  test.each([0, 201, 1.5, Number.NaN])('refuses %d nodes', (nodes) => {
    expect(() => planState('/tmp/a', { ...options, nodes })).toThrow('--nodes must be a number from 1 to 200');
  });

  test('refuses a directory in which unix sockets have no room', () => {
    expect(() => planState(`/tmp/${'x'.repeat(100)}`, options)).toThrow('too long for unix sockets');
  });
});

describe('processesOf', () => {
  const names = (fabricOnly: boolean): readonly string[] =>
    processesOf(planState('/tmp/a', { ...options, fabricOnly })).map((spec) => spec.name);

  test('has every process of the contract', () => {
    expect([...names(false)].sort()).toEqual(
      [
        'ovnnb',
        'ovnsb',
        'northd',
        'apiserver',
        'kubelet',
        'controller',
        ...['node-1', 'node-2'].flatMap((node) =>
          ['ovsdb', 'vswitchd', 'ovn-controller', 'agent'].map((kind) => `${node}.${kind}`),
        ),
      ].sort(),
    );
    expect(names(true)).not.toContain('apiserver');
  });

  test('only the kubelet is in the root namespace', () => {
    const specs = processesOf(planState('/tmp/a', options));
    expect(specs.filter((spec) => spec.namespace === undefined).map((spec) => spec.name)).toEqual(['kubelet']);
  });

  test('an unknown name is refused with the names there are', () => {
    expect(() => processOf(planState('/tmp/a', options), 'nortd')).toThrow(/no process nortd; this lab has ovnnb, /);
  });

  test('--without takes names and kinds', () => {
    expect(leftOut(['agent'], 'node-1.agent')).toBe(true);
    expect(leftOut(['node-2.agent'], 'node-1.agent')).toBe(false);
    expect(leftOut(['controller'], 'controller')).toBe(true);
    expect(leftOut(['controller'], 'node-1.ovn-controller')).toBe(false);
    expect(() => checkWithout(planState('/tmp/a', { ...options, without: ['agent', 'northd'] }))).not.toThrow();
    expect(() => checkWithout(planState('/tmp/a', { ...options, without: ['nortd'] }))).toThrow(/--without nortd: no/);
  });
});
