import type { EndpointSlice, Service } from '@ovenbird/kube';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { endpointSubsets, planSlices, podEndpoints, SLICE_SIZE, type SliceContent } from './endpoints.ts';
import type { LabPod } from './objects.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

const service = (spec: Partial<Service['spec']> = {}): Service => ({
  metadata: { name: 's', namespace: 'ns' },
  spec: { ports: [{ name: 'web', port: 80, targetPort: 'http' }], ...spec },
});

function pod(id: number, more: { ready?: boolean; going?: boolean; port?: number; phase?: 'Failed' } = {}): LabPod {
  const { ready = true, going = false, port = 8080, phase } = more;
  return {
    metadata: { name: `p${id}`, namespace: 'ns', uid: `u${id}`, ...(going ? { deletionTimestamp: 'x' } : {}) },
    spec: {
      nodeName: 'n',
      hostname: `h${id}`,
      subdomain: 's',
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: port }] }],
    },
    status: {
      phase: phase ?? 'Running',
      podIPs: [{ ip: `10.0.0.${id}` }, { ip: `fd00::${id}` }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

describe('endpoints of pods', () => {
  test('conditions, host name, target', () => {
    const [ok, slow, going] = podEndpoints(
      service(),
      [pod(1), pod(2, { ready: false }), pod(3, { going: true })],
      'IPv6',
    );
    expect(ok?.endpoint).toEqual({
      addresses: ['fd00::1'],
      conditions: { ready: true, serving: true, terminating: false },
      hostname: 'h1',
      nodeName: 'n',
      targetRef: { kind: 'Pod', name: 'p1', namespace: 'ns', uid: 'u1' },
    });
    expect(ok?.ports).toEqual([{ name: 'web', protocol: 'TCP', port: 8080 }]);
    expect(slow?.endpoint.conditions).toEqual({ ready: false, serving: false, terminating: false });
    expect(going?.endpoint.conditions).toEqual({ ready: false, serving: true, terminating: true });
    const early = podEndpoints(service({ publishNotReadyAddresses: true }), [pod(2, { ready: false })], 'IPv4');
    expect(early[0]?.endpoint.conditions?.ready).toBe(true);
    expect(podEndpoints(service(), [pod(4, { phase: 'Failed' })], 'IPv4')).toEqual([]);
  });

  test('target ports by number, by name, by default; a missing name gives no port', () => {
    const ports = (targetPort: string | number | undefined): unknown =>
      podEndpoints(service({ ports: [{ port: 80, targetPort }] }), [pod(1)], 'IPv4')[0]?.ports.map(({ port }) => port);
    expect([ports(99), ports('http'), ports(undefined), ports('none')]).toEqual([[99], [8080], [80], []]);
  });

  test('subsets: ready and not ready apart, ending ones left out', () => {
    const pods = [pod(1), pod(2, { ready: false }), pod(3, { going: true }), pod(4, { port: 9090 })];
    expect(endpointSubsets(service(), pods)).toMatchObject([
      {
        addresses: [{ ip: '10.0.0.1', hostname: 'h1' }],
        notReadyAddresses: [{ ip: '10.0.0.2' }],
        ports: [{ name: 'web', port: 8080, protocol: 'TCP' }],
      },
      { addresses: [{ ip: '10.0.0.4' }], ports: [{ port: 9090 }] },
    ]);
    expect(endpointSubsets(service(), [])).toEqual([]);
  });
});

/** Carries a plan out, as the API server would. */
function apply(
  slices: readonly EndpointSlice[],
  plan: ReturnType<typeof planSlices>,
  next: () => number,
): EndpointSlice[] {
  const changed = new Map(plan.update.map(({ slice, content }) => [slice, content]));
  const made = (content: SliceContent): EndpointSlice => ({ metadata: { name: `s-${next()}` }, ...content });
  return [
    ...slices.filter((slice) => !plan.delete.includes(slice)).map((slice) => ({ ...slice, ...changed.get(slice) })),
    ...plan.create.map(made),
  ];
}

describe('slices', () => {
  test('any history ends in exactly the wanted endpoints, in full slices, and a second look changes nothing', () => {
    const step = fc.array(fc.record({ id: fc.integer({ min: 1, max: 250 }), port: fc.constantFrom(8080, 9090) }), {
      maxLength: 250,
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 4 }), (history) => {
        let slices: EndpointSlice[] = [];
        let number = 0;
        for (const members of history) {
          const pods = [...new Map(members.map(({ id, port }) => [id, pod(id, { port })])).values()];
          const wanted = new Map([['IPv4' as const, podEndpoints(service(), pods, 'IPv4')]]);
          slices = apply(slices, planSlices(slices, wanted), () => (number += 1));
          const shown = slices.flatMap(({ ports, endpoints }) =>
            (endpoints ?? []).map(({ addresses }) => `${addresses[0]}:${ports?.[0]?.port}`),
          );
          const expected = pods.map(
            ({ status, spec }) => `${status?.podIPs?.[0]?.ip}:${spec.containers[0]?.ports?.[0]?.containerPort}`,
          );
          expect(new Set(shown)).toEqual(new Set(expected));
          expect(shown).toHaveLength(expected.length);
          expect(Math.max(...slices.map(({ endpoints }) => endpoints?.length ?? 0))).toBeLessThanOrEqual(SLICE_SIZE);
          const again = planSlices(slices, wanted);
          expect([again.create, again.update, again.delete]).toEqual([[], [], []]);
        }
      }),
      { seed, numRuns: 40 },
    );
  });

  test('one pod changes one slice', () => {
    const pods = Array.from({ length: 250 }, (_, index) => pod(index + 1));
    const of = (list: readonly LabPod[]): Parameters<typeof planSlices>[1] =>
      new Map([['IPv4', podEndpoints(service(), list, 'IPv4')]]);
    let number = 0;
    const slices = apply([], planSlices([], of(pods)), () => (number += 1));
    expect(slices).toHaveLength(3);
    const plan = planSlices(slices, of(pods.with(120, pod(121, { ready: false }))));
    expect([plan.create.length, plan.update.length, plan.delete.length]).toEqual([0, 1, 0]);
    const removed = planSlices(slices, of(pods.toSpliced(5, 1)));
    expect([removed.create.length, removed.update.length, removed.delete.length]).toEqual([0, 1, 0]);
  });

  test('no endpoints: one empty slice a family; a family that goes takes its slices along', () => {
    const empty = planSlices(
      [],
      new Map([
        ['IPv4', []],
        ['IPv6', []],
      ]),
    );
    expect(empty.create).toEqual([
      { addressType: 'IPv4', ports: [], endpoints: [] },
      { addressType: 'IPv6', ports: [], endpoints: [] },
    ]);
    const slices = apply([], empty, () => 1);
    expect(planSlices(slices, new Map([['IPv4', []]])).delete).toHaveLength(1);
  });
});
