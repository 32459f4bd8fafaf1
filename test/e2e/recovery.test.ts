import { connect, ovnNorthbound } from '@ovenbird/ovsdb';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ControlPair } from '../src/control-pair.ts';
import { killOurs, startController, startOurs, stopOurs } from '../src/interruption.ts';
import { openLab, type TestLab } from '../src/lab.ts';
import { ourRows, settledRows } from '../src/northbound-rows.ts';
import { namespace, pod, subnet } from '../src/objects.ts';
import { PacketStreams } from '../src/packet-stream.ts';
import { type Flow, podStreams } from '../src/pod-streams.ts';
import { ProcessLog } from '../src/process-log.ts';

/** Pods keep their traffic whatever happens to the controller and the agents. */
describe('traffic while controller and agents are away', () => {
  let lab: TestLab;
  const ns = 'recovery';
  const nodeOf = { a: 'node-1', b: 'node-2', c: 'node-1' };

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(namespace(ns), ...Object.entries(nodeOf).map(([name, node]) => pod(ns, name, { node })));
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
  });

  /** Between pods of two nodes, of one node, and from a node to a pod of another. */
  const flows = (): readonly Flow[] => [
    { from: 'a', to: 'b', port: 9000 },
    { from: 'b', to: 'a', port: 9001 },
    { from: 'a', to: 'c', port: 9002 },
    { name: 'node3-c', from: `/run/netns/${lab.state.nodes[2]?.namespace}`, to: 'c', port: 9003 },
  ];

  it('loses no more packets than a pair that nobody touches', async () => {
    await using pair = await ControlPair.create(lab);
    await using running = await PacketStreams.start([...(await podStreams(lab, ns, flows())), ...pair.streams()]);
    const sendMore = (count: number): Promise<void> => running.more(count);
    await sendMore(100);
    await killOurs(lab);
    await sendMore(300);
    await startOurs(lab);
    await sendMore(100);
    await stopOurs(lab);
    await sendMore(100);
    await startOurs(lab);
    await sendMore(300);
    const results = await running.stop();
    const [control, mine] = [true, false].map((isControl) =>
      results.filter(({ name }) => name.startsWith('control') === isControl),
    );
    expect(mine).toHaveLength(8);
    const allowed = Math.max(...(control ?? []).map(({ lost }) => lost.length));
    for (const { name, sent, lost } of mine ?? []) {
      expect(sent).toBeGreaterThanOrEqual(900);
      expect(lost.length, `${name}: of ${sent}, packets ${lost.join(',')} were lost`).toBeLessThanOrEqual(allowed);
    }
  });
});

