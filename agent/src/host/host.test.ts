import { describe, expect, test } from 'vitest';
import type { LinkState } from '../netlink/state.ts';
import type { NodeNetwork } from '../networks.ts';
import { acceptCommands, droppingChains, isIptablesForward } from './forward.ts';
import { dropsForwarded } from './forward-legacy.ts';
import { concernsUnderlay, geneveOverhead, smallForIpv6, underlayOf } from './link.ts';
import { concernsNat, natRuleset } from './nat.ts';
import { hostPortCommands } from './ovn0.ts';
import { run, runRaw } from './run.ts';

describe('MTU', () => {
  test('the overhead of Geneve with the option of OVN', () => {
    expect(geneveOverhead('172.30.0.1')).toBe(58);
    expect(geneveOverhead('fd00::1')).toBe(78);
  });

  test('follows the link that has the address', () => {
    const link = (ifname: string, mtu: number, local: string): LinkState => ({
      ifname,
      mtu,
      up: false,
      addresses: [{ family: 'inet', local, prefixlen: 24 }],
    });
    const links = [link('lo', 65_536, '127.0.0.1'), link('eth0', 1500, '10.0.0.1'), link('eth1', 9000, 'fd00::1')];
    expect(underlayOf(links, '10.0.0.1').ifname).toBe('eth0');
    expect(underlayOf(links, 'fd00::1').mtu).toBe(9000);
    expect(() => underlayOf(links, '10.0.0.2')).toThrow('no link of this node has the encapsulation address 10.0.0.2');
    expect(() => underlayOf(links, 'eth0')).toThrow('is not an IP address');
  });

  test('an underlay too small for IPv6 is named, with what it needs', () => {
    expect(smallForIpv6({ ifname: 'eth0', mtu: 1338 }, '10.0.0.1')).toBeUndefined();
    expect(smallForIpv6({ ifname: 'eth0', mtu: 1337 }, '10.0.0.1')).toMatch(
      /\(1337\) .* 1279 bytes.*fragments.* 1338 or/,
    );
    expect(smallForIpv6({ ifname: 'eth0', mtu: 1338 }, 'fd00::1')).toMatch(/lost between nodes; .* 1358 or more$/);
  });

  test.each([
    ['3: eth0    inet 10.0.0.1/24 scope global eth0', true],
    ['3: eth0@if12: <BROADCAST,UP> mtu 1400 qdisc noqueue state UP', true],
    ['Deleted 3: eth0    inet 10.0.0.1/24 scope global eth0', true],
    ['4: eth01: <BROADCAST> mtu 1500', false],
    ['5: h0123456789ab@if2: <BROADCAST> mtu 1500', false],
  ])('%j', (line, concerns) => {
    expect(concernsUnderlay(line, 'eth0')).toBe(concerns);
  });
});

describe('masquerade', () => {
  const networks = {
    cidrs: ['10.16.0.0/16', '100.64.0.0/16', 'fd00:10:16::/112'],
    natOutgoing: ['10.16.0.0/16'],
    nodes: ['172.30.1.1', 'fd00::1'],
  };

  test('one transaction, families apart, an empty set without elements', () => {
    const text = natRuleset(networks, ['10.96.0.0/12', 'fd00:10:96::/112']);
    expect(text.startsWith('table inet ovenbird\ndelete table inet ovenbird\ntable inet ovenbird {')).toBe(true);
    expect(text).toContain('set nat4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.16.0.0/16 }; }');
    expect(text).toContain('set nat6 { type ipv6_addr; flags interval; auto-merge; }');
    expect(text).toContain('set nodes6 { type ipv6_addr; flags interval; auto-merge; elements = { fd00::1 }; }');
    expect(text).toContain('elements = { 10.16.0.0/16, 100.64.0.0/16, 10.96.0.0/12 }');
    expect(text).toContain('elements = { fd00:10:16::/112, fd00:10:96::/112 }');
  });

  test('the same networks give the same text', () => {
    expect(natRuleset(networks, [])).toBe(natRuleset({ ...networks }, []));
  });

  test.each([
    ['delete table inet ovenbird', true],
    ['delete element inet ovenbird nat4 { 10.16.0.0/16 }', true],
    ['insert rule inet ovenbird postrouting return', true],
    ['add chain inet ovenbird-else postrouting', false],
    ['add rule ip ovenbird postrouting return', false],
    ['add rule inet filter ovenbird return', false],
    ['\tinet ovenbird', false],
  ])('a monitor says "%s"', (line, concerns) => {
    expect(concernsNat(line)).toBe(concerns);
  });
});

