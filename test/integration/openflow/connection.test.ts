/** The connection against a real switch. */
import {
  type Connection,
  connect,
  match,
  OF13,
  OF14,
  OF15,
  OpenFlowError,
  PORTS,
  type Version,
} from '@ovenbird/openflow';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestSwitch, until } from './switch.ts';

let ovs: TestSwitch;
const connections: Connection[] = [];

beforeAll(async () => {
  ovs = await TestSwitch.start('br0');
});

afterAll(async () => {
  await ovs[Symbol.asyncDispose]();
});

afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
});

async function open(versions?: readonly Version[]): Promise<Connection> {
  const connection = connect({ remote: ovs.remote('br0'), versions });
  connections.push(connection);
  await connection.connected();
  return connection;
}

async function rejected(promise: Promise<unknown>): Promise<OpenFlowError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OpenFlowError);
  return error as OpenFlowError;
}

describe.each([
  { version: OF13, name: '1.3' },
  { version: OF14, name: '1.4' },
  { version: OF15, name: '1.5' },
] as const)('OpenFlow $name', ({ version }) => {
  it('is spoken', async () => {
    const sw = await open([version]);
    expect(sw.version).toBe(version);
    expect(sw.features?.tables).toBe(254);
    const description = await sw.request<'desc_request'>({ type: 'desc_request' });
    expect(description.manufacturer).toBe('Nicira, Inc.');
  });

  it('adds, shows and deletes flows', async () => {
    const sw = await open([version]);
    await sw.send([
      {
        type: 'flow_mod',
        tableId: 3,
        match: match({ tcp_dst: 80, eth_type: 0x800 }),
        actions: [{ type: 'output', port: 1 }],
      },
      { type: 'flow_mod', tableId: 3, match: [], priority: 0, cookie: 7n, actions: [] },
    ]);
    expect(await ovs.flows('br0', 'table=3')).toEqual([
      'cookie=0x7, table=3, priority=0 actions=drop',
      'table=3, tcp,tp_dst=80 actions=output:1',
    ]);
    const flows = await sw.dumpFlows({ tableId: 3 });
    expect(new Set(flows.map((flow) => flow.cookie))).toEqual(new Set([0n, 7n]));
    await sw.send([{ type: 'flow_mod', command: 'delete', tableId: 3, match: [], actions: [] }]);
    expect(await sw.dumpFlows({ tableId: 3 })).toEqual([]);
  });

  it('names the message that the switch refuses', async () => {
    const sw = await open([version]);
    const good = { type: 'flow_mod', tableId: 4, match: [], actions: [] } as const;
    const bad = { ...good, actions: [{ type: 'group', group: 99 }] } as const;
    const error = await rejected(sw.send([good, bad, good]));
    expect(error).toMatchObject({ code: 'switch_error', index: 1, switchError: { name: 'OFPBAC_BAD_OUT_GROUP' } });
    expect(error.offending).toMatchObject({ type: 'flow_mod', tableId: 4 });
    expect(error.message).toMatch(/group:99/);
  });

  it('commits bundles, and names the message at fault of a refused one', async () => {
    const sw = await open([version]);
    const flow = (priority: number) => ({ type: 'flow_mod', tableId: 5, priority, match: [], actions: [] }) as const;
    await sw.bundle([flow(1), flow(2), { type: 'flow_mod', command: 'delete', tableId: 4, match: [], actions: [] }]);
    expect(await ovs.flows('br0', 'table=5')).toHaveLength(2);
    const refused = await rejected(sw.bundle([flow(3), { ...flow(4), actions: [{ type: 'group', group: 99 }] }]));
    expect(refused).toMatchObject({ code: 'bundle_failed', index: 1, switchError: { name: 'OFPBAC_BAD_OUT_GROUP' } });
    expect(refused.offending).toMatchObject({ type: 'flow_mod', priority: 4 });
    // What cannot even be decoded is refused when it is added: the rest must not be committed.
    const malformed = await rejected(
      sw.bundle([
        flow(5),
        { type: 'flow_mod', tableId: 5, match: [], priority: 6, actions: [{ type: 'output', port: PORTS.ANY }] },
        flow(7),
      ]),
    );
    expect(malformed).toMatchObject({ code: 'bundle_failed', index: 1 });
    expect(await ovs.flows('br0', 'table=5')).toHaveLength(2);
    await sw.bundle([{ type: 'flow_mod', command: 'delete', tableId: 5, match: [], actions: [] }]);
    expect(await ovs.flows('br0', 'table=5')).toEqual([]);
  });
});

