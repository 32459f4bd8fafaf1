/** Groups and meters on a real switch, alone and in bundles with flows. */
import { type Connection, parseActions, parseFlow, parseGroup, parseMeter } from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Connections, PACKET, rejected, sent } from './support.ts';
import { TestSwitch } from './switch.ts';

let ovs: TestSwitch;
let sw: Connection;
const connections = new Connections();

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
  await ovs.addPort('br0', 'p1', 1);
  await ovs.addPort('br0', 'p2', 2);
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

beforeEach(async () => {
  sw = await connections.open(ovs);
});

afterEach(async () => {
  await ovs.ofctl('br0', 'del-flows');
  await ovs.ofctl('br0', 'del-groups');
  await ovs.ofctl('br0', 'del-meters');
  await connections.close();
});

async function groups(): Promise<readonly string[]> {
  const text = await ovs.ofctl('br0', 'dump-groups');
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

describe('groups', () => {
  it('are added, changed and deleted', async () => {
    await sw.send([parseGroup('group_id=1,type=select,bucket=weight:10,output:1,bucket=weight:20,output:2')]);
    expect(await groups()).toEqual([
      'group_id=1,type=select,bucket=bucket_id:0,weight:10,actions=output:1,bucket=bucket_id:1,weight:20,actions=output:2',
    ]);
    await sw.send([parseGroup('group_id=1,type=all,bucket=output:2', 'modify')]);
    const { groups: described } = await sw.request<'group_desc_request'>({ type: 'group_desc_request', groupId: 1 });
    expect(described).toMatchObject([{ groupId: 1, groupType: 'all', buckets: [{ actions: [{ port: 2 }] }] }]);
    sw.packetOut({ data: PACKET, actions: parseActions('group:1') });
    await sw.barrier();
    await sent(sw, 2, 1n);
    const stats = await sw.request<'group_stats_request'>({ type: 'group_stats_request', groupId: 1 });
    expect(stats.groups).toMatchObject([{ groupId: 1, refCount: 0 }]);
    const twice = await rejected(sw.send([parseGroup('group_id=1,type=all,bucket=output:2')]));
    expect(twice.switchError?.name).toBe('OFPGMFC_GROUP_EXISTS');
    await sw.send([parseGroup('group_id=1', 'delete')]);
    expect(await groups()).toEqual([]);
  });

  it('get buckets one by one', async () => {
    await sw.send([
      parseGroup('group_id=1,type=select,bucket=bucket_id:0,output:1'),
      parseGroup('group_id=1,command_bucket_id=last,bucket=bucket_id:5,output:2', 'insert_bucket'),
      parseGroup('group_id=1,command_bucket_id=first,bucket=bucket_id:7,output:2', 'insert_bucket'),
      parseGroup('group_id=1,command_bucket_id=0', 'remove_bucket'),
    ]);
    const { groups: described } = await sw.request<'group_desc_request'>({ type: 'group_desc_request' });
    expect(described[0]?.buckets.map(({ bucketId }) => bucketId)).toEqual([7, 5]);
  });

  it('and flows that use them take effect together, or not at all', async () => {
    const group = parseGroup('group_id=4,type=indirect,bucket=output:1');
    const flow = parseFlow('table=1,ip,actions=group:4');
    await sw.bundle([group, flow]);
    expect(await groups()).toHaveLength(1);
    expect(await ovs.flows('br0')).toEqual(['table=1, ip actions=group:4']);
    const refused = await rejected(
      sw.bundle([
        parseGroup('group_id=5,type=indirect,bucket=output:1'),
        parseFlow('table=2,ip,actions=group:5'),
        parseFlow('table=3,ip,actions=group:6'),
      ]),
    );
    expect(refused).toMatchObject({ code: 'bundle_failed', index: 2, switchError: { name: 'OFPBAC_BAD_OUT_GROUP' } });
    expect(await groups()).toHaveLength(1);
    expect(await ovs.flows('br0')).toHaveLength(1);
    // A group that is deleted takes its flows with it.
    await sw.bundle([parseGroup('group_id=4', 'delete')]);
    expect(await ovs.flows('br0')).toEqual([]);
  });
});

describe('meters', () => {
  it('are added, changed, counted and deleted', async () => {
    await sw.send([parseMeter('meter=3,pktps,burst,stats,band=type=drop,rate=100,burst_size=200')]);
    expect(await ovs.ofctl('br0', 'dump-meters')).toMatch(
      /meter=3 pktps burst stats bands=\s*type=drop rate=100 burst_size=200/,
    );
    await sw.send([
      parseMeter('meter=3,kbps,stats,band=type=drop,rate=500', 'modify'),
      parseFlow('ip,actions=meter:3,output:1'),
    ]);
    const config = await sw.request<'meter_config_request'>({ type: 'meter_config_request' });
    expect(config.meters).toMatchObject([{ meterId: 3, bands: [{ band: 'drop', rate: 500 }] }]);
    const stats = await sw.request<'meter_stats_request'>({ type: 'meter_stats_request', meterId: 3 });
    expect(stats.meters).toMatchObject([{ meterId: 3, packetInCount: 0n, flowCount: 1 }]);
    const features = await sw.request<'meter_features_request'>({ type: 'meter_features_request' });
    expect(features.maxBands).toBeGreaterThan(0);
    await sw.send([parseMeter('meter=3', 'delete')]);
    expect(await ovs.flows('br0')).toEqual([]);
    const gone = await rejected(sw.send([parseMeter('meter=3,kbps,band=type=drop,rate=500', 'modify')]));
    expect(gone.switchError?.name).toBe('OFPMMFC_UNKNOWN_METER');
  });

  it('cannot be in a bundle: the error says which message it was', async () => {
    const refused = await rejected(
      sw.bundle([parseFlow('ip,actions=drop'), parseMeter('meter=3,kbps,band=type=drop,rate=500')]),
    );
    expect(refused).toMatchObject({ code: 'bundle_failed', index: 1, switchError: { name: 'OFPBFC_MSG_UNSUP' } });
    expect(refused.offending).toMatchObject({ type: 'meter_mod', meterId: 3 });
    expect(await ovs.flows('br0')).toEqual([]);
  });
});
