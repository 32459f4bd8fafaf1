import { parseArgs } from 'node:util';
import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { type Client, connect, type OvnNorthbound, ovnNorthbound } from '@ovenbird/ovsdb';
import { table } from '../table.ts';
import { UsageError } from '../usage.ts';
import { inOrder, type PodAcl } from './acl-order.ts';

/** Longest wait for the database, in milliseconds. */
const deadline = 10_000;

/**
 * `ovenbird acls [-n NAMESPACE] POD [--interface NAME] [-o json]`: what judges the packets of a pod's first interface, or of a
 * further one, in order. Exit code 1 without such a pod.
 */
export async function acls(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      namespace: { type: 'string', short: 'n', default: 'default' },
      interface: { type: 'string' },
      output: { type: 'string', short: 'o' },
    },
  });
  const [pod, ...more] = positionals;
  if (pod === undefined || more.length > 0)
    throw new UsageError('ovenbird acls [-n NAMESPACE] POD [--interface NAME] [-o json]');
  const lab = readState(labDirectory()) === undefined ? undefined : layoutOf(labDirectory()).central.northbound;
  const remote = process.env['OVN_NB_DB'] || (lab === undefined ? undefined : `unix:${lab}`);
  if (remote === undefined) throw new UsageError('set OVN_NB_DB to the northbound database');
  const found = await read(remote.split(','), `${pod}.${values.namespace}`);
  if (found === undefined) {
    process.stderr.write(
      `ovenbird: pod ${values.namespace}/${pod} has no port: it does not exist, waits for an address, or shares its node's network\n`,
    );
    return 1;
  }
  process.stdout.write(values.output === 'json' ? `${JSON.stringify(found, undefined, 2)}\n` : render(found));
  return 0;
}

/** Reads only the rows that concern the port: a database of many pods is not copied. */
async function read(remotes: readonly string[], port: string): Promise<readonly PodAcl[] | undefined> {
  const db = connect({
    remotes: [...remotes],
    database: ovnNorthbound,
    monitor: {
      Logical_Switch_Port: { columns: ['name'], where: [['name', '==', port]] },
      // Widened below, when it is known which.
      Logical_Switch: { columns: ['name', 'ports', 'acls'], where: [['name', '==', '']] },
      Port_Group: { columns: ['name', 'ports', 'acls'], where: [['name', '==', '']] },
      ACL: { where: [['match', '==', '']] },
    },
  });
  try {
    await db.synced(AbortSignal.timeout(deadline));
    const [row] = db.replica.table('Logical_Switch_Port').rows();
    if (row === undefined) return undefined;
    await db.setConditions('Logical_Switch', [['ports', 'includes', [row._uuid]]]);
    await db.setConditions('Port_Group', [['ports', 'includes', [row._uuid]]]);
    return await rulesOf(db);
  } finally {
    await db.close();
  }
}

async function rulesOf(db: Client<OvnNorthbound>): Promise<readonly PodAcl[]> {
  const groups = [...db.replica.table('Port_Group').rows()];
  const holders = [...db.replica.table('Logical_Switch').rows(), ...groups];
  const wanted = new Set(holders.flatMap(({ acls: own }) => own));
  if (wanted.size === 0) return [];
  await db.setConditions(
    'ACL',
    [...wanted].map((uuid) => ['_uuid', '==', uuid] as const),
  );
  return inOrder([...db.replica.table('ACL').rows()], new Set(groups.map(({ name }) => name)));
}

/**
 * The rules as a table; what none of them matches passes. Of stages the table speaks where a direction has two: what the first
 * one allows may still be dropped by the second.
 */
export function render(rules: readonly PodAcl[]): string {
  const tiers = rules.some(({ tier }) => tier !== 0);
  const ofEgress = new Set(rules.flatMap(({ direction, afterLb }) => (direction === 'egress' ? [afterLb] : [])));
  const stages = ofEgress.size > 1;
  const rows = rules.map(({ direction, afterLb, tier, priority, action, object, rule, match }) => [
    direction,
    ...(stages ? [direction === 'ingress' ? '-' : afterLb ? 'after-lb' : 'before-lb'] : []),
    ...(tiers ? [String(tier)] : []),
    String(priority),
    action,
    object ?? '(not Ovenbird)',
    rule,
    match,
  ]);
  const head = [
    'DIRECTION',
    ...(stages ? ['STAGE'] : []),
    ...(tiers ? ['TIER'] : []),
    ...['PRIORITY', 'ACTION', 'OBJECT', 'RULE', 'MATCH'],
  ];
  const rest = (['egress', 'ingress'] as const).map((direction) => {
    if (!rules.some((rule) => rule.direction === direction)) return `${direction}: no rule, everything passes`;
    return stages && direction === 'egress'
      ? 'egress: a packet has to pass both stages, before and after load balancing; what no line of a stage matches passes it'
      : `${direction}: what no line matches passes`;
  });
  return `${rows.length === 0 ? '' : `${table(head, rows)}\n`}${rest.join('\n')}\n`;
}
