/**
 * Pipelines on a real switch: every kind of flow goes in as objects, is shown by ovs-ofctl as meant, comes back equal in
 * a dump, and does to packets what it says. Areas as in Antrea's integration tests; see openflow/README.md.
 */
import {
  type Connection,
  defineBits,
  diffFlows,
  type Flow,
  FlowKeeper,
  formatActions,
  formatMatch,
  match,
  matchMarks,
  parseActions,
  parseFlow,
  parseFlows,
  parseGroup,
  parseMeter,
  rangeMasks,
} from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Connections, sent, tcp } from './support.ts';
import { TestSwitch } from './switch.ts';

let ovs: TestSwitch;
let sw: Connection;
const connections = new Connections();

beforeAll(async () => {
  ovs = await TestSwitch.start();
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await ovs.addBridge('br0');
  for (const port of [1, 2, 3]) await ovs.addPort('br0', `p${port}`, port);
  sw = await connections.open(ovs);
});

afterEach(async () => {
  await connections.close();
  await ovs.configure('del-br', 'br0');
});

/** The last line of `ofproto/trace`: what happens to a packet in the end. */
async function trace(packet: string): Promise<string> {
  const text = await ovs.appctl('ofproto/trace', 'br0', packet);
  return /Datapath actions: (.*)/.exec(text)?.[1] ?? text;
}

const FLOWS: readonly [name: string, flow: Flow, printed: string][] = [
  [
    'connection tracking',
    {
      match: match({
        eth_type: 0x800,
        ct_state: '+new+trk',
        ct_mark: [0x10, 0xf0],
        ct_label: [1n << 64n, 0xffn << 64n],
      }),
      actions: [
        {
          type: 'ct',
          commit: true,
          zone: 65520,
          table: 5,
          exec: [{ type: 'load', dst: defineBits({ m: { field: 'ct_mark', from: 4, to: 7 } }).m.subfield, value: 2 }],
        },
      ],
    },
    'ct_state=+new+trk,ct_mark=0x10/0xf0,ct_label=0x10000000000000000/0xff0000000000000000,ip actions=ct(commit,table=5,zone=65520,exec(set_field:0x20/0xf0->ct_mark))',
  ],
  [
    'connection tracking of the original direction',
    parseFlow(
      'ct_state=+est+trk,ip,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_dst=80,actions=resubmit(,3,ct)',
    ),
    'ct_state=+est+trk,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_dst=80,ip actions=resubmit(,3,ct)',
  ],
  [
    'notes',
    { match: [], actions: [{ type: 'note', data: Buffer.from('010203040506', 'hex') }] },
    'actions=note:01.02.03.04.05.06',
  ],
  [
    'labels',
    parseFlow('ip,actions=ct(commit,exec(load:0x7->NXM_NX_CT_LABEL[0..31],load:0x9->NXM_NX_CT_LABEL[32..63]))'),
    'ip actions=ct(commit,exec(set_field:0x7/0xffffffff->ct_label,set_field:0x900000000/0xffffffff00000000->ct_label))',
  ],
  [
    'address translation',
    parseFlow('ip,actions=ct(commit,table=1,nat(dst=10.0.0.5:8080))'),
    'ip actions=ct(commit,table=1,nat(dst=10.0.0.5:8080))',
  ],
  [
    'learned flows',
    parseFlow(
      'tcp,actions=learn(table=4,idle_timeout=30,cookie=0x9,eth_type=0x800,NXM_OF_IP_SRC[],load:NXM_NX_REG3[]->NXM_NX_REG3[]),output:1',
    ),
    'tcp actions=learn(table=4,idle_timeout=30,cookie=0x9,eth_type=0x800,NXM_OF_IP_SRC[],load:NXM_NX_REG3[]->NXM_NX_REG3[]),output:1',
  ],
  [
    'tunnels',
    parseFlow(
      'in_port=1,actions=set_field:192.0.2.7->tun_dst,set_field:0x2a->tun_id,move:NXM_NX_REG1[0..15]->NXM_NX_REG2[16..31],output:NXM_NX_REG2[0..15]',
    ),
    'in_port=1 actions=set_field:192.0.2.7->tun_dst,set_field:0x2a->tun_id,move:NXM_NX_REG1[0..15]->NXM_NX_REG2[16..31],output:NXM_NX_REG2[0..15]',
  ],
  [
    'VLANs, hops and instructions',
    parseFlow('dl_vlan=7,ip,actions=pop_vlan,dec_ttl,write_metadata:0x5/0xff,goto_table:9'),
    'ip,dl_vlan=7 actions=pop_vlan,dec_ttl,write_metadata:0x5/0xff,goto_table:9',
  ],
  [
    'IPv6 and neighbours',
    parseFlow('icmp6,icmp_type=135,nd_target=fd00::1,actions=move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[],IN_PORT'),
    'icmp6,icmp_type=135,nd_target=fd00::1 actions=move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[],IN_PORT',
  ],
  ['TCP flags', parseFlow('tcp,tcp_flags=+syn-ack,actions=drop'), 'tcp,tcp_flags=+syn-ack actions=drop'],
];

