import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { addressesOf, namespace, type PodObject, pod } from '../src/objects.ts';

const asks = (keys: Record<string, string>): { annotations: Record<string, string> } => ({
  annotations: Object.fromEntries(Object.entries(keys).map(([key, value]) => [`ovn.kubernetes.io/${key}`, value])),
});

/** An ARP request of which sender and target are the same address (RFC 5227 §3), on eth0. */
const gratuitousArp = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
mac, ip = s.getsockname()[4], socket.inet_aton(sys.argv[1])
arp = bytes.fromhex('0806' '0001' '0800' '06' '04' '0001') + mac + ip + bytes(6) + ip
s.send(b'\\xff' * 6 + mac + arp)
`;

/** An unsolicited neighbour advertisement (RFC 4861 §4.4, override) of an address, to all nodes, on eth0. */
const unsolicitedAdvertisement = `
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
mac, ip = s.getsockname()[4], socket.inet_pton(socket.AF_INET6, sys.argv[1])
all_nodes = socket.inet_pton(socket.AF_INET6, 'ff02::1')
icmp = bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + ip + bytes([2, 1]) + mac
pseudo = ip + all_nodes + struct.pack('!II', len(icmp), 58) + icmp
total = sum(struct.unpack('!%dH' % (len(pseudo) // 2), pseudo))
while total >> 16: total = (total & 0xffff) + (total >> 16)
icmp = icmp[:2] + struct.pack('!H', ~total & 0xffff) + icmp[4:]
header = struct.pack('!IHBB', 6 << 28, len(icmp), 58, 255) + ip + all_nodes
s.send(bytes.fromhex('333300000001') + mac + bytes.fromhex('86dd') + header + icmp)
`;

/** Prints the sources of packets to UDP port 9400, when three have come from the one given. */
const listenForSources = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 9400))
sources = []
while sources.count(sys.argv[1]) < 3: sources.append(s.recvfrom(100)[1][0])
print('\\n'.join(sorted(set(sources))))
`;

/** Sends a packet to UDP port 9400 of the first address from each of the others. */
const sendFrom = `
import socket, sys
for source in sys.argv[2:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.sendto(b'x', (sys.argv[1], 9400))
`;

/** Addresses that pods share, and ports that may do more than others, on the wire. */
describe('Vips and unsafe ports', () => {
  let lab: TestLab;
  const ns = 'vips';
  const vip: Manifest = {
    apiVersion: 'ovenbird.io/v1',
    kind: 'Vip',
    metadata: { name: 'front' },
    spec: {
      subnet: 'ovn-default',
      namespace: ns,
      v4ip: '10.16.210.1',
      v6ip: 'fd00:10:16::d201',
      selector: ['app:web'],
    },
  };
  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), vip);
    await lab.kubectl(['wait', '--for=condition=Ready', '--timeout=20s', 'vip/front']);
    const web = { ...asks({}), labels: { app: 'web' } };
    await lab.apply(
      pod(ns, 'one', { ...web, node: 'node-1' }),
      pod(ns, 'two', { ...web, node: 'node-2' }),
      pod(ns, 'client', { node: 'node-3' }),
    );
    await lab.podsReady(ns, 40);
  });
  afterAll(async () => {
    await lab.delete([vip, namespace(ns)], '--wait=true', '--timeout=60s');
  });

  const reached = (address: string): Promise<true> =>
    lab.waitFor(
      `client reaches ${address}`,
      async () => (await lab.pingMatrix([`${ns}/client`], [address], 700)).join() || true,
      20_000,
    );
  /** Takes an address and says so to the neighbours. */
  const take = async (name: string): Promise<void> => {
    await lab.exec(ns, name, 'ip', 'address', 'add', '10.16.210.1/32', 'dev', 'eth0');
    await lab.exec(ns, name, 'python3', '-c', gratuitousArp, '10.16.210.1');
  };

  it('an address moves to the pod that announces it', async () => {
    const { status } = await lab.get<{ status: { pods: string[]; v4ip: string } }>('vip', 'front');
    expect(status.v4ip).toBe('10.16.210.1');
    await take('one');
    await reached('10.16.210.1');
    await lab.exec(ns, 'one', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
    await take('two');
    await reached('10.16.210.1');
    const parent = await lab.sbctl(
      '--bare',
      '--columns=virtual_parent',
      'find',
      'Port_Binding',
      'logical_port=vip_front',
    );
    expect(parent.trim()).toBe(`two.${ns}`);
  });

  it('an IPv6 address moves as well', async () => {
    const vip6 = 'fd00:10:16::d201';
    const parentOf = async (): Promise<string> =>
      (
        await lab.sbctl('--bare', '--columns=virtual_parent', 'find', 'Port_Binding', 'logical_port=vip_front_ip6')
      ).trim();
    for (const name of ['one', 'two', 'one']) {
      const other = name === 'one' ? 'two' : 'one';
      await lab.kubectlAny(['exec', '-n', ns, other, '--', 'ip', 'address', 'del', `${vip6}/128`, 'dev', 'eth0']);
      await lab.exec(ns, name, 'ip', 'address', 'add', `${vip6}/128`, 'dev', 'eth0', 'nodad');
      await lab.exec(ns, name, 'python3', '-c', unsolicitedAdvertisement, vip6);
      await lab.waitFor(
        `${name} has ${vip6}`,
        async () => ((parent) => parent === `${name}.${ns}` || parent)(await parentOf()),
        15_000,
      );
      await reached(vip6);
    }
  });

  it('by aaps a pod shares the address without the labels', async () => {
    await lab.apply(pod(ns, 'named', { ...asks({ aaps: 'front' }), node: 'node-3' }));
    await lab.podsReady(ns, 30, 'named');
    await lab.exec(ns, 'two', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
    await take('named');
    await lab.waitFor(
      'named has the address',
      async () =>
        (
          await lab.sbctl('--bare', '--columns=virtual_parent', 'find', 'Port_Binding', 'logical_port=vip_front')
        ).trim() === `named.${ns}` || 'not yet',
      15_000,
    );
    await reached('10.16.210.1');
    await lab.delete([pod(ns, 'named')], '--wait=true');
  });

  it('by the annotation vip a pod has the address as its own, one at a time', async () => {
    const own = {
      apiVersion: 'ovenbird.io/v1',
      kind: 'Vip',
      metadata: { name: 'own' },
      spec: { subnet: 'ovn-default', namespace: ns, v4ip: '10.16.210.9' },
    };
    const first = pod(ns, 'first', { ...asks({ vip: 'own' }), node: 'node-1' });
    await lab.apply(own, first);
    await lab.podsReady(ns, 30, 'first');
    await reached('10.16.210.9');
    await lab.waitFor(
      'the list of IPs says who has it',
      async () => (await lab.get<{ spec: { podName: string } }>('ip', 'own')).spec.podName === 'first' || 'it does not',
      15_000,
    );
    await lab.apply(pod(ns, 'second', { ...asks({ vip: 'own' }), node: 'node-2' }));
    await lab.waitFor(
      'second waits',
      async () =>
        (
          await lab.get<{ items: { reason: string; message: string }[] }>(
            'events',
            '-n',
            ns,
            '--field-selector',
            'involvedObject.name=second',
          )
        ).items.some(({ message }) => message.includes('Vip "own" is the address of Pod/vips/first')) || 'no event',
      15_000,
    );
    await lab.delete([first], '--wait=true');
    await lab.podsReady(ns, 30, 'second');
    await reached('10.16.210.9');
    await lab.delete([pod(ns, 'second'), own], '--wait=true');
  });

  it('and to no other pod', async () => {
    const virtual = 'logical_port=vip_front';
    const parentOf = async (): Promise<string> =>
      (await lab.sbctl('--bare', '--columns=virtual_parent', 'find', 'Port_Binding', virtual)).trim();
    const column = ['get', 'Logical_Switch_Port'];
    for (const port of ['vip_front', 'vip_front_ip6'])
      await lab.waitFor(
        `${port} has its two pods`,
        async () => {
          const parents = (await lab.nbctl(...column, port, 'options:virtual-parents')).trim();
          return parents === `"one.${ns},two.${ns}"` || parents;
        },
        10_000,
      );
    // What a pod announces that may have the address is seen after what one announced that may not.
    await take('client');
    await take('one');
    await lab.waitFor(
      'one has the address',
      async () => ((parent) => parent === `one.${ns}` || parent)(await parentOf()),
      15_000,
    );
    await lab.exec(ns, 'client', 'python3', '-c', gratuitousArp, '10.16.210.1');
    await lab.exec(ns, 'client', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
    await lab.exec(ns, 'one', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
    await take('two');
    const seen = new Set<string>();
    await lab.waitFor(
      'two has the address',
      async () => {
        const parent = await parentOf();
        seen.add(parent);
        return parent === `two.${ns}` || parent;
      },
      15_000,
    );
    expect([...seen]).not.toContain(`client.${ns}`);
    await reached('10.16.210.1');
    await lab.exec(ns, 'two', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
  });

  const addressOf = async (name: string): Promise<string> =>
    addressesOf(await lab.get<PodObject>('pod', name, '-n', ns))[0] ?? '';
  /** Of which addresses packets arrive at the client, when `loose` sends from its own and then from a foreign one, twice at least. */
  async function sourcesSeen(own: string, foreign: string): Promise<readonly string[]> {
    const client = await addressOf('client');
    let seen: string | undefined;
    const listening = lab.exec(ns, 'client', 'timeout', '25', 'python3', '-c', listenForSources, own);
    listening.then(
      (text) => (seen = text),
      () => undefined,
    );
    await lab.waitForPackets(
      'the client has seen packets',
      async () => {
        await lab.exec(ns, 'loose', 'python3', '-c', sendFrom, client, own, foreign);
        return seen !== undefined || 'not yet';
      },
      20_000,
    );
    return (seen ?? '').trim().split('\n');
  }

  it('a port without port security needs a labelled namespace', async () => {
    const name = `loose.${ns}`;
    const security = async (): Promise<string> =>
      (await lab.nbctl('--bare', '--columns=port_security', 'find', 'Logical_Switch_Port', `name=${name}`)).trim();
    await lab.apply(pod(ns, 'loose', asks({ port_security: 'false', layer2_forward: 'true' })));
    await lab.podsReady(ns, 30, 'loose');
    expect(await security()).not.toBe('');
    const own = await addressOf('loose');
    const foreign = '10.16.212.1';
    await lab.exec(ns, 'loose', 'ip', 'address', 'add', `${foreign}/32`, 'dev', 'eth0');
    expect(await sourcesSeen(own, foreign)).toEqual([own]);
    await lab.kubectl(['label', 'namespace', ns, 'ovenbird.io/allow-unsafe-ports=true']);
    await lab.waitFor('port security is off', async () => (await security()) === '' || 'still on', 15_000);
    expect(await lab.nbctl('lsp-get-addresses', name)).toContain('unknown');
    await lab.nbctl('--wait=hv', 'sync');
    expect(await sourcesSeen(own, foreign)).toEqual([own, foreign].sort());
    const { items } = await lab.get<{ items: { reason: string }[] }>(
      'events',
      '-n',
      ns,
      '--field-selector',
      'involvedObject.name=loose',
    );
    expect(items.map(({ reason }) => reason)).toContain('UnsafePortForbidden');
  });

  it('port_vips lets a pod send from further addresses, layer2_forward gives it frames for unknown MACs', async () => {
    // The namespace is labelled by now.
    const [further, plain] = ['10.16.211.1', '10.16.211.2'];
    await lab.apply(pod(ns, 'further', { ...asks({ port_vips: further }), node: 'node-1' }));
    await lab.podsReady(ns, 30, 'further', 'loose');
    const peer = (await lab.get<PodObject>('pod', 'client', '-n', ns)).status.podIPs?.[0]?.ip ?? '';
    await lab.exec(ns, 'client', 'ip', 'route', 'replace', '10.16.211.0/24', 'dev', 'eth0');
    const answered = async (address: string): Promise<boolean> =>
      (await lab.kubectlAny(['exec', '-n', ns, 'further', '--', 'ping', '-c', '1', '-W', '1', '-I', address, peer]))
        .code === 0;
    for (const address of [further, plain])
      await lab.exec(ns, 'further', 'ip', 'address', 'add', `${address}/32`, 'dev', 'eth0');
    // Nobody answers ARP for the address but the pod itself, whose answers pass only for what it may send from.
    const mac = (await lab.get<{ spec: { macAddress: string } }>('ip', `further.${ns}`)).spec.macAddress;
    for (const address of [further, plain])
      await lab.exec(ns, 'client', 'ip', 'neighbour', 'replace', address, 'lladdr', mac, 'dev', 'eth0');
    await lab.waitFor('packets from the further address pass', async () => (await answered(further)) || 'none', 15_000);
    expect(await answered(plain)).toBe(false);
    // A frame for a MAC of nobody reaches the pod that forwards.
    const unknown = '02:de:ad:00:00:01';
    await lab.exec(ns, 'client', 'ip', 'neighbour', 'replace', '10.16.211.99', 'lladdr', unknown, 'dev', 'eth0');
    const seen = lab.exec(
      ns,
      'loose',
      'python3',
      '-c',
      "import socket,sys\ns=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(3))\ns.bind(('eth0',0))\ns.settimeout(15)\nwant=bytes.fromhex(sys.argv[1])\nwhile s.recv(2000)[:6]!=want: pass\nprint('seen')",
      unknown.replaceAll(':', ''),
    );
    let saw = false;
    seen.then(
      (text) => (saw = text.trim() === 'seen'),
      () => undefined,
    );
    await lab.waitForPackets(
      'a frame for a MAC of nobody arrives',
      async () => {
        await lab.kubectlAny(['exec', '-n', ns, 'client', '--', 'ping', '-c', '1', '-W', '1', '10.16.211.99']);
        return saw || 'none yet';
      },
      20_000,
    );
  });
});
