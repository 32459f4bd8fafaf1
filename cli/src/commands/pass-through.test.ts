import { layoutOf } from '@ovenbird/deploy';
import { describe, expect, test } from 'vitest';
import { isTool, toolCommand } from './pass-through.ts';

const layout = layoutOf('/lab');
const nodes = ['node-1', 'node-2'];

describe('toolCommand', () => {
  test('nbctl and sbctl get the central databases', () => {
    const { argv } = toolCommand('nbctl', ['show', 'ovn-default'], layout, nodes);
    expect(argv).toEqual(['ovn-nbctl', '--db=unix:/lab/central/ovnnb_db.sock', 'show', 'ovn-default']);
    expect(toolCommand('sbctl', [], layout, nodes).argv[1]).toBe('--db=unix:/lab/central/ovnsb_db.sock');
  });

  test('vsctl gets the database of the node, ofctl and appctl its run directory', () => {
    expect(toolCommand('vsctl', ['node-2', 'show'], layout, nodes).argv).toEqual([
      'ovs-vsctl',
      '--db=unix:/lab/nodes/node-2/db.sock',
      'show',
    ]);
    expect(toolCommand('ofctl', ['node-1', 'dump-flows', 'br-int'], layout, nodes)).toEqual({
      argv: ['ovs-ofctl', 'dump-flows', 'br-int'],
      env: { OVS_RUNDIR: '/lab/nodes/node-1/run', OVN_RUNDIR: '/lab/nodes/node-1/run' },
    });
  });

  test('a missing or unknown node is refused with the names there are', () => {
    expect(() => toolCommand('vsctl', [], layout, nodes)).toThrow('NODE is one of node-1, node-2');
    expect(() => toolCommand('appctl', ['node-9'], layout, nodes)).toThrow('NODE is one of node-1, node-2');
  });
});

test('only own names are tools', () => {
  expect(isTool('nbctl')).toBe(true);
  expect(isTool('toString')).toBe(false);
});