describe('a flow', () => {
  it.each(FLOWS)('with %s is shown as meant, and comes back equal', async (_, flow, printed) => {
    await sw.bundle(diffFlows([], [flow]));
    expect(await ovs.flows('br0')).toEqual([printed]);
    const dumped = await sw.dumpFlows();
    expect(dumped.map((entry) => `${formatMatch(entry.match)} ${formatActions(entry.actions)}`)).toEqual([
      `${formatMatch(flow.match)} ${formatActions(dumped[0]?.actions ?? [])}`,
    ]);
    expect(diffFlows(dumped, [flow])).toEqual([]);
  });

  it('is deleted alone when the delete is strict, with all that it includes when not', async () => {
    await sw.send(parseFlows('priority=5,ip,actions=drop\npriority=6,ip,actions=drop\npriority=5,tcp,actions=drop'));
    await sw.send([parseFlow('priority=5,ip', 'delete_strict')]);
    expect(await ovs.flows('br0')).toEqual(['priority=5,tcp actions=drop', 'priority=6,ip actions=drop']);
    await sw.send([parseFlow('ip', 'delete')]);
    expect(await ovs.flows('br0')).toEqual([]);
  });

  it('of a range of ports matches just those', async () => {
    const flows = rangeMasks('tcp_dst', 1000, 1999).map((tcp_dst): Flow => {
      return { match: match({ eth_type: 0x800, nw_proto: 6, tcp_dst }), actions: [{ type: 'output', port: 2 }] };
    });
    await sw.bundle(diffFlows([], flows));
    for (const [port, output] of [
      [999, 'drop'],
      [1000, '2'],
      [1536, '2'],
      [1999, '2'],
      [2000, 'drop'],
    ] as const) {
      expect(await trace(`in_port=1,tcp,tcp_dst=${port}`), String(port)).toBe(output);
    }
  });
});

