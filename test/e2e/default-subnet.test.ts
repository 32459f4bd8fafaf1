import { cidrContains } from '@ovenbird/crds';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

/** Which Subnet gives addresses to pods whose namespace no Subnet names. */
describe('the default subnet', () => {
  let lab: TestLab;
  const ns = 'default-subnet';
  const configured = ['10.16.0.0/16', 'fd00:10:16::/112'];
  const beach = ['10.77.0.0/24', 'fd00:10:77::/112'];
  const cove = ['10.78.0.0/24', 'fd00:10:78::/112'];
  const addresses = new Map<string, readonly string[]>();

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.delete([subnet('default-beach', {}), subnet('default-cove', {})], '--wait=true', '--timeout=60s');
  });

  const usable = async (name: string, isDefault: boolean): Promise<void> => {
    await lab.waitFor(
      `subnet ${name} is judged with default: ${isDefault}`,
      async () => {
        const { metadata, status } = await lab.get<SubnetObject>('subnet', name);
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        const current = ready?.status === 'True' && ready.observedGeneration === metadata.generation;
        return current || JSON.stringify(status?.conditions);
      },
      15_000,
    );
  };

  const setDefault = async (name: string, isDefault: boolean): Promise<void> => {
    await lab.kubectl([
      'patch',
      'subnet',
      name,
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { default: isDefault } }),
    ]);
    await usable(name, isDefault);
  };

  /** Makes a pod, and says which of the blocks its addresses are from. */
  const blocksOf = async (name: string): Promise<readonly string[]> => {
    await lab.apply(pod(ns, name));
    await lab.podsReady(ns, 30, name);
    const found = addressesOf(await lab.get<PodObject>('pod', name, '-n', ns));
    addresses.set(name, found);
    const blocks = [...configured, ...beach, ...cove];
    return found.map((address) => blocks.find((cidr) => cidrContains(cidr, address)) ?? address);
  };

  it('is another one while a Subnet says so, the oldest of those that do; pods keep what they have', async () => {
    expect(await blocksOf('before')).toEqual(configured);

    await lab.apply(subnet('default-beach', { cidrBlock: beach.join(','), default: true }));
    await usable('default-beach', true);
    expect(await blocksOf('on-beach')).toEqual(beach);

    await lab.apply(subnet('default-cove', { cidrBlock: cove.join(','), default: true }));
    await usable('default-cove', true);
    expect(await blocksOf('still-on-beach')).toEqual(beach);

    await setDefault('default-beach', false);
    expect(await blocksOf('on-cove')).toEqual(cove);

    await setDefault('default-cove', false);
    expect(await blocksOf('after')).toEqual(configured);

    for (const [name, held] of addresses)
      expect(addressesOf(await lab.get<PodObject>('pod', name, '-n', ns)), name).toEqual(held);
    const all = [...addresses.values()].flat();
    await lab.waitForPackets(
      'pods of all three reach each other',
      async () =>
        (
          await lab.pingMatrix(
            [...addresses.keys()].map((name) => `${ns}/${name}`),
            all,
          )
        ).join() || true,
      30_000,
    );
  });
});

interface SubnetObject {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration?: number;
    }[];
  };
}
