import { describe, it } from 'vitest';
import { assertChanges, checkMeaning, ladders, seed } from './changing.ts';
import { type GroupChange, GroupsBoth, groupChange } from './random-security-groups.ts';

describe.each(ladders)('SecurityGroups in %s', (_name, _release, tiers) => {
  it(`mean what the documentation says, whatever changes (SEED=${seed})`, async () => {
    const extent = { numRuns: 20, minLength: 8, maxLength: 30 };
    await assertChanges(groupChange, extent, (changes) => checkMeaning(new GroupsBoth(tiers), changes));
  }, 120_000);

  it('name the sets of a peer in one order, whatever order pods came in', async () => {
    const pass = {
      family: 6,
      protocol: 'all',
      priority: 0,
      remote: { cidr: '::/0' },
      policy: 'pass',
      log: false,
    } as const;
    const fromOwn = { ...pass, family: 4, remote: { group: 'g1' }, policy: 'allow' } as const;
    const group = (name: 'g0' | 'g1' | 'g2', selects: 'db' | 'nobody', more: object): GroupChange => {
      const nothing = { tier: 0, sameGroup: false, only: undefined, ingress: [], egress: [] } as const;
      return { type: 'group', group: { name, selects, ...nothing, ...more } };
    };
    const pod = (namespace: string, groups: readonly string[]): GroupChange => ({
      ...({ type: 'pod', name: 'a', app: 'db' } as const),
      namespace,
      groups,
    });
    const changes = [
      group('g0', 'db', { ingress: [pass] }),
      pod('y', ['g2']),
      group('g1', 'db', { ingress: [fromOwn] }),
      pod('x', []),
      group('g2', 'nobody', {}),
      group('g2', 'nobody', { egress: [pass] }),
    ];
    await checkMeaning(new GroupsBoth(tiers), changes);
  });
});
