import { IPS } from '@ovenbird/crds';
import { type KubeClient, NODES } from '@ovenbird/kube';
import type { TestLab } from '../src/lab.ts';

/** One kind of access that the lab's API server counted (`/lab/verbs`). */
interface Access {
  readonly user: string;
  readonly verb: string;
  readonly resource: string;
  readonly subresource: string;
  readonly count: number;
}

/** What a number of pods cost so far. */
export interface Cost {
  /** API writes of the controller, by `verb resource`. */
  readonly writes: ReadonlyMap<string, number>;
  /** Committed northbound transactions. */
  readonly transactions: number;
}

const controllerUser = 'system:serviceaccount:kube-system:ovenbird-controller';
const writing = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** Reads the counters of the controller's work. @throws Error when the controller does not answer */
export async function readCost(lab: TestLab, client: KubeClient): Promise<Cost> {
  const { items } = await client.request<{ items: readonly Access[] }>({ path: '/lab/verbs' });
  const writes = new Map<string, number>();
  for (const { user, verb, resource, subresource, count } of items) {
    // The Lease is renewed by the clock, however many pods there are.
    if (user !== controllerUser || !writing.has(verb) || resource === 'leases') continue;
    writes.set(`${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`, count);
  }
  return { writes, transactions: await controllerMetric(lab, 'northbound_transactions') };
}

/** What was spent between two readings. */
export function spent(before: Cost, after: Cost): Cost {
  const writes = new Map<string, number>();
  for (const [what, count] of after.writes) {
    const more = count - (before.writes.get(what) ?? 0);
    if (more > 0) writes.set(what, more);
  }
  return { writes, transactions: after.transactions - before.transactions };
}

/**
 * API writes that pods cause one by one. The counts in the status of Subnets are written at most so often a second,
 * however many pods there are, and are no part of it.
 */
export function podWrites({ writes }: Cost): number {
  let sum = 0;
  for (const [what, count] of writes) if (what !== 'patch subnets/status') sum += count;
  return sum;
}

/** Names of pods' ports in the northbound database; only they hold a dot (docs/names.md). */
export async function podPorts(lab: TestLab): Promise<readonly string[]> {
  const text = await lab.nbctl(
    '--bare',
    '--columns=name',
    'find',
    'Logical_Switch_Port',
    'external_ids:vendor=ovenbird',
  );
  return text.split('\n').filter((name) => name.includes('.'));
}

/** How many IP objects pods of a namespace have. */
export async function ipObjects(client: KubeClient, namespace: string): Promise<number> {
  const { items } = await client.resource(IPS).list();
  return items.filter((item) => item.spec.namespace === namespace).length;
}

/** Whether every Node has its IP object; those that are missing, as text. */
export async function nodeObjects(client: KubeClient): Promise<true | string> {
  const [nodes, ips] = await Promise.all([client.resource(NODES).list(), client.resource(IPS).list()]);
  const present = new Set(ips.items.map((item) => item.metadata.name));
  const missing = nodes.items.map((node) => `node-${node.metadata.name}`).filter((name) => !present.has(name));
  return missing.length === 0 || `no IP objects of ${missing.join(' ')}`;
}

/**
 * A gauge of the controller.
 * @param name without the prefix `ovenbird_controller_`
 * @throws Error when the controller does not answer or has no such gauge
 */
async function controllerMetric(lab: TestLab, name: string): Promise<number> {
  const text = await askController(lab, '/metrics');
  const value = new RegExp(`^ovenbird_controller_${name} (\\S+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`the controller has no metric ${name}: ${text.slice(0, 200)}`);
  return Number(value);
}

/** GETs a page of the controller's health server, which listens where the controller runs; an error is text as well. */
export async function askController(lab: TestLab, path: string): Promise<string> {
  const script = `fetch('http://127.0.0.1:10660${path}').then((r) => r.text()).catch((e) => String(e.cause ?? e))
    .then((text) => process.stdout.write(text));`;
  return await lab.outside(process.execPath, '-e', script);
}
