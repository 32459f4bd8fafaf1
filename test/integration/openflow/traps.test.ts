/** What Open vSwitch does otherwise than one would think, each as it is on a real switch. */
import {
  ALL_TABLES,
  encodeMessage,
  flowKey,
  match,
  OF13,
  OF14,
  OF15,
  PORTS,
  parseActions,
  parseFlow,
  parseMatch,
  sameActions,
  type Version,
} from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Connections, PACKET, rejected } from './support.ts';
import { TestSwitch } from './switch.ts';

let ovs: TestSwitch;
const connections = new Connections();

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
  await ovs.addPort('br0', 'p1', 1);
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

afterEach(async () => {
  await connections.close();
  await ovs.ofctl('br0', 'del-flows');
});

const hex = (version: Version, text: string): string =>
  Buffer.from(encodeMessage(version, { ...parseFlow(text), xid: 1 })).toString('hex');

describe.each<Version>([OF13, OF14, OF15])('with version %i', (version) => {
  const open = () => connections.open(ovs, 'br0', { versions: [version] });

  it('registers are the same flow, as narrow or as wide fields', async () => {
    const text = 'table=1,reg1=0x10/0xf0,reg2=5,actions=drop';
    // OpenFlow 1.5 has registers in pairs, class 0x8001; before there are Nicira's.
    expect(hex(version, text)).toContain(version === OF15 ? '80010110' : '0001030800000010000000f0');
    await ovs.ofctl('br0', 'add-flow', text);
    const sw = await open();
    const [flow] = await sw.dumpFlows();
    if (flow === undefined) throw new Error('no flow');
    expect(flowKey(flow)).toBe(flowKey(parseFlow(text)));
  });

  it('a masked set_field and a move go in the form of the version, and come back as the same actions', async () => {
    const text = 'table=1,ip,actions=set_field:0x10/0xf0->reg1,move:NXM_OF_IP_SRC[0..7]->NXM_NX_REG2[8..15]';
    const bytes = hex(version, text);
    const load = 'ffff0018000023200007';
    expect(bytes.includes(load)).toBe(version !== OF15);
    // Standard actions 25 and 28 instead, since a switch refuses the others in 1.5.
    expect(/0019001[08].*001c00[12]/.test(bytes)).toBe(version === OF15);
    const sw = await open();
    await sw.bundle([parseFlow(text)]);
    const [flow] = await sw.dumpFlows();
    expect(sameActions(flow?.actions ?? [], parseFlow(text).actions)).toBe(true);
  });

  it('the tuple of a connection needs a state that says there is one', async () => {
    const sw = await open();
    expect(() => parseMatch('ct_state=+trk,ip,ct_nw_dst=10.0.0.1')).toThrow(
      expect.objectContaining({ code: 'prerequisite' }),
    );
    const good = ['+trk+est', '+trk+new', '+trk-inv', '+trk+rpl'].map((state, at) =>
      parseFlow(`table=1,priority=${at},ct_state=${state},ip,ct_nw_dst=10.0.0.1,actions=drop`),
    );
    await sw.bundle(good);
    expect(await sw.dumpFlows()).toHaveLength(good.length);
    const refused = await rejected(sw.bundle([parseFlow('table=2,ct_state=+trk,ip,actions=resubmit(,5,ct)')]));
    expect(refused).toMatchObject({
      code: 'bundle_failed',
      index: 0,
      switchError: { name: 'OFPBAC_MATCH_INCONSISTENT' },
    });
    await sw.bundle([parseFlow('table=2,ct_state=+trk+est,ip,actions=resubmit(,5,ct)')]);
  });

  it('a packet to send has registers in 1.5 only, and is refused else', async () => {
    const sw = await open();
    const packet = {
      data: PACKET,
      match: match({ in_port_oxm: PORTS.CONTROLLER, reg3: 5, metadata: 6n, tun_id: 7n }),
      actions: parseActions('resubmit(,1)'),
    };
    if (version === OF15) sw.packetOut(packet);
    else expect(() => sw.packetOut(packet)).toThrow(expect.objectContaining({ code: 'unencodable' }));
    await sw.barrier();
  });

  it('flows are deleted by their cookie, wherever they output to', async () => {
    const sw = await open();
    await sw.send([
      parseFlow('cookie=0x15,table=1,actions=output:1'),
      parseFlow('cookie=0x25,table=2,ip,actions=drop'),
      parseFlow('cookie=0x16,table=3,actions=drop'),
    ]);
    await sw.send([
      {
        type: 'flow_mod',
        command: 'delete',
        tableId: ALL_TABLES,
        cookie: 5n,
        cookieMask: 0xfn,
        match: [],
        actions: [],
      },
    ]);
    expect((await sw.dumpFlows()).map(({ cookie }) => cookie)).toEqual([0x16n]);
  });

  it('a flow without priority and actions has 0x8000 and drops', async () => {
    const sw = await open();
    await sw.send([{ type: 'flow_mod', match: [], actions: [] }]);
    expect(await sw.dumpFlows()).toMatchObject([{ priority: 0x8000, actions: [] }]);
    expect(await ovs.flows('br0')).toEqual(['actions=drop']);
  });

  it('a group that is missing is noticed at the commit, and the flow is named', async () => {
    const sw = await open();
    const error = await rejected(
      sw.bundle([parseFlow('table=1,actions=drop'), parseFlow('table=2,actions=group:4711')]),
    );
    expect(error).toMatchObject({ code: 'bundle_failed', index: 1, switchError: { name: 'OFPBAC_BAD_OUT_GROUP' } });
    expect(error.offending).toMatchObject({ type: 'flow_mod', tableId: 2 });
    expect(await sw.dumpFlows()).toEqual([]);
  });

  it('an error comes before the answer to the barrier behind it, and finds its message', async () => {
    const sw = await open();
    const flows = Array.from({ length: 50 }, (_, at) =>
      parseFlow(`table=1,priority=${at},actions=${at === 37 ? 'group:4711' : 'drop'}`),
    );
    const [error] = await Promise.all([rejected(sw.send(flows)), sw.barrier(), sw.barrier()]);
    expect(error).toMatchObject({ code: 'switch_error', index: 37 });
    expect(await sw.dumpFlows()).toHaveLength(49);
  });
});