describe('a pipeline', () => {
  it('classifies by marks, forwards and counts', async () => {
    const marks = defineBits({
      source: { field: 'reg0', from: 0, to: 3, values: { outside: 0, pod: 2 } },
      found: { field: 'reg0', from: 16, to: 16 },
      port: { field: 'reg1', from: 0, to: 15 },
    });
    const keeper = new FlowKeeper({ connection: sw, categories: [1], round: 1 });
    keeper.set([
      {
        match: match({ in_port_oxm: 1 }),
        actions: [marks.source.load('pod'), ...parseActions('resubmit(,1)')],
        object: 1,
      },
      { priority: 0, match: [], actions: [marks.source.load('outside'), ...parseActions('resubmit(,1)')], object: 2 },
      {
        tableId: 1,
        match: match({ eth_type: 0x800, ip_dst: '10.0.0.2' }),
        actions: [marks.port.load(2), marks.found.load(1), ...parseActions('resubmit(,2)')],
        object: 3,
      },
      {
        tableId: 2,
        match: match(matchMarks(marks.source.is('pod'), marks.found.is(1))),
        actions: [{ type: 'output_reg', src: marks.port.subfield }],
        object: 4,
      },
      { tableId: 2, priority: 0, match: match(matchMarks(marks.source.is('outside'))), actions: [], object: 5 },
    ]);
    await keeper.installed();
    await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
    await ovs.receive('p3', tcp(3, '10.0.0.1', '10.0.0.2', 80));
    await sent(sw, 2, 1n);
    const counts = new Map((await sw.dumpFlows()).map((flow) => [Number(flow.cookie & 0xffn), flow.packetCount]));
    expect(Object.fromEntries(counts)).toEqual({ 1: 1n, 2: 1n, 3: 2n, 4: 1n, 5: 1n });
    await keeper.close();
  });

  it('is replayed by its keeper after a restart, and forwards as before', async () => {
    const keeper = new FlowKeeper({ connection: sw, categories: [1], round: 1 });
    keeper.set([{ match: match({ in_port_oxm: 1 }), actions: [{ type: 'output', port: 2 }] }]);
    await keeper.installed();
    const before = await ovs.flows('br0');
    await ovs.stopSwitch();
    await ovs.startSwitch();
    await sw.connected();
    await keeper.installed();
    expect(await ovs.flows('br0')).toEqual(before);
    await ovs.receive('p1', tcp(1, '10.0.0.1', '10.0.0.2', 80));
    await sent(sw, 2, 1n);
    await keeper.close();
  });

  it('decides by conjunctions, as network policies do, for IPv4 and IPv6', async () => {
    await sw.bundle(
      parseFlows(`
        priority=100,ip,nw_src=10.0.0.1,actions=conjunction(7,1/2)
        priority=100,ip,nw_src=10.0.0.3,actions=conjunction(7,1/2)
        priority=100,ipv6,ipv6_src=fd00::1,actions=conjunction(7,1/2)
        priority=100,tcp,tp_dst=80,actions=conjunction(7,2/2)
        priority=100,tcp6,tp_dst=80,actions=conjunction(7,2/2)
        priority=100,conj_id=7,ip,actions=output:2
        priority=100,conj_id=7,ipv6,actions=output:3
        priority=1,actions=drop`),
    );
    expect(await trace('in_port=1,tcp,nw_src=10.0.0.1,tp_dst=80')).toBe('2');
    expect(await trace('in_port=1,tcp,nw_src=10.0.0.3,tp_dst=80')).toBe('2');
    expect(await trace('in_port=1,tcp,nw_src=10.0.0.2,tp_dst=80')).toBe('drop');
    expect(await trace('in_port=1,tcp,nw_src=10.0.0.1,tp_dst=81')).toBe('drop');
    expect(await trace('in_port=1,tcp6,ipv6_src=fd00::1,tp_dst=80')).toBe('3');
    expect(await trace('in_port=1,tcp6,ipv6_src=fd00::2,tp_dst=80')).toBe('drop');
  });

  it('balances a service over endpoints: select group, then address translation', async () => {
    await sw.bundle([
      parseGroup(
        'group_id=10,type=select,selection_method=hash,fields(tcp_src),bucket=set_field:0x0a000005->reg3,resubmit(,1),bucket=set_field:0x0a000006->reg3,resubmit(,1)',
      ),
      ...parseFlows(`
        table=0,tcp,nw_dst=10.96.0.10,tp_dst=80,actions=group:10
        table=1,tcp,reg3=0x0a000005,actions=ct(commit,table=2,nat(dst=10.0.0.5:8080))
        table=1,tcp,reg3=0x0a000006,actions=ct(commit,table=2,nat(dst=10.0.0.6:8080))
        table=2,actions=output:2`),
    ]);
    const seen = new Set<string>();
    for (let port = 1024; port < 1064; port += 1) {
      const text = await ovs.appctl(
        ...['ofproto/trace', 'br0', `in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.96.0.10,tp_src=${port},tp_dst=80`],
      );
      seen.add(/nat\(dst=([\d.]+)/.exec(text)?.[1] ?? text);
    }
    expect([...seen].toSorted()).toEqual(['10.0.0.5', '10.0.0.6']);
  });

  it('marks and meters what leaves, and mirrors what it is told to', async () => {
    await sw.send([parseMeter('meter=5,pktps,stats,band=type=drop,rate=1000')]);
    await sw.bundle(
      parseFlows(`
        table=0,in_port=1,ip,nw_src=10.0.0.1,actions=set_field:0x3->pkt_mark,meter:5,output:2
        table=0,in_port=1,ip,nw_src=10.0.0.2,actions=output:2,output:3`),
    );
    await ovs.receive('p1', tcp(1, '10.0.0.1', '192.0.2.1', 80));
    await sent(sw, 2, 1n);
    const meters = await sw.request<'meter_stats_request'>({ type: 'meter_stats_request', meterId: 5 });
    expect(meters.meters[0]).toMatchObject({ packetInCount: 1n });
    expect(await trace('in_port=1,tcp,nw_src=10.0.0.1')).toMatch(/^meter\(\d+\),set\(skb_mark\(0x3\)\),2$/);
    await ovs.receive('p1', tcp(1, '10.0.0.2', '192.0.2.1', 80));
    await sent(sw, 2, 2n);
    await sent(sw, 3, 1n);
  });
});
