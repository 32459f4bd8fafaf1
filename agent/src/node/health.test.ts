import { systemClock } from '@ovenbird/kube';
import { describe, expect, test, vi } from 'vitest';
import { GATEWAY, Health, healthConditions, neighboursOf, peersOf } from './health.ts';
import { answerProbes, type ProbeAnswer, probe } from './probe.ts';

const peer = (name: string): { name: string; address: string } => ({ name, address: `100.64.0.${name.length}` });

describe('whom a node asks', () => {
  test('the next two in the circle of names', () => {
    const nodes = ['a', 'b', 'c', 'd'].map(peer);
    const names = (self: string): string =>
      neighboursOf(self, nodes)
        .map(({ name }) => name)
        .join('');
    expect(['a', 'b', 'c', 'd'].map(names)).toEqual(['bc', 'cd', 'da', 'ab']);
    expect(neighboursOf('a', [peer('a')])).toEqual([]);
    expect(neighboursOf('a', ['a', 'b'].map(peer)).map(({ name }) => name)).toEqual(['b']);
  });

  test('the routers of the join Subnet, and neighbours by their first address there', () => {
    const own = [{ address: '100.64.0.2', prefix: 16, gateway: '100.64.0.1' }];
    const dual = [...own, { address: 'fd00::2', prefix: 112, gateway: 'fd00::1' }];
    const nodes = [
      { name: 'a', join: ['100.64.0.2', 'fd00::2'] },
      { name: 'b', join: ['100.64.0.3', 'fd00::3'] },
      { name: 'c', join: [] },
    ].map((node) => ({ ...node, addresses: [] }));
    const join = { metadata: { name: 'join' }, spec: { cidrBlock: '100.64.0.0/16' }, status: { nodes } };
    const routers = ['100.64.0.1', 'fd00::1'].map((address) => ({ name: GATEWAY, address }));
    expect(peersOf('a', { addresses: dual }, join)).toEqual([...routers, { name: 'b', address: '100.64.0.3' }]);
    expect(peersOf('a', { addresses: own }, undefined)).toEqual(routers.slice(0, 1));
  });
});

describe('health', () => {
  test('is lost after three silences, back with the first answer, and told each time', async () => {
    let answer: ProbeAnswer = { answered: true, ms: 2 };
    let told = 0;
    const stop = new AbortController();
    // Time stands still but for the pauses, which are none.
    const clock = { ...systemClock, schedule: (_ms: number, call: () => void) => systemClock.schedule(1, call) };
    const health = new Health({
      probe: () => Promise.resolve(answer),
      onChange: () => (told += 1),
      clock,
      signal: stop.signal,
    });
    const allHealthy = (wanted: boolean): Promise<void> =>
      vi.waitFor(() => expect(health.peers.map(({ healthy }) => healthy)).toEqual([wanted, wanted]), {
        timeout: 10_000,
      });
    health.follow([peer('b'), { name: GATEWAY, address: '100.64.0.1' }]);
    await allHealthy(true);
    expect(healthConditions(health.peers).map(({ status }) => status)).toEqual(['True', 'True']);
    answer = { answered: false, why: 'no answer in 1000 ms' };
    await allHealthy(false);
    const [gateway, tunnels] = healthConditions(health.peers);
    expect(gateway).toMatchObject({
      status: 'False',
      message: expect.stringContaining('100.64.0.1: no answer') as unknown,
    });
    expect(tunnels).toMatchObject({ status: 'False', message: expect.stringContaining('b (100.64.0.1)') as unknown });
    answer = { answered: true, ms: 1 };
    await allHealthy(true);
    expect(told).toBeGreaterThanOrEqual(6);
    stop.abort();
  });

  test('of peers that have not been asked yet nothing is said', () => {
    const unknown = { ...peer('b'), healthy: undefined, ms: undefined, why: 'x' };
    expect(healthConditions([unknown])).toEqual([]);
  });

  test('what was said of peers that are gone does not stay', () => {
    const tunnels = 'ovenbird.io/TunnelsHealthy';
    expect(healthConditions([])).toEqual([]);
    expect(healthConditions([], new Set([tunnels]))).toMatchObject([{ type: tunnels, status: 'True' }]);
  });
});

describe('probes', () => {
  test('an answer, a closed port, an address that cannot be', async () => {
    const stop = new AbortController();
    // An address of this process alone, and ports that no client is given by chance.
    const { pid } = process;
    const own = `127.${pid >> 16}.${(pid >> 8) & 255}.${pid & 255}`;
    await answerProbes(own, stop.signal, 20_663);
    expect(await probe(own, 10_000, 20_663)).toMatchObject({ answered: true });
    stop.abort();
    expect(await probe(own, 10_000, 20_664)).toMatchObject({ answered: true });
    expect(await probe('255.255.255.255', 10_000, 20_664)).toMatchObject({ answered: false });
  });
});
