import { describe, expect, it } from 'vitest';
import { netemCommand, type Qdisc } from './netem.ts';

const none: Qdisc = { kind: 'noqueue', handle: '0:', root: true };
const bucket: Qdisc = { kind: 'tbf', handle: '8001:', root: true };

describe('netemCommand', () => {
  it.each<[string, readonly Qdisc[], string, string | undefined]>([
    ['set', [none], 'delay 20ms', 'qdisc replace dev h1 root netem delay 20ms'],
    ['set behind a limit', [bucket], 'loss 1%', 'qdisc replace dev h1 parent 8001:1 netem loss 1%'],
    ['nothing to remove', [none], '', undefined],
    ['remove', [{ kind: 'netem', handle: '8002:', root: true }], '', 'qdisc del dev h1 root'],
    [
      'remove behind a limit',
      [bucket, { kind: 'netem', handle: '8003:', parent: '8001:1' }],
      '',
      'qdisc del dev h1 parent 8001:1',
    ],
  ])('%s', (_what, qdiscs, text, command) => {
    expect(netemCommand('h1', qdiscs, text)?.join(' ')).toBe(command);
  });
});
