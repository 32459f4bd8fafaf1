import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Output } from '../../../controller/src/northbound/rows.ts';
import { groupRow, member, podUnit, row, switchRow } from '../../../controller/src/northbound/testing/units.ts';
import { makeDir, TestServer, until } from '../ovsdb/server.ts';
import { dump, TestWriter, type Units } from './writer.ts';

const run = promisify(execFile);

let dir: string;
let server: TestServer;
const writers: TestWriter[] = [];

beforeEach(async () => {
  dir = await makeDir();
  server = new TestServer(dir, 'nb');
  await server.create();
  await server.start();
});

afterEach(async () => {
  await Promise.all(writers.splice(0).map((writer) => writer.stop()));
  await server.stop('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

function writer(identity = 'a'): TestWriter {
  const made = new TestWriter(server, identity);
  writers.push(made);
  return made;
}

/** As people do it. */
async function nbctl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('ovn-nbctl', [`--db=${server.remote}`, '--no-leader-only', ...args]);
  return stdout.trim();
}

/** Two subnets on a router, ACLs, policies, an address set, services, and pods: every kind of reference. */
function network(pods: number): Units {
  const owner = 'Vpc/v';
  const router = row('Logical_Router', 'v', owner, {
    name: 'v',
    options: new Map([['always_learn_from_arp_request', 'false']]),
  });
  const policy = row('Logical_Router_Policy', 'p', owner, {
    priority: 31_000,
    match: 'ip4.dst == $internal',
    action: 'allow',
    nexthops: [],
  });
  const set = row('Address_Set', 'internal', owner, { name: 'internal' });
  const group = row('Load_Balancer_Group', 'g', owner, { name: 'ovenbird_g' });
  const dhcp = row('DHCP_Options', 'd', owner, { cidr: '10.0.0.0/16', options: new Map([['lease_time', '3600']]) });
  const units = new Map<string, readonly Output[]>();
  units.set(owner, [router, policy, member(router, 'policies', policy.uuid, owner), set, group, dhcp]);
  for (const [index, name] of ['s', 't'].entries()) {
    const subnet = `Subnet/${name}`;
    const port = row('Logical_Router_Port', name, subnet, {
      name: `v_${name}`,
      mac: `0a:00:00:00:01:0${index}`,
      networks: [`10.${index}.0.1/16`, `fd00:${index}::1/64`],
    });
    const acl = row('ACL', 'x', subnet, {
      priority: 1_001,
      direction: 'to-lport',
      match: 'ip4',
      action: 'allow-related',
    });
    units.set(subnet, [
      switchRow(name),
      port,
      member(router, 'ports', port.uuid, subnet),
      acl,
      member(switchRow(name), 'acls', acl.uuid, subnet),
      member(set, 'addresses', `10.${index}.0.0/16`, subnet),
      member(switchRow(name), 'load_balancer_group', group.uuid, subnet),
    ]);
  }
  const balancer = row('Load_Balancer', 'tcp', 'Service/default/web', {
    name: 'web',
    protocol: 'tcp',
    vips: new Map([['10.96.0.1:80', '10.0.0.5:8080']]),
    options: new Map([['reject', 'true']]),
  });
  units.set('Service/default/web', [balancer, member(group, 'load_balancer', balancer.uuid, 'Service/default/web')]);
  units.set('Node/n', [groupRow('n')]);
  for (let i = 0; i < pods; i++) {
    const subnet = i % 2 === 0 ? 's' : 't';
    const pod = `Pod/default/p${i}`;
    const qos = row('QoS', 'from', pod, {
      priority: 100,
      direction: 'from-lport',
      match: `inport == "p${i}.default"`,
      bandwidth: new Map([['rate', 1_000]]),
    });
    const limited = i % 10 === 0 ? [qos, member(switchRow(subnet), 'qos_rules', qos.uuid, pod)] : [];
    units.set(pod, [...podUnit(`p${i}`, subnet, 'n', { dhcpv4_options: dhcp.uuid }), ...limited]);
  }
  return units;
}

/** Resolves in the very turn in which the replica reaches this many ports, that is in the middle of the stream. */
function portsIn({ client, store }: TestWriter, count: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const ports = (): number => client.replica.table('Logical_Switch_Port').size;
  const check = (): void => {
    if (ports() >= count) resolve(undefined);
  };
  AbortSignal.timeout(20_000).onabort = () => reject(new Error(`${ports()} ports after 20 s, not ${count}`));
  const stop = store.onChange(check);
  check();
  return promise.finally(stop);
}

describe('northbound writer on ovsdb-server', () => {
  it('writes every kind of row, and nothing after a restart with the same input', async () => {
    const units = network(30);
    const first = writer('a');
    await first.run(units);
    expect(first.northbound.held()).toEqual([]);
    const before = dump(first.store);
    expect(Object.keys(before['Logical_Switch_Port'] ?? {})).toHaveLength(30);
    await first.stop();

    const second = writer('b');
    await second.run(units);
    await second.northbound.idle();
    expect(second.northbound.stats).toMatchObject({ transactions: 0, failures: 0, held: 0 });
    expect(second.fence.epoch).toBe(2);
    const { NB_Global: _, ...after } = dump(second.store);
    const { NB_Global: __, ...rows } = before;
    expect(after).toEqual(rows);
    expect(await nbctl('get', 'NB_Global', '.', 'external_ids:ovenbird/epoch')).toBe('"2"');
  });

  it('rebuilds an emptied database and a new one in its place with the same UUIDs', async () => {
    const it1 = writer();
    await it1.run(network(20));
    const before = dump(it1.store);
    const tables = [
      'Logical_Switch',
      'Logical_Router',
      'Port_Group',
      'Address_Set',
      'Load_Balancer',
      'Load_Balancer_Group',
    ];
    await nbctl(
      ...[...tables, 'DHCP_Options', 'NB_Global'].flatMap((table) => ['--', '--all', 'destroy', table]).slice(1),
    );
    await until('the rows to return', () => {
      expect(dump(it1.store)).toEqual(before);
      return true;
    });
    await it1.northbound.idle();

    await server.stop('SIGKILL');
    await server.create();
    await server.start();
    await until('the rows to return into the new database', () => {
      expect(dump(it1.store)).toEqual(before);
      return true;
    });
    expect(it1.fenced).toEqual([]);
  });

  it('heals foreign edits of owned columns, keys and members; leaves foreign rows and keys', async () => {
    const it1 = writer();
    await it1.run(network(4));
    await nbctl('ls-add', 'theirs');
    await nbctl('lsp-add', 'theirs', 'their-port', '--', 'lsp-add', 's', 'guest');
    await nbctl('set', 'Logical_Switch', 's', 'external_ids:theirs=1', 'other_config:subnet=10.9.0.0/24');
    await nbctl('lsp-set-enabled', 'p0.default', 'disabled');
    const [port] = podUnit('p0', 's', 'n');
    const group = groupRow('n');
    const edits: [string[], string[], string][] = [
      [['lsp-set-addresses', 'p0.default', 'dynamic'], ['lsp-get-addresses', 'p0.default'], '0a:00:00:00:00:01 p0'],
      [
        ['remove', 'Logical_Switch_Port', 'p0.default', 'options', 'requested-chassis'],
        ['get', 'Logical_Switch_Port', 'p0.default', 'options:requested-chassis'],
        'n',
      ],
      [
        ['remove', 'Port_Group', group.uuid, 'ports', port?.uuid ?? ''],
        ['--bare', '--columns=_uuid', 'find', 'Port_Group', `ports{>=}${port?.uuid}`],
        group.uuid,
      ],
      [['lsp-del', 'p0.default'], ['get', 'Logical_Switch_Port', 'p0.default', '_uuid'], port?.uuid ?? ''],
      [
        ['set', 'Address_Set', 'internal', 'addresses=["1.2.3.4"]'],
        ['get', 'Address_Set', 'internal', 'addresses'],
        '["10.0.0.0/16", "10.1.0.0/16"]',
      ],
      [['lb-del', 'web'], ['--bare', '--columns=vips', 'list', 'Load_Balancer', 'web'], '10.96.0.1:80=10.0.0.5:8080'],
    ];
    for (const [edit, query, expected] of edits) {
      await nbctl(...edit);
      await until(`${edit.join(' ')} to be undone`, async () => {
        expect(await nbctl(...query)).toBe(expected);
        return true;
      });
    }
    await it1.northbound.idle();
    expect(await nbctl('get', 'Logical_Switch', 's', 'external_ids:theirs')).toBe('"1"');
    expect(await nbctl('get', 'Logical_Switch', 's', 'other_config:subnet')).toBe('"10.9.0.0/24"');
    expect(await nbctl('lsp-list', 'theirs')).toContain('their-port');
    expect(await nbctl('lsp-list', 's')).toContain('guest');
    expect(it1.drifts.map(([unit]) => unit)).toContain('Pod/default/p0');
    // A restart that no longer wants p0 takes it and nothing of the others away.
    await it1.stop();
    const it2 = writer('b');
    const fewer = new Map(network(4));
    fewer.delete('Pod/default/p0');
    await it2.run(fewer);
    await it2.northbound.idle();
    expect(await nbctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port')).not.toContain('p0.default');
    expect(await nbctl('lsp-list', 's')).toContain('guest');
  });

  it('isolates the unit that the server refuses, whether the operation or the commit fails', async () => {
    const it1 = writer();
    await nbctl('ls-add', 'theirs', '--', 'lsp-add', 'theirs', 'taken.default');
    const units = new Map(network(60));
    // The operation fails: priority out of range.
    const acl = row('ACL', 'bad', 'Subnet/bad', {
      priority: 40_000,
      direction: 'to-lport',
      match: '1',
      action: 'drop',
    });
    const bad = [switchRow('bad'), acl, member(switchRow('bad'), 'acls', acl.uuid, 'Subnet/bad')];
    await it1.run(units);
    it1.northbound.setUnit('Subnet/bad', bad, { rank: 1 });
    // The commit fails: the name is taken by a port that is not ours.
    it1.northbound.setUnit('Pod/default/taken', podUnit('taken', 's', 'n'), { rank: 5, lane: 'pod' });
    const more = new Map(Array.from({ length: 60 }, (_, i) => [`Pod/default/q${i}`, podUnit(`q${i}`, 't', 'n')]));
    it1.set(more);
    await Promise.all([...more.keys()].map((name) => it1.northbound.committed(name)));
    await it1.northbound.idle();
    const held = new Map(it1.northbound.held().map(({ unit, error }) => [unit, error.message]));
    expect([...held.keys()].sort()).toEqual(['Pod/default/taken', 'Subnet/bad']);
    expect(held.get('Subnet/bad')).toContain('40000');
    expect(held.get('Pod/default/taken')).toMatch(/\(not ours\) has name "taken.default" already/);
    // The cause goes away, and so does the hold.
    await nbctl('lsp-del', 'taken.default');
    await it1.northbound.committed('Pod/default/taken');
    expect(await nbctl('lsp-list', 's')).toContain('taken.default');
  });

  it('a stale leader writes nothing', async () => {
    const old = writer('old');
    await old.run(network(3));
    const next = writer('new');
    await next.run(network(3));
    expect(next.fence.epoch).toBe(2);
    await until('the old leader to notice', () => old.fenced.length === 1);
    old.northbound.setUnit('Pod/default/late', podUnit('late', 's', 'n'));
    await expect(old.northbound.committed('Pod/default/late')).rejects.toMatchObject({ code: 'fenced' });
    await next.northbound.idle();
    expect(await nbctl('lsp-list', 's')).not.toContain('late');
  });

  it('the server refuses a stale epoch even to a leader that has not seen the new one', async () => {
    const old = writer('old');
    await old.run(network(3));
    const guard = old.fence.guard();
    const next = writer('new');
    await next.run(network(3));
    const ops = [guard, { op: 'delete', table: 'Logical_Switch', uuid: switchRow('s').uuid }] as const;
    await expect(old.store.transact(ops, new AbortController().signal)).rejects.toMatchObject({
      failure: 'wait_failed',
      op: 0,
    });
    expect(await nbctl('ls-list')).toContain('(s)');
  });

  it('stops an empty input from emptying the database until it is confirmed', async () => {
    const first = writer('a');
    await first.run(network(50));
    await first.stop();
    const second = writer('b');
    await second.run(new Map());
    await until('the safety catch', () => second.stops.length === 1);
    await second.northbound.idle();
    expect(second.stops).toMatchObject([{ count: 50, total: 50 }]);
    expect((await nbctl('lsp-list', 's')).split('\n')).toHaveLength(25);
    await nbctl('set', 'NB_Global', '.', `external_ids:ovenbird/confirm-deletion=${second.stops[0]?.token}`);
    await until('the rows to go', async () => {
      const left = await Promise.all([nbctl('ls-list'), nbctl('lr-list'), nbctl('list', 'Port_Group')]);
      expect(left).toEqual(['', '', '']);
      return true;
    });
    await until('the key to go', async () => !(await nbctl('list', 'NB_Global')).includes('confirm-deletion'));
    expect(second.northbound.held()).toEqual([]);
  });

  it('never loses a port to a switch that vanishes while the port is on its way', async () => {
    const it1 = writer();
    await it1.run(network(0));
    // Both transactions reach the server while it is frozen: whichever it takes first, no port may be lost.
    server.freeze();
    const gone = server.transact([{ op: 'delete', table: 'Logical_Switch', where: [['name', '==', 's']] }]);
    it1.set(new Map(Array.from({ length: 20 }, (_, i) => [`Pod/default/r${i}`, podUnit(`r${i}`, 's', 'n')])));
    await new Promise(setImmediate);
    server.thaw();
    await gone;
    await Promise.all(Array.from({ length: 20 }, (_, i) => it1.northbound.committed(`Pod/default/r${i}`)));
    await it1.northbound.idle();
    await until('all ports to be in the switch', async () => (await nbctl('lsp-list', 's')).split('\n').length === 20);
    const lost = { op: 'exists', table: 'Logical_Switch', uuid: '11111111-1111-4111-8111-111111111111' } as const;
    const insert = { op: 'insert', table: 'Address_Set', uuid: groupRow('z').uuid, row: { name: 'z' } } as const;
    const refused = it1.store.transact([lost, insert], new AbortController().signal);
    await expect(refused).rejects.toMatchObject({ failure: 'wait_failed', op: 0 });
    expect(await nbctl('list', 'Address_Set', 'internal')).toContain('internal');
    expect(await nbctl('--bare', '--columns=name', 'list', 'Address_Set')).toBe('internal');
  });

  it('ends with exactly the desired rows when the server is killed in the middle of 2,000 units', async () => {
    const it1 = writer();
    await it1.run(network(0));
    const units = network(2_000);
    const names = [...units.keys()];
    const stream = (async () => {
      for (let at = 0; at < names.length; at += 50) {
        for (const name of names.slice(at, at + 50)) {
          it1.northbound.setUnit(name, units.get(name) ?? [], { rank: name.startsWith('Pod/') ? 5 : 1, lane: 'pod' });
        }
        await it1.northbound.committed(names[at] ?? '');
      }
    })();
    for (const share of [300, 900]) {
      await portsIn(it1, share);
      await server.stop('SIGKILL');
      expect(it1.client.replica.table('Logical_Switch_Port').size).toBeLessThan(2_000);
      await server.start();
    }
    await stream;
    await Promise.all(names.map((name) => it1.northbound.committed(name)));
    expect(it1.northbound.held()).toEqual([]);
    const after = dump(it1.store);
    expect(Object.keys(after['Logical_Switch_Port'] ?? {})).toHaveLength(2_000);
    await it1.stop();

    // The oracle: the same units into an empty database, without any trouble.
    await server.stop('SIGKILL');
    await server.create();
    await server.start();
    const clean = writer();
    await clean.run(units);
    expect(after).toEqual(dump(clean.store));
  });
});
