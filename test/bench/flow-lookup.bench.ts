/**
 * `npm run bench -- flow-lookup`: what the controller's watch of the southbound database holds in memory with 20,000 logical
 * flows of ACLs, beside as many of other stages that it does not ask for, on a real ovsdb-server. The process that is
 * measured has a northbound replica already, as a controller has; figures are of its heap after a collection, and its
 * resident memory.
 */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { commitOnce, connect, ovnNorthbound, ovnSouthbound, Transaction } from '@ovenbird/ovsdb';
import { FlowLookup } from '../../controller/src/lookup/flow-lookup.ts';
import { southboundIndexes, southboundMonitor } from '../../controller/src/lookup/southbound.ts';
import { makeDir, TestServer } from '../integration/ovsdb/server.ts';
import { infoLine } from './report.ts';

const FLOWS = 20_000;
/** Each rule has a flow for new connections and one for those that are there. */
const ACLS = FLOWS / 2;
const OTHERS = 20_000;
const BATCH = 1000;
const MB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Heap in use, after what nobody holds is gone. */
function heap(): number {
  for (let round = 0; round < 4; round += 1) collect();
  return process.memoryUsage().heapUsed / MB;
}

const uuidOf = (kind: string, at: number): string =>
  `${at.toString(16).padStart(8, '0')}-0000-4000-8000-${kind}${at.toString(16).padStart(10, '0')}`;

const schema = (name: string): string =>
  fileURLToPath(new URL(`../../ovsdb/schemas/23.03/${name}.ovsschema`, import.meta.url));

const dir = await makeDir();
const nb = new TestServer(dir, 'nb');
const sb = new TestServer(dir, 'sb');
const stop = new AbortController();
const { signal } = stop;
try {
  await nb.create(schema('ovn-nb'));
  await sb.create(schema('ovn-sb'));
  await nb.start();
  await sb.start();
  const northbound = connect({
    remotes: [nb.remote],
    database: ovnNorthbound,
    monitor: { ACL: true, Logical_Switch: true },
    signal,
  });
  const writer = connect({ remotes: [sb.remote], database: ovnSouthbound, monitor: { SB_Global: true }, signal });
  await Promise.all([northbound.synced(signal), writer.synced(signal)]);
  await commitOnce(northbound, () => {
    const t = new Transaction(ovnNorthbound);
    const acls = Array.from({ length: ACLS }, (_, at) =>
      t.insert(
        'ACL',
        {
          action: 'allow-related',
          direction: 'to-lport',
          priority: 2001,
          match: `outport == @np_bench.p${at} && ip4.src == $np_bench.p${at}_in && tcp.dst == 8080`,
          external_ids: new Map([
            ['vendor', 'ovenbird'],
            ['ovenbird/owner', `NetworkPolicy/bench/p${at}`],
            ['rule', 'ingress/0'],
          ]),
        },
        { uuid: uuidOf('aa', at) as never },
      ),
    );
    t.insert('Logical_Switch', { name: 'bench', acls });
    return t;
  });
  for (let from = 0; from < FLOWS + OTHERS; from += BATCH) {
    await commitOnce(writer, () => {
      const t = new Transaction(ovnSouthbound);
      if (from === 0) {
        t.insert('Datapath_Binding', { tunnel_key: 3, external_ids: new Map([['name', 'bench']]) });
      }
      for (let at = from; at < from + BATCH; at += 1) {
        const isAcl = at < FLOWS;
        const ids = new Map([
          ['source', 'northd.c:6713'],
          ['stage-name', isAcl ? 'ls_out_acl' : 'ls_in_l2_lkup'],
          ...(isAcl ? ([['stage-hint', (at >> 1).toString(16).padStart(8, '0')]] as const) : []),
        ]);
        t.insert(
          'Logical_Flow',
          {
            pipeline: isAcl ? 'egress' : 'ingress',
            table_id: isAcl ? 4 : 24,
            priority: 3001,
            match: `reg0[${7 + (at & 1)}] == 1 && (outport == @np_bench.p${at >> 1} && ip4.src == $np_bench.p${at >> 1}_in)`,
            actions: 'reg0[1] = 1; next;',
            external_ids: ids,
          },
          { uuid: uuidOf('bb', at) as never },
        );
      }
      return t;
    });
  }
  const before = heap();
  const rssBefore = process.memoryUsage.rss() / MB;
  const begin = performance.now();
  const cpuBefore = process.cpuUsage();
  const southbound = connect({
    remotes: [sb.remote],
    database: ovnSouthbound,
    monitor: southboundMonitor,
    indexes: southboundIndexes,
    signal,
  });
  await southbound.synced(signal);
  const synced = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpuBefore);
  const rows = southbound.replica.table('Logical_Flow').size;
  if (rows !== FLOWS) throw new Error(`${rows} flows are watched, not ${FLOWS}`);
  const watched = heap();
  const lookup = new FlowLookup(northbound.replica, southbound.replica);
  const indexed = heap();
  const asked = performance.now();
  for (let at = 0; at < FLOWS; at += 1) {
    const cookie = at.toString(16).padStart(8, '0');
    const found = lookup.find(cookie, 3)?.rule;
    if (found?.name !== `p${at >> 1}`) throw new Error(`${cookie} is explained as ${JSON.stringify(found)}`);
  }
  const line = infoLine('flow-lookup-watch', {
    flows: [FLOWS, ''],
    not_watched: [OTHERS, ''],
    heap_of_watch: [watched - before, 'MB'],
    heap_of_indexes: [indexed - watched, 'MB'],
    bytes_per_flow: [((indexed - before) * MB) / FLOWS, ''],
    resident: [process.memoryUsage.rss() / MB - rssBefore, 'MB'],
    first_read: [synced, 'ms'],
    first_read_cpu: [(user + system) / 1000, 'ms'],
    all_explained: [performance.now() - asked, 'ms'],
  });
  process.stdout.write(`${line}\n`);
} finally {
  stop.abort();
  await Promise.all([nb.stop(), sb.stop()]);
  await rm(dir, { recursive: true, force: true });
}