describe('foreign forward chains', () => {
  const chain = (more: object): object => ({ chain: { family: 'ip', table: 'filter', name: 'FORWARD', ...more } });
  const listing = (...chains: object[]): string => JSON.stringify({ nftables: [{ metainfo: {} }, ...chains] });

  test('only base chains of the forward hook with policy drop count', () => {
    const text = listing(
      chain({ hook: 'forward', policy: 'drop' }),
      chain({ hook: 'forward', policy: 'accept', table: 'a' }),
      chain({ hook: 'input', policy: 'drop', name: 'INPUT' }),
      chain({ name: 'DOCKER-USER' }),
      chain({ family: 'bridge', hook: 'forward', policy: 'drop' }),
      chain({ family: 'inet', table: 'site', name: 'fw', hook: 'forward', policy: 'drop' }),
    );
    const found = droppingChains(text);
    expect(found).toEqual([
      { family: 'ip', table: 'filter', name: 'FORWARD' },
      { family: 'inet', table: 'site', name: 'fw' },
    ]);
    expect(found.map(isIptablesForward)).toEqual([true, false]);
  });

  test('the command to run is complete', () => {
    expect(acceptCommands({ family: 'inet', table: 'site', name: 'fw' })).toEqual([
      'insert rule inet site fw iifname "ovn0" counter accept comment "ovenbird"',
      'insert rule inet site fw oifname "ovn0" counter accept comment "ovenbird"',
    ]);
  });
});

describe('the older iptables', () => {
  test.each([
    ['-P FORWARD ACCEPT\n', false],
    ['-P FORWARD DROP\n-A FORWARD -i docker0 -j ACCEPT\n', true],
    ['-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n', true],
    ['-P FORWARD ACCEPT\n-A FORWARD -j DROP\n', true],
    ['-P FORWARD ACCEPT\n-A FORWARD -s 10.0.0.1/32 -j DROP\n', false],
  ])('%j', (listing, drops) => {
    expect(dropsForwarded(listing)).toBe(drops);
  });
});

describe('ovn0', () => {
  const node: NodeNetwork = {
    portName: 'node_n1',
    subnet: 'join',
    mac: '00:00:00:00:64:02',
    addresses: [
      { address: '100.64.0.2', prefix: 16, gateway: '100.64.0.1' },
      { address: 'fd00:100:64::2', prefix: 112, gateway: 'fd00:100:64::1' },
    ],
  };
  const wanted = [
    { cidr: '10.16.0.0/16', gateway: '100.64.0.1' },
    { cidr: 'fd00:10:16::/112', gateway: 'fd00:100:64::1' },
  ];
  const right: LinkState = {
    ifname: 'ovn0',
    mtu: 1442,
    up: true,
    addresses: [
      { family: 'inet', local: '100.64.0.2', prefixlen: 16 },
      { family: 'inet6', local: 'fd00:100:64::2', prefixlen: 112 },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
    ],
  };
  const routes = wanted.map(({ cidr, gateway }) => ({ dst: cidr, gateway, byKernel: false }));

  test('a new link gets everything', () => {
    expect(hostPortCommands({ ...right, up: false, addresses: [] }, [], node, wanted)).toEqual([
      'address add 100.64.0.2/16 dev ovn0',
      'address add fd00:100:64::2/112 dev ovn0 nodad',
      'link set dev ovn0 up',
      'route replace 10.16.0.0/16 via 100.64.0.1 dev ovn0',
      'route replace fd00:10:16::/112 via fd00:100:64::1 dev ovn0',
    ]);
  });

  test('a right link gets nothing, and routes of the kernel stay', () => {
    const kernel = { dst: '100.64.0.0/16', byKernel: true };
    expect(hostPortCommands(right, [...routes, kernel], node, wanted)).toEqual([]);
  });

  test('what is not wanted goes', () => {
    const old: LinkState = {
      ...right,
      addresses: [...right.addresses, { family: 'inet', local: '100.64.0.9', prefixlen: 16 }],
    };
    const moved = [
      { dst: '10.16.0.0/16', gateway: '100.64.9.9', byKernel: false },
      { dst: '10.99.0.0/16', gateway: '100.64.0.1', byKernel: false },
    ];
    expect(hostPortCommands(old, moved, node, wanted)).toEqual([
      'address delete 100.64.0.9/16 dev ovn0',
      'route delete 10.99.0.0/16 dev ovn0',
      'route replace 10.16.0.0/16 via 100.64.0.1 dev ovn0',
      'route replace fd00:10:16::/112 via fd00:100:64::1 dev ovn0',
    ]);
  });
});

describe('run', () => {
  test('passes input, returns output', async () => {
    expect(await run('cat', [], { input: 'hello' })).toBe('hello');
  });

  test('a failure quotes what the program said', async () => {
    await expect(run('sh', ['-c', 'echo no such thing >&2; exit 3'])).rejects.toMatchObject({
      code: 'host-command',
      message: expect.stringContaining('no such thing') as unknown,
    });
    expect(await runRaw('sh', ['-c', 'exit 3'])).toMatchObject({ status: 3 });
  });

  test('a failing line of a batch is named', async () => {
    const script = 'echo "RTNETLINK answers: File exists" >&2; echo "Command failed -:2" >&2; exit 1';
    await expect(run('sh', ['-c', script], { input: 'link add a\nlink add b\n' })).rejects.toThrow(
      /^ip link add b: RTNETLINK answers: File exists$/,
    );
  });

  test('a program that is not installed', async () => {
    await expect(run('/nowhere/program', [])).rejects.toMatchObject({ code: 'host-command' });
  });

  test('a program that hangs is killed', async () => {
    await expect(run('sleep', ['600'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'host-command' });
  });
});