/** A restart changes nothing, and what others change in our rows does not stay. */
describe('rows of ours in the northbound database', () => {
  let lab: TestLab;
  const ns = 'drift';

  beforeAll(async () => {
    lab = await openLab();
    await lab.apply(
      namespace(ns),
      subnet('drift', {
        cidrBlock: '10.61.0.0/24,fd00:10:61::/112',
        namespaces: [ns],
        acls: [{ direction: 'to-lport', priority: 1100, match: 'udp.dst == 4444', action: 'drop' }],
      }),
      pod(ns, 'plain', { node: 'node-1', annotations: { 'ovn.kubernetes.io/logical_switch': 'ovn-default' } }),
      pod(ns, 'limited', { node: 'node-2', annotations: { 'ovn.kubernetes.io/ingress_rate': '50' } }),
    );
    await lab.podsReady(ns);
  });
  afterAll(async () => {
    await lab.delete([namespace(ns)], '--wait=true', '--timeout=60s');
    await lab.kubectl(['delete', 'subnet', 'drift', '--ignore-not-found', '--timeout=60s']);
  });

  it('are not written when the controller starts again', async () => {
    const watch = connect({
      remotes: [`unix:${lab.layout.central.northbound}`],
      database: ovnNorthbound,
      monitor: Object.fromEntries([...ovnNorthbound.tables.keys()].map((table) => [table, true])),
    });
    onTestFinished(() => watch.close());
    await watch.synced(AbortSignal.timeout(10_000));
    const before = await settledRows(lab);
    await lab.stopProcess('controller');
    const { generation } = watch.replica;
    // What each committed transaction did.
    const transactions: string[] = [];
    watch.replica.onChange((changes) => {
      transactions.push(
        changes
          .map(
            ({ table, old, new: now }) =>
              `${old === undefined ? 'new' : now === undefined ? 'deleted' : 'changed'} ${table}`,
          )
          .join('; '),
      );
    });
    await startController(lab);
    // What comes after the start is over when a new pod has gone its whole way.
    await lab.apply(pod(ns, 'later', { node: 'node-3' }));
    await lab.podsReady(ns, 30, 'later');
    const first = transactions.findIndex((text) => text.includes('new Logical_Switch_Port'));
    expect(first).toBeGreaterThan(0);
    expect(transactions.slice(0, first), 'the epoch, and nothing else').toEqual(['changed NB_Global']);
    expect(watch.replica.generation).toBe(generation);
    const later = before.difference(await ourRows(lab));
    expect(later.filter((line) => line.startsWith('-') && !/^- (Logical_Switch|Port_Group) /.test(line))).toEqual([]);
  });

  const atOnce = async (...commands: readonly (readonly string[])[]): Promise<void> => {
    await lab.nbctl(...commands.flatMap((command) => ['--', ...command]));
  };

  it('heal, while rows, members and keys of others stay', async () => {
    const portOf = async (name: string): Promise<string> => {
      const [uuid = ''] = (await ourRows(lab)).find('Logical_Switch_Port', `"name":"${name}.${ns}"`);
      return uuid;
    };
    const plain = await portOf('plain');
    onTestFinished(async () => {
      await lab.nbctl('--if-exists', 'destroy', 'Port_Group', 'foreign_group');
      await lab.nbctl('--if-exists', 'lsp-del', 'foreign-port');
    });
    await atOnce(
      ['lsp-add', 'drift', 'foreign-port'],
      ['set', 'Logical_Switch', 'drift', 'external_ids:somebody=else', 'other_config:foreign=kept'],
      ['set', 'Logical_Switch_Port', plain, 'external_ids:somebody=else'],
      ['pg-add', 'foreign_group', `plain.${ns}`],
      ['acl-add', 'drift', 'to-lport', '900', 'udp.dst == 5555', 'drop'],
    );
    const before = await settledRows(lab);
    const [acl = ''] = before.find('ACL', 'udp.dst == 4444');
    const log = new ProcessLog(lab, 'controller');
    await atOnce(
      ['lsp-set-addresses', plain, '0a:00:00:00:00:99 10.16.99.99'],
      ['lsp-set-port-security', plain],
      ['remove', 'Logical_Switch_Port', plain, 'external_ids', 'vendor'],
      ['remove', 'Port_Group', 'node_node_1', 'ports', plain],
      ['remove', 'Logical_Switch', 'drift', 'acls', acl],
      ['qos-del', 'drift'],
      ['lsp-del', `limited.${ns}`],
      ['clear', 'Logical_Router', 'ovn-cluster', 'policies'],
      ['set', 'Address_Set', 'internal_ovn_cluster_ip4', 'addresses=192.0.2.1'],
    );
    await lab.waitFor(
      'rows are as before',
      async () => before.difference(await ourRows(lab)).join('\n') || true,
      30_000,
    );
    const healed = log.lines().filter(({ msg }) => msg === 'put right what somebody else changed');
    expect(new Set(healed.map((line) => line['unit']))).toEqual(
      new Set([
        ...['plain', 'limited'].map((name) => `Pod/${ns}/${name}`),
        // The router's policies, and what subnets put into the router's address set.
        ...lab.nodes.map((node) => `Node/${node}`),
        ...['drift', 'join', 'ovn-default'].map((name) => `Subnet/${name}`),
        'Vpc/ovn-cluster',
      ]),
    );
    expect(await lab.nbctl('lsp-get-type', 'foreign-port')).toBe('\n');
    expect(await lab.nbctl('acl-list', 'drift')).toContain('udp.dst == 5555');
    expect(await lab.nbctl('get', 'Port_Group', 'foreign_group', 'ports')).toContain(plain);
    await lab.waitFor(
      'event NorthboundDrift',
      async () => (await lab.kubectl(['get', 'events', '-n', ns])).includes('NorthboundDrift') || 'no event',
      15_000,
    );
  });
});
