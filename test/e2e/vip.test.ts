import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openLab, type TestLab } from '../src/lab.ts';
import { namespace, pod } from '../src/objects.ts';

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

  it('and to no other pod', async () => {
    await take('client');
    const parent = await lab.sbctl(
      '--bare',
      '--columns=virtual_parent',
      'find',
      'Port_Binding',
      'logical_port=vip_front',
    );
    expect(parent.trim()).not.toBe(`client.${ns}`);
    await lab.exec(ns, 'client', 'ip', 'address', 'del', '10.16.210.1/32', 'dev', 'eth0');
  });

  it('a port without port security needs a labelled namespace', async () => {
    const name = `loose.${ns}`;
    const security = async (): Promise<string> =>
      (await lab.nbctl('--bare', '--columns=port_security', 'find', 'Logical_Switch_Port', `name=${name}`)).trim();
    await lab.apply(pod(ns, 'loose', asks({ port_security: 'false', layer2_forward: 'true' })));
    await lab.podsReady(ns, 30, 'loose');
    expect(await security()).not.toBe('');
    await lab.kubectl(['label', 'namespace', ns, 'ovenbird.io/allow-unsafe-ports=true']);
    await lab.waitFor('port security is off', async () => (await security()) === '' || 'still on', 15_000);
    expect(await lab.nbctl('lsp-get-addresses', name)).toContain('unknown');
    const { items } = await lab.get<{ items: { reason: string }[] }>(
      'events',
      '-n',
      ns,
      '--field-selector',
      'involvedObject.name=loose',
    );
    expect(items.map(({ reason }) => reason)).toContain('UnsafePortForbidden');
  });
});
