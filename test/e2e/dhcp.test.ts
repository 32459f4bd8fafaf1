import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod, subnet } from '../src/objects.ts';

const ns = 'dhcp';
const printLease = fileURLToPath(new URL('../src/print-lease.sh', import.meta.url));

/** Waits for one datagram to a group on port 5000. */
const joins = `
import socket, struct, sys
group, index = sys.argv[1], socket.if_nametoindex('eth0')
six = ':' in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5000))
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack('I', index))
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack('=4s4si', socket.inet_aton(group), bytes(4), index))
s.settimeout(20)
print(s.recvfrom(100)[0].decode())
`;

/** Sends one to a group. */
const sends = `
import socket, struct, sys
group, index = sys.argv[1], socket.if_nametoindex('eth0')
six = ':' in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('=4s4si', bytes(4), bytes(4), index))
s.sendto(b'news', (group, 5000))
`;

/** Real clients in pods, which ask OVN for what their Subnets say. */
describe('DHCP, router advertisements, multicast', () => {
  let lab: TestLab;
  const directory = mkdtempSync(join(tmpdir(), 'ovenbird-dhcp-'));
  const subnets = [
    subnet('dhcp-dual', {
      cidrBlock: '10.48.0.0/24,fd00:10:48::/112',
      mtu: 1342,
      enableDHCP: true,
      dhcpV4Options: 'dns_server={10.96.0.10;10.96.0.11},domain_name=example.org',
      dhcpV6Options: 'dns_server={fd00:10:96::a,fd00:10:96::b}',
      enableIPv6RA: true,
      enableMulticastSnoop: true,
    }),
    subnet('dhcp-v4', { cidrBlock: '10.49.0.0/24', enableDHCP: true, gateway: '10.49.0.254' }),
    subnet('dhcp-v6', {
      cidrBlock: 'fd00:10:49::/64',
      mtu: 1300,
      enableDHCP: true,
      enableIPv6RA: true,
      ipv6RAConfigs: 'address_mode=slaac,max_interval=4,min_interval=3,send_periodic=true,mtu=1290',
    }),
  ];
  const at = (node: string, where: string, more: Record<string, string> = {}): Parameters<typeof pod>[2] => ({
    node,
    annotations: { 'ovn.kubernetes.io/logical_switch': where, ...more },
  });
  beforeAll(async () => {
    lab = await openLab();
    writeFileSync(
      join(directory, 'dhclient.conf'),
      'request subnet-mask, routers, domain-name-servers, interface-mtu;\nalso request dhcp6.name-servers;\n',
    );
    await lab.apply(
      namespace(ns),
      ...subnets,
      pod(ns, 'dual', at('node-1', 'dhcp-dual')),
      pod(ns, 'own', at('node-2', 'dhcp-dual', { 'ovn.kubernetes.io/dhcp-v4-options': 'lease_time=99,mtu=1200' })),
      pod(ns, 'third', at('node-3', 'dhcp-dual', { 'ovn.kubernetes.io/dhcp-v6-options': 'nonsense' })),
      pod(ns, 'four', at('node-1', 'dhcp-v4')),
      pod(ns, 'six', at('node-2', 'dhcp-v6')),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    await lab.delete([namespace(ns), ...subnets], '--wait=true', '--timeout=60s');
  });

  /** The pod's address of a family. */
  const ip = async (name: string, ipv6 = false): Promise<string | undefined> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', ns)).find((text) => text.includes(':') === ipv6);

  /** `key=value` lines of what a client printed. */
  const lines = (text: string): ReadonlyMap<string, string> =>
    new Map(
      text
        .split('\n')
        .filter((line) => /^[a-z0-9_]+=/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );

  /** Takes the pod's IPv4 address away, and what udhcpc learns then. */
  async function lease4(name: string): Promise<ReadonlyMap<string, string>> {
    await lab.exec(ns, name, 'ip', '-4', 'address', 'flush', 'dev', 'eth0');
    const ask = 'busybox udhcpc -f -q -n -i eth0 -t 5 -O mtu -s'.split(' ');
    const found = lines(await lab.exec(ns, name, ...ask, printLease));
    await lab.exec(ns, name, 'ip', 'address', 'add', `${found.get('ip')}/${found.get('mask')}`, 'dev', 'eth0');
    await lab.exec(ns, name, 'ip', 'route', 'add', 'default', 'via', found.get('router') ?? '', 'dev', 'eth0');
    return found;
  }

  /** What dhclient learns. It needs the link-local address, and stays in the foreground until it is ended by its pid. */
  async function lease6(name: string): Promise<ReadonlyMap<string, string>> {
    const file = (what: string): string => join(directory, `${name}.${what}`);
    const files = [
      '-cf',
      join(directory, 'dhclient.conf'),
      '-lf',
      file('leases'),
      '-pf',
      file('pid'),
      '-sf',
      printLease,
    ];
    await lab.waitFor(
      `a link-local address of ${name}`,
      async () => {
        const text = await lab.exec(ns, name, 'ip', '-6', 'address', 'show', 'dev', 'eth0', 'scope', 'link');
        return (text.includes('inet6') && !text.includes('tentative')) || text;
      },
      10_000,
    );
    const client = `timeout 30 dhclient -6 -1 -d ${files.join(' ')} eth0 > ${file('log')} 2>&1`;
    const ended = lab.kubectlAny(['exec', '-n', ns, name, '--', 'sh', '-c', client]);
    const found = await lab.waitFor(
      `a lease of ${name}`,
      () => {
        const text = existsSync(file('log')) ? readFileSync(file('log'), 'utf8') : '';
        return /reason=BOUND6[^]*new_preferred_life/.test(text) ? lines(text) : text;
      },
      25_000,
    );
    process.kill(Number(readFileSync(file('pid'), 'utf8')));
    await ended;
    return found;
  }

  it('a client gets the address of its pod, gateway, MTU and DNS, and reaches others with that', async () => {
    const [dual, own, four] = await Promise.all([lease4('dual'), lease4('own'), lease4('four')]);
    expect(Object.fromEntries(dual)).toMatchObject({
      ip: await ip('dual'),
      mask: '24',
      router: '10.48.0.1',
      dns: '10.96.0.10 10.96.0.11',
      domain: 'example.org',
      mtu: '1342',
      lease: '3600',
    });
    expect(Object.fromEntries(own)).toMatchObject({
      ip: await ip('own'),
      router: '10.48.0.1',
      lease: '99',
      mtu: '1200',
    });
    expect(own.has('dns')).toBe(false);
    // What the Subnet does not say is that of the link, which the agent made for the underlay.
    const [, mtu = 'none'] = / mtu (\d+) /.exec(await lab.exec(ns, 'four', 'ip', '-o', 'link', 'show', 'eth0')) ?? [];
    expect(Object.fromEntries(four)).toMatchObject({ ip: await ip('four'), router: '10.49.0.254', lease: '3600', mtu });
    await lab.waitFor(
      'the pods reach each other',
      async () =>
        (await lab.pingMatrix([`${ns}/dual`, `${ns}/own`], ['10.48.0.1', four.get('ip') ?? ''])).join('\n') || true,
      10_000,
    );
  });

  it('a client gets the IPv6 address of its pod and DNS', async () => {
    const [dual, six] = await Promise.all([lease6('dual'), lease6('six')]);
    expect(Object.fromEntries(dual)).toMatchObject({
      reason: 'BOUND6',
      new_ip6_address: await ip('dual', true),
      new_dhcp6_name_servers: 'fd00:10:96::a fd00:10:96::b',
    });
    expect(Object.fromEntries(six)).toMatchObject({ reason: 'BOUND6', new_ip6_address: await ip('six', true) });
  });

  it('a client that policies let talk to nobody gets its addresses all the same', async () => {
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: ns, name: 'closed' },
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
    };
    await lab.apply(policy);
    await lab.waitFor(
      'nobody reaches anybody',
      async () =>
        ((failed) => failed.length === 1 || 'not yet')(
          await lab.pingMatrix([`${ns}/dual`], [(await ip('own')) ?? ''], 500),
        ),
      20_000,
    );
    const [four, six] = await Promise.all([lease4('dual'), lease6('third')]);
    expect(four.get('ip')).toBe(await ip('dual'));
    expect(six.get('new_ip6_address')).toBe(await ip('third', true));
    await lab.delete([policy]);
  });

  it('the kernel of a pod learns its router, and an address where the subnet says so', async () => {
    const router = async (name: string): Promise<string> =>
      await lab
        .waitFor(
          `a router of ${name}`,
          async () => {
            const routes = await lab.exec(ns, name, 'ip', '-6', 'route', 'show', 'default', 'proto', 'ra');
            return routes.includes('via fe80::') ? { routes } : routes;
          },
          40_000,
        )
        .then(({ routes }) => routes);
    await router('dual');
    await router('six');
    const addresses = await lab.exec(ns, 'six', 'ip', '-6', 'address', 'show', 'dev', 'eth0', 'dynamic');
    expect(addresses).toContain('inet6 fd00:10:49:');
    // RFC 4861 §4.6.4: the link's MTU.
    expect((await lab.exec(ns, 'six', 'cat', '/proc/sys/net/ipv6/conf/eth0/mtu')).trim()).toBe('1290');
    expect(await lab.exec(ns, 'dual', 'ip', '-6', 'address', 'show', 'dev', 'eth0', 'dynamic')).toBe('');
  });

  it('an annotation that cannot be read leaves the options of the subnet, with an event', async () => {
    const options = async (name: string): Promise<string> =>
      await lab.nbctl('--bare', '--columns=dhcpv6_options', 'find', 'Logical_Switch_Port', `name=${name}.${ns}`);
    expect(await options('third')).toBe(await options('dual'));
    const events = await lab.kubectl(['get', 'events', '-n', ns]);
    expect(events).toContain('ovn.kubernetes.io/dhcp-v6-options: "nonsense" are no options: write name=value');
  });

  it.each(['239.1.1.1', 'ff15::1234'])('sends to group %s only what joined it', async (group) => {
    const member = lab.kubectlAny(['exec', '-n', ns, 'dual', '--', 'python3', '-c', joins, group]);
    const stranger = lab.kubectlAny(
      ['exec', '-n', ns, 'third', '--', 'timeout', '30', 'tcpdump', '-n', '-l', '-i', 'eth0', '-c', '1'].concat(
        `udp dst port 5000 or udp dst port 5001`,
      ),
    );
    await lab.waitFor(
      'OVN knows the group',
      async () => (await lab.sbctl('--bare', '--columns=address', 'list', 'IGMP_Group')).includes(group) || 'not yet',
      20_000,
    );
    let heard = false;
    const ended = member.finally(() => {
      heard = true;
    });
    await lab.waitFor(
      'the member hears',
      async () => {
        await lab.exec(ns, 'own', 'python3', '-c', sends, group);
        return heard || 'nothing yet';
      },
      20_000,
    );
    expect(await ended).toMatchObject({ stdout: 'news\n', stderr: '' });
    const third = await ip('third');
    // A packet to the stranger itself ends its capture: none to the group came before.
    await lab.exec(ns, 'own', 'bash', '-c', `echo x > /dev/udp/${third}/5001`);
    expect((await stranger).stdout).toContain(`${third}.5001`);
  });
});
