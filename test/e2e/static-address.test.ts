import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

const ip = (address: string): { annotations: Record<string, string> } => ({
  annotations: { 'ovn.kubernetes.io/ip_address': address },
});

/** Addresses that users ask for: granted, refused with a reason, and granted later when the cause goes away. */
describe('static addresses', () => {
  let lab: TestLab;
  const ns = 'static';

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns));
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const addresses = async (name: string): Promise<readonly string[]> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', ns));

  /** The message of the newest event of a pod with this reason. */
  const event = async (name: string, reason: string): Promise<string> =>
    await lab
      .waitFor(
        `event ${reason} of pod ${name}`,
        async () => {
          const { items } = await lab.get<{ items: { reason: string; message: string }[] }>(
            'events',
            '-n',
            ns,
            '--field-selector',
            `involvedObject.name=${name}`,
          );
          return (
            items.find((item) => item.reason === reason) ??
            items.map((item) => `${item.reason}: ${item.message}`).join('\n')
          );
        },
        15_000,
      )
      .then((found) => found.message);

  it('grants an IPv4 address, an IPv6 address, and both', async () => {
    await lab.apply(
      pod(ns, 'four', ip('10.16.200.4')),
      pod(ns, 'six', ip('fd00:10:16::2006')),
      pod(ns, 'both', ip('10.16.200.46,fd00:10:16::2046')),
    );
    await lab.podsReady(ns, 30, 'four', 'six', 'both');
    expect(await addresses('four')).toEqual(['10.16.200.4', expect.stringMatching(/^fd00:10:16::/)]);
    expect(await addresses('six')).toEqual([expect.stringMatching(/^10\.16\./), 'fd00:10:16::2006']);
    expect(await addresses('both')).toEqual(['10.16.200.46', 'fd00:10:16::2046']);
    await lab.waitFor(
      'static addresses answer',
      async () =>
        (await lab.pingMatrix([`${ns}/four`], ['fd00:10:16::2006', '10.16.200.46', 'fd00:10:16::2046'])).join() || true,
      15_000,
    );
  });

  it('grants a MAC address, and the pod really has it', async () => {
    await lab.apply(pod(ns, 'mac', { annotations: { 'ovn.kubernetes.io/mac_address': '02:AB:00:00:00:42' } }));
    await lab.podsReady(ns, 30, 'mac');
    expect(await lab.exec(ns, 'mac', 'ip', '-o', 'link', 'show', 'eth0')).toContain('02:ab:00:00:00:42');
    await lab.apply(pod(ns, 'mac2', { annotations: { 'ovn.kubernetes.io/mac_address': '02:ab:00:00:00:42' } }));
    expect(await event('mac2', 'AddressTaken')).toContain('02:ab:00:00:00:42');
  });

  it.each([
    ['outside', '10.99.0.1', 'AddressOutsideSubnet', 'not a host address of subnet "ovn-default"'],
    ['gateway', '10.16.0.1', 'AddressExcluded', 'the gateway'],
    ['nonsense', '10.16.0', 'InvalidAnnotation', 'is not an address'],
    ['swapped', 'fd00:10:16::77,10.16.0.77', 'InvalidAnnotation', '"v4,v6"'],
    ['octal', '010.16.0.5', 'InvalidAnnotation', 'is not an address'],
  ])('refuses an address that is %s, with an event that says what to do', async (name, address, reason, text) => {
    await lab.apply(pod(ns, name, ip(address)));
    expect(await event(name, reason)).toContain(text);
    expect((await lab.get<PodObject>('pod', name, '-n', ns)).status.phase).toBe('Pending');
  });

  it('lets the waiting pod go on by itself when the taken address is freed', async () => {
    await lab.apply(pod(ns, 'holder', ip('10.16.201.1')));
    await lab.podsReady(ns, 30, 'holder');
    await lab.apply(pod(ns, 'waiter', ip('10.16.201.1')));
    expect(await event('waiter', 'AddressTaken')).toContain('held by Pod/static/holder');
    await lab.kubectl(['delete', 'pod', 'holder', '-n', ns, '--wait=true']);
    await lab.podsReady(ns, 30, 'waiter');
    expect(await addresses('waiter')).toContain('10.16.201.1');
  });

  it('lets the pod with an excluded address go on when it is excluded no more', async () => {
    await lab.kubectl([
      'patch',
      'subnet',
      'ovn-default',
      '--type=merge',
      '-p',
      '{"spec":{"excludeIps":["10.16.202.0..10.16.202.9"]}}',
    ]);
    await lab.waitFor(
      'the exclusion is in force',
      async () =>
        (await lab.get<{ status: { v4availableIPs: number; v4usingIPs: number } }>('subnet', 'ovn-default')).status
          .v4availableIPs < 65_530 || 'not yet',
      10_000,
    );
    await lab.apply(pod(ns, 'excluded', ip('10.16.202.5')));
    expect(await event('excluded', 'AddressExcluded')).toContain('excludeIps');
    await lab.kubectl(['patch', 'subnet', 'ovn-default', '--type=merge', '-p', '{"spec":{"excludeIps":[]}}']);
    await lab.podsReady(ns, 30, 'excluded');
    expect(await addresses('excluded')).toContain('10.16.202.5');
  });

  it('honours a reservation made by hand', async () => {
    const reservation = {
      apiVersion: 'ovenbird.io/v1',
      kind: 'IP',
      metadata: { name: 'for-vip' },
      spec: { subnet: 'ovn-default', v4IpAddress: '10.16.203.1' },
    };
    await lab.apply(reservation);
    await lab.waitFor(
      'the reservation keeps others out',
      async () => {
        await lab.delete([pod(ns, 'thief')], '--wait=true');
        await lab.apply(pod(ns, 'thief', ip('10.16.203.1')));
        return (await event('thief', 'AddressTaken')).includes('IP/for-vip') || 'no event';
      },
      20_000,
    );
    await lab.delete([reservation]);
    await lab.podsReady(ns, 30, 'thief');
  });

  it('keeps the address of a StatefulSet pod over re-creation', async () => {
    const template = {
      metadata: { labels: { app: 'db' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'lab', ports: [{ containerPort: 8080 }] }],
      },
    };
    const set = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { namespace: ns, name: 'db' },
      spec: { replicas: 2, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template },
    };
    await lab.apply(set);
    const ready = async (uidBefore: string): Promise<PodObject> =>
      await lab.waitFor(
        'pod db-0 is Ready',
        async () => {
          const { stdout } = await lab.kubectlAny(['get', 'pod', 'db-0', '-n', ns, '-o', 'json', '--ignore-not-found']);
          const object = stdout === '' ? undefined : (JSON.parse(stdout) as PodObject);
          return object !== undefined && object.metadata.uid !== uidBefore && addressesOf(object).length > 0
            ? object
            : 'not yet';
        },
        30_000,
      );
    const first = await ready('');
    await lab.kubectl(['delete', 'pod', 'db-0', '-n', ns, '--wait=true']);
    const second = await ready(first.metadata.uid);
    expect(addressesOf(second)).toEqual(addressesOf(first));
    await lab.delete([set], '--wait=true');
    await lab.waitFor(
      'the IP object of db-0 is gone',
      async () => !(await lab.kubectl(['get', 'ips', '-o', 'name'])).includes(`db-0.${ns}`) || 'still there',
      30_000,
    );
  });
});
