import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet, vpc } from '../src/objects.ts';

/** Subnets and VPCs on the dataplane, in IPv4, IPv6 and dual-stack. */
describe('subnets', () => {
  let lab: TestLab;
  const spaces = ['red', 'red6', 'blue', 'closed', 'friend', 'annotated', 'rules'];

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      ...spaces.map((name) =>
        namespace(`sub-${name}`, name === 'annotated' ? { 'ovn.kubernetes.io/logical_switch': 'sub-red' } : {}),
      ),
      vpc('sub-vpc'),
      subnet('sub-red', {
        cidrBlock: '10.30.0.0/24',
        namespaces: ['sub-red', 'sub-annotated'],
        natOutgoing: true,
        mtu: 1300,
      }),
      subnet('sub-red6', { cidrBlock: 'fd00:10:31::/112', namespaces: ['sub-red6'] }),
      // Overlaps the default VPC's subnets on purpose: custom VPCs may.
      subnet('sub-blue', { vpc: 'sub-vpc', cidrBlock: '10.30.0.0/24,fd00:10:31::/112', namespaces: ['sub-blue'] }),
      subnet('sub-closed', {
        cidrBlock: '10.32.0.0/24,fd00:10:32::/112',
        namespaces: ['sub-closed'],
        private: true,
        allowSubnets: ['10.33.0.0/24', 'fd00:10:33::/112'],
      }),
      subnet('sub-friend', { cidrBlock: '10.33.0.0/24,fd00:10:33::/112', namespaces: ['sub-friend'] }),
      subnet('sub-rules', { cidrBlock: '10.34.0.0/24,fd00:10:34::/112', namespaces: ['sub-rules'] }),
    );
    await lab.apply(
      pod('sub-red', 'a', { node: 'node-1' }),
      pod('sub-red', 'b', { node: 'node-2' }),
      pod('sub-red6', 'a', { node: 'node-1' }),
      pod('sub-red6', 'b', { node: 'node-3' }),
      pod('sub-blue', 'a', { node: 'node-1' }),
      pod('sub-blue', 'b', { node: 'node-2' }),
      pod('sub-closed', 'a', { node: 'node-2' }),
      pod('sub-closed', 'b', { node: 'node-3' }),
      pod('sub-friend', 'a', { node: 'node-3' }),
      pod('sub-annotated', 'a', { node: 'node-3' }),
      pod('sub-rules', 'a', { node: 'node-1' }),
    );
    await Promise.all(spaces.map((name) => lab.podsReady(`sub-${name}`)));
  });
  afterAll(async () => {
    await lab.delete(
      spaces.map((name) => namespace(`sub-${name}`)),
      '--wait=true',
      '--timeout=60s',
    );
    await lab.kubectlAny([
      'delete',
      'subnet',
      '--ignore-not-found',
      '--timeout=60s',
      ...spaces.map((name) => `sub-${name}`),
    ]);
    await lab.kubectlAny(['delete', 'vpc', '--ignore-not-found', '--timeout=60s', 'sub-vpc']);
  });

  const addresses = async (ns: string, name: string): Promise<readonly string[]> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', `sub-${ns}`));
  const reaches = async (from: string, to: readonly string[]): Promise<void> => {
    await lab.waitFor(
      `${from} reaches ${to.join(' ')}`,
      async () => (await lab.pingMatrix([`sub-${from}`], to)).join('\n') || true,
      20_000,
    );
  };
  /** None of the pings is answered, twice in a row. */
  const blocked = async (from: string, to: readonly string[]): Promise<void> => {
    for (let round = 0; round < 2; round += 1) {
      await lab.waitFor(
        `${from} does not reach ${to.join(' ')}`,
        async () => {
          const unanswered = await lab.pingMatrix([`sub-${from}`], to, 500);
          return unanswered.length === to.length || `${to.length - unanswered.length} answered`;
        },
        20_000,
      );
    }
  };
  const condition = async (
    kind: string,
    name: string,
  ): Promise<{ status: string; reason: string; message: string }> => {
    const { status } = await lab.get<{
      status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
    }>(kind, name);
    return (
      status?.conditions?.find((found) => found.type === 'Ready') ?? { status: 'Unknown', reason: '', message: '' }
    );
  };

  /** The message of an event of a Subnet; those of objects without a namespace are in `default`. */
  const event = async (name: string, reason: string): Promise<string> => {
    const { message } = await lab.waitFor(
      `event ${reason} of Subnet ${name}`,
      async () => {
        const { items } = await lab.get<{ items: { type: string; reason: string; message: string }[] }>(
          'events',
          '-n',
          'default',
          '--field-selector',
          `involvedObject.kind=Subnet,involvedObject.name=${name}`,
        );
        const found = items.find((item) => item.type === 'Warning' && item.reason === reason);
        return found ?? items.map((item) => `${item.reason}: ${item.message}`).join('\n');
      },
      15_000,
    );
    return message;
  };

  it('takes the subnet that lists the namespace, or that the namespace names, in one family or both', async () => {
    expect(await addresses('red', 'a')).toEqual([expect.stringMatching(/^10\.30\.0\./)]);
    expect(await addresses('red6', 'a')).toEqual([expect.stringMatching(/^fd00:10:31::/)]);
    expect(await addresses('blue', 'a')).toEqual([
      expect.stringMatching(/^10\.30\.0\./),
      expect.stringMatching(/^fd00:10:31::/),
    ]);
    expect(await addresses('annotated', 'a')).toEqual([expect.stringMatching(/^10\.30\.0\./)]);
  });

  it('routes between subnets of the default VPC, and gives the MTU of the subnet', async () => {
    await reaches('red/a', [...(await addresses('red', 'b')), '10.30.0.1', ...(await addresses('annotated', 'a'))]);
    await reaches('red6/a', await addresses('red6', 'b'));
    await reaches('friend/a', [...(await addresses('red', 'a')), ...(await addresses('red6', 'b'))]);
    expect(await lab.exec('sub-red', 'a', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1300');
  });

  it('keeps a custom VPC to itself, though its addresses are used elsewhere too', async () => {
    await reaches('blue/a', [...(await addresses('blue', 'b')), '10.30.0.1', 'fd00:10:31::1']);
    await blocked('blue/a', [...(await addresses('friend', 'a')), '172.30.1.1']);
    // The same address answers inside both VPCs, each time as its own pod.
    const [shared] = await addresses('blue', 'a');
    const results = await lab.probe([
      { from: 'sub-blue/b', protocol: 'tcp', destination: shared ?? '', port: 8080, timeoutMs: 2000 },
      { from: 'sub-red/b', protocol: 'tcp', destination: shared ?? '', port: 8080, timeoutMs: 2000 },
    ]);
    expect(results.map((result) => result.verdict)).toEqual(['open', 'open']);
  });

  it('closes a private subnet to all but itself, allowSubnets and the nodes; what it starts itself is answered', async () => {
    const target = await addresses('closed', 'a');
    await reaches('closed/b', target);
    await reaches('friend/a', target);
    await blocked('red/a', target.slice(0, 1));
    await blocked('red6/a', target.slice(1));
    await reaches('closed/a', [...(await addresses('red', 'a')), ...(await addresses('red6', 'a'))]);
    for (const address of target) await lab.onNode('node-1', 'ping', '-c1', '-W2', '-n', address);
    await lab.kubectl(['patch', 'subnet', 'sub-closed', '--type=merge', '-p', '{"spec":{"private":false}}']);
    await reaches('red/a', target.slice(0, 1));
  });

  it('applies, changes and removes ACLs', async () => {
    const [v4, v6] = await addresses('rules', 'a');
    const tcp = async (destination: string | undefined): Promise<string> => {
      const [result] = await lab.probe([
        { from: 'sub-friend/a', protocol: 'tcp', destination: destination ?? '', port: 8080, timeoutMs: 700 },
      ]);
      return result?.verdict ?? 'none';
    };
    const becomes = async (destination: string | undefined, wanted: string): Promise<void> => {
      await lab.waitFor(
        `TCP to ${destination} is ${wanted}`,
        async () => ((verdict) => verdict === wanted || verdict)(await tcp(destination)),
        20_000,
      );
    };
    const acls = (...list: readonly Record<string, unknown>[]): Promise<string> =>
      lab.kubectl(['patch', 'subnet', 'sub-rules', '--type=merge', '-p', JSON.stringify({ spec: { acls: list } })]);
    await becomes(v4, 'open');
    await acls({
      direction: 'to-lport',
      priority: 1001,
      match: 'ip4.src == 10.33.0.0/24 && tcp.dst == 8080',
      action: 'drop',
    });
    await becomes(v4, 'timeout');
    await becomes(v6, 'open');
    const uuids = (): Promise<string> =>
      lab.nbctl('--bare', '--columns=_uuid', 'find', 'ACL', 'external_ids:ovenbird/owner=Subnet/sub-rules');
    const before = await uuids();
    await acls({
      direction: 'to-lport',
      priority: 1001,
      match: 'ip6.src == fd00:10:33::/112 && tcp.dst == 8080',
      action: 'reject',
    });
    await becomes(v4, 'open');
    await becomes(v6, 'closed');
    // Updated in place: a row that is deleted and inserted again loses its counters and its stage hint.
    expect(await uuids()).toBe(before);
    await acls();
    await becomes(v6, 'open');
    expect((await uuids()).trim()).toBe('');
  });

  it('gives traffic that leaves the cluster the address of the node where natOutgoing is set', async () => {
    // 198.51.100.1 is outside of the cluster; its host has no route to pods, so only masqueraded pings are answered.
    await reaches('red/a', ['198.51.100.1']);
    await blocked('friend/a', ['198.51.100.1']);
    await lab.kubectl(['patch', 'subnet', 'sub-friend', '--type=merge', '-p', '{"spec":{"natOutgoing":true}}']);
    await reaches('friend/a', ['198.51.100.1', '2001:db8:ffff::1']);
  });

  it('moves the gateway under running pods, also while their agent is away', async () => {
    const beyond = [...(await addresses('red', 'a')), ...(await addresses('red6', 'b'))];
    const move = (gateway: string): Promise<string> =>
      lab.kubectl(['patch', 'subnet', 'sub-friend', '--type=merge', '-p', JSON.stringify({ spec: { gateway } })]);
    const leadsTo = async (...gateways: string[]): Promise<void> => {
      await lab.waitFor(
        `default routes to ${gateways.join(' and ')}`,
        async () => {
          const routes = await lab.exec(
            'sub-friend',
            'a',
            'sh',
            '-c',
            'ip -4 route show default; ip -6 route show default',
          );
          return gateways.every((gateway) => routes.includes(` via ${gateway} `)) || routes;
        },
        20_000,
      );
      await reaches('friend/a', beyond);
    };
    await move('10.33.0.129,fd00:10:33::8001');
    await leadsTo('10.33.0.129', 'fd00:10:33::8001');
    const { nodeName = '' } = (await lab.get<PodObject>('pod', 'a', '-n', 'sub-friend')).spec;
    await lab.stopProcess(`${nodeName}.agent`);
    await move('10.33.0.1,fd00:10:33::1');
    await lab.startProcess(`${nodeName}.agent`);
    await leadsTo('10.33.0.1', 'fd00:10:33::1');
  });

  it.each([
    ["an overlap of one's own CIDRs with nothing written", { cidrBlock: '10.40.0.0/33' }, 'cidrBlock'],
    ['host bits', { cidrBlock: '10.40.0.1/24' }, '10.40.0.0/24'],
    ['a gateway outside', { cidrBlock: '10.40.0.0/24', gateway: '10.41.0.1' }, 'gateway'],
    ['a range that runs backwards', { cidrBlock: '10.40.0.0/24', excludeIps: ['10.40.0.9..10.40.0.3'] }, 'excludeIps'],
    ['IPv6 first', { cidrBlock: 'fd00:40::/112,10.40.0.0/24' }, 'IPv4'],
    ['a field that is not built yet', { cidrBlock: '10.40.0.0/24', vlan: 'v1' }, 'not built yet'],
    [
      'an unknown action',
      { cidrBlock: '10.40.0.0/24', acls: [{ direction: 'to-lport', priority: 1, match: 'ip', action: 'maybe' }] },
      'action',
    ],
  ])('refuses %s at the API server', async (_what, spec, text) => {
    const result = await lab.kubectlAny(['apply', '-f', '-'], JSON.stringify(subnet('sub-bad', spec)));
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain(text);
  });

  it('refuses changes of what cannot change, and lets a CIDR grow', async () => {
    const patch = (spec: Record<string, unknown>): ReturnType<TestLab['kubectlAny']> =>
      lab.kubectlAny(['patch', 'subnet', 'sub-rules', '--type=merge', '-p', JSON.stringify({ spec })]);
    expect((await patch({ vpc: 'sub-vpc' })).stderr).toContain('vpc');
    expect((await patch({ cidrBlock: '10.34.0.0/25,fd00:10:34::/112' })).stderr).toContain('grow');
    expect((await patch({ cidrBlock: '10.34.0.0/23,fd00:10:34::/112' })).code).toBe(0);
    await lab.waitFor(
      'the router port has grown',
      async () =>
        (await lab.nbctl('get', 'Logical_Router_Port', 'ovn-cluster_sub-rules', 'networks')).includes('10.34.0.1/23') ||
        'not yet',
      15_000,
    );
  });

  it('says which of two overlapping subnets does not count, and why', async () => {
    await lab.apply(subnet('sub-late', { cidrBlock: '10.33.0.128/25' }));
    const late = await lab.waitFor(
      'condition of sub-late',
      async () =>
        ((found) => (found.reason === 'Overlap' ? found : found.reason))(await condition('subnet', 'sub-late')),
      15_000,
    );
    expect(late).toMatchObject({
      status: 'False',
      message: expect.stringContaining('overlaps subnet "sub-friend"') as string,
    });
    expect(await event('sub-late', 'Overlap')).toContain('overlaps subnet "sub-friend"');
    await lab.kubectl(['delete', 'subnet', 'sub-late', '--timeout=20s']);
  });

  it('says which ACL has a match that OVN would leave out', async () => {
    const acls = [{ direction: 'to-lport', priority: 1001, match: 'ip4.src = 10.0.0.1 &&', action: 'drop' }];
    await lab.apply(subnet('sub-typo', { cidrBlock: '10.35.0.0/24', acls }));
    expect(await event('sub-typo', 'InvalidAcl')).toContain('spec.acls[0].match');
    await lab.waitFor(
      'condition of sub-typo',
      async () =>
        (({ status, reason }) => (status === 'False' && reason === 'InvalidAcl') || `${status} ${reason}`)(
          await condition('subnet', 'sub-typo'),
        ),
      15_000,
    );
    await lab.kubectl(['delete', 'subnet', 'sub-typo', '--timeout=20s']);
  });

  it('refuses a subnet that the namespace was not given', async () => {
    await lab.apply(
      pod('sub-red', 'thief', { node: 'node-1', annotations: { 'ovn.kubernetes.io/logical_switch': 'sub-closed' } }),
    );
    await lab.waitFor(
      'event SubnetForbidden',
      async () => (await lab.kubectl(['get', 'events', '-n', 'sub-red'])).includes('SubnetForbidden') || 'no event',
      15_000,
    );
    await lab.kubectl(['delete', 'pod', 'thief', '-n', 'sub-red', '--wait=true']);
  });

  it('keeps a deleted subnet and VPC until the last pod is gone, and says what they wait for', async () => {
    await lab.kubectl(['delete', 'vpc', 'sub-vpc', '--wait=false']);
    await lab.kubectl(['delete', 'subnet', 'sub-blue', '--wait=false']);
    await lab.waitFor(
      'the subnet tells what it waits for',
      async () =>
        ((found) => found.message.includes('waits for 2 addresses in use') || found.message)(
          await condition('subnet', 'sub-blue'),
        ),
      15_000,
    );
    await lab.waitFor(
      'the VPC tells what it waits for',
      async () => (({ message }) => message.includes('sub-blue') || message)(await condition('vpc', 'sub-vpc')),
      15_000,
    );
    await reaches('blue/a', await addresses('blue', 'b'));
    await lab.kubectl(['delete', 'pod', '--all', '-n', 'sub-blue', '--wait=true']);
    await lab.kubectl(['wait', '--for=delete', 'subnet/sub-blue', 'vpc/sub-vpc', '--timeout=30s']);
    const shown = await lab.nbctl('show');
    expect(shown).not.toContain('sub-blue');
    expect(shown).not.toContain('sub-vpc');
  });
});