describe('a connection', () => {
  it('gives tables names, by a request in several parts', async () => {
    const sw = await open();
    const { tables } = await sw.request<'table_features_request'>({ type: 'table_features_request', tables: [] });
    expect(tables).toHaveLength(254);
    const named = tables.map((table) => (table.tableId === 3 ? { ...table, name: 'Classifier' } : table));
    const parts = Array.from({ length: 32 }, (_, at) => named.slice(at * 8, at * 8 + 8)).filter(
      (part) => part.length > 0,
    );
    await sw.request<'table_features_request'>(
      parts.map((part) => ({ type: 'table_features_request', tables: part }) as const),
    );
    await sw.send([{ type: 'flow_mod', tableId: 3, match: [], actions: [] }]);
    expect(await ovs.ofctl('br0', 'dump-flows', 'table=3', '--names')).toMatch(/table=Classifier/);
    await sw.send([{ type: 'flow_mod', tableId: 3, command: 'delete', match: [], actions: [] }]);
  });

  it('asks how IPFIX exporters do, and how queues and tables are set up', async () => {
    const sw = await open();
    await ovs.configure(
      ...['set', 'bridge', 'br0', 'ipfix=@i', '--', '--id=@i', 'create', 'IPFIX', 'targets="127.0.0.1:9"'],
      ...['--', '--id=@b', 'get', 'bridge', 'br0', '--', '--id=@j', 'create', 'IPFIX', 'targets="127.0.0.1:9"'],
      ...['--', 'create', 'Flow_Sample_Collector_Set', 'id=5', 'bridge=@b', 'ipfix=@j'],
    );
    await sw.send([
      {
        type: 'flow_mod',
        tableId: 3,
        match: [],
        actions: [{ type: 'sample', probability: 0xffff, collectorSetId: 5, obsDomainId: 1, obsPointId: 2 }],
      },
    ]);
    const { exporters } = await sw.request<'ipfix_bridge_request'>({ type: 'ipfix_bridge_request' });
    expect(exporters).toMatchObject([{ collectorSetId: 0, totalFlows: expect.any(BigInt) as bigint }]);
    const flows = await sw.request<'ipfix_flow_request'>({ type: 'ipfix_flow_request' });
    expect(flows.exporters).toMatchObject([{ collectorSetId: 5 }]);
    expect(await sw.request<'queue_desc_request'>({ type: 'queue_desc_request' })).toMatchObject({
      type: 'queue_desc_reply',
    });
    // The switch applies its own limits: a table that evicts says so from then on.
    await sw.send([{ type: 'table_mod', tableId: 3, config: 4 }]);
    const { tables } = await sw.request<'table_desc_request'>({ type: 'table_desc_request' });
    expect(tables.find(({ tableId }) => tableId === 3)).toMatchObject({ config: 4 });
    await sw.send([{ type: 'flow_mod', tableId: 3, command: 'delete', match: [], actions: [] }]);
  });

  it('is made again after a restart of the switch', async () => {
    const sw = await open();
    await ovs.stopSwitch();
    await until('the end to be noticed', () => sw.state !== 'connected');
    expect((await rejected(sw.barrier())).code).toBe('disconnected');
    await ovs.startSwitch();
    await sw.connected();
    await sw.barrier();
  });
});
