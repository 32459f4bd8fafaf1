import { parseArgs } from 'node:util';
import { announcement, SUBNETS, VPCS } from '@ovenbird/crds';
import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { KubeClient, LEASES, NODES, PODS, type Pod } from '@ovenbird/kube';
import { connect, ovnNorthbound, ovnSouthbound } from '@ovenbird/ovsdb';
import { table } from '../table.ts';

/** What `ovenbird status` found out. */
export interface Overview {
  readonly nodes: readonly { readonly name: string; readonly ready: boolean }[];
  /** Who leads, and for how long it has not renewed; absent when no controller ever led. */
  readonly leader?: { readonly identity: string; readonly secondsSinceRenewal: number };
  readonly subnets: readonly {
    readonly name: string;
    readonly vpc: string;
    readonly cidr: string;
    readonly using: string;
    readonly ready: boolean;
    readonly message: string;
  }[];
  readonly vpcs: number;
  /** Pods that have a port of their own. */
  readonly pods: { readonly total: number; readonly addressed: number };
  /** Absent when the database did not answer. */
  readonly northbound?: {
    readonly switches: number;
    readonly routers: number;
    readonly ports: number;
    /** Pods' ports of ours whose pod is not there any more: a few for a moment after deletions, many in a safety stop. */
    readonly stray: number;
  };
  readonly southbound?: { readonly chassis: readonly string[] };
}

/** What is wrong, in sentences for people; empty when nothing is. */
export function problemsOf(overview: Overview): readonly string[] {
  const problems: string[] = [];
  for (const node of overview.nodes) if (!node.ready) problems.push(`node ${node.name} is not Ready`);
  const { leader, northbound, southbound } = overview;
  if (leader === undefined) problems.push('no controller has ever been leader');
  else if (leader.secondsSinceRenewal > 15)
    problems.push(`no controller leads: ${leader.identity} renewed last ${leader.secondsSinceRenewal} s ago`);
  for (const subnet of overview.subnets)
    if (!subnet.ready) problems.push(`subnet ${subnet.name} is not Ready: ${subnet.message || 'no condition yet'}`);
  const waiting = overview.pods.total - overview.pods.addressed;
  if (waiting > 0) problems.push(`${waiting} of ${overview.pods.total} pods wait for an address`);
  if (northbound === undefined) problems.push('the northbound database does not answer');
  else if (northbound.stray > 0)
    problems.push(
      `${northbound.stray} ports belong to pods that are gone; if that stays so, the controller asks before it deletes so many: ` +
        'kubectl get events -A --field-selector reason=DeletionsStopped',
    );
  if (southbound === undefined) problems.push('the southbound database does not answer');
  else
    for (const node of overview.nodes)
      if (!southbound.chassis.includes(node.name)) problems.push(`node ${node.name} is no chassis of OVN`);
  return problems;
}

/** The overview as text. */
export function render(overview: Overview): string {
  const { nodes, leader, subnets, vpcs, pods, northbound, southbound } = overview;
  const ready = nodes.filter((node) => node.ready).length;
  const holder = leader === undefined ? 'none' : `${leader.identity}, renewed ${leader.secondsSinceRenewal} s ago`;
  const nb =
    northbound === undefined
      ? 'no answer'
      : `${northbound.switches} switches, ${northbound.routers} routers, ${northbound.ports} switch ports`;
  const rows = subnets.map((subnet) => [
    subnet.name,
    subnet.vpc,
    subnet.cidr,
    subnet.using,
    subnet.ready ? 'True' : 'False',
  ]);
  const problems = problemsOf(overview);
  return [
    `nodes       ${ready} of ${nodes.length} Ready`,
    `controller  ${holder}`,
    `pods        ${pods.addressed} of ${pods.total} have an address`,
    `networks    ${subnets.length} subnets in ${vpcs} VPCs`,
    `northbound  ${nb}`,
    `southbound  ${southbound === undefined ? 'no answer' : `${southbound.chassis.length} chassis`}`,
    '',
    table(['SUBNET', 'VPC', 'CIDR', 'ADDRESSES IN USE', 'READY'], rows).trimEnd(),
    '',
    problems.length === 0 ? 'no problem found' : problems.map((problem) => `problem: ${problem}`).join('\n'),
    '',
  ].join('\n');
}

/** `ovenbird status [-o json]`. Exit code 1 when there is a problem. */
export async function status(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { output: { type: 'string', short: 'o' }, kubeconfig: { type: 'string' } },
  });
  const overview = await look(values.kubeconfig);
  process.stdout.write(values.output === 'json' ? `${JSON.stringify(overview, undefined, 2)}\n` : render(overview));
  return problemsOf(overview).length === 0 ? 0 : 1;
}

/** Where things are: as the environment says, else the lab's. */
function whereabouts(): { readonly kubeconfig?: string; readonly northbound?: string; readonly southbound?: string } {
  const layout = readState(labDirectory()) === undefined ? undefined : layoutOf(labDirectory());
  const pick = (variable: string, lab: string | undefined): string | undefined => process.env[variable] || lab;
  const kubeconfig = pick('KUBECONFIG', layout?.kubeconfig);
  const northbound = pick('OVN_NB_DB', layout && `unix:${layout.central.northbound}`);
  const southbound = pick('OVN_SB_DB', layout && `unix:${layout.central.southbound}`);
  return {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(northbound === undefined ? {} : { northbound }),
    ...(southbound === undefined ? {} : { southbound }),
  };
}

/** Longest wait for a database, in milliseconds. */
const databaseDeadline = 5000;

async function look(kubeconfig: string | undefined): Promise<Overview> {
  const where = whereabouts();
  const client = await KubeClient.load({ kubeconfig: kubeconfig ?? where.kubeconfig });
  try {
    const [nodes, pods, subnets, vpcs, leases, northbound, southbound] = await Promise.all([
      client.resource(NODES).list(),
      client.resource(PODS).list(),
      client.resource(SUBNETS).list(),
      client.resource(VPCS).list(),
      client.resource(LEASES).list({ namespace: 'kube-system' }),
      readNorthbound(where.northbound),
      chassisOf(where.southbound),
    ]);
    const lease = leases.items.find((item) => item.metadata.name === 'ovenbird-controller')?.spec;
    const leader =
      lease?.holderIdentity === undefined || lease.holderIdentity === null
        ? undefined
        : {
            identity: lease.holderIdentity,
            secondsSinceRenewal: Math.max(0, Math.round((Date.now() - Date.parse(lease.renewTime ?? '')) / 1000)),
          };
    const own = pods.items.filter(
      (pod) =>
        pod.spec?.hostNetwork !== true &&
        pod.spec?.nodeName !== undefined &&
        !['Succeeded', 'Failed'].includes(pod.status?.phase ?? ''),
    );
    const announced = own.filter((pod) => pod.metadata.annotations?.[announcement.announcedUid] === pod.metadata.uid);
    return {
      nodes: nodes.items.map((node) => ({
        name: node.metadata.name ?? '',
        ready: node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
      })),
      ...(leader === undefined ? {} : { leader }),
      subnets: subnets.items.map(({ metadata, spec, status }) => {
        const condition = status?.conditions?.find(({ type }) => type === 'Ready');
        const using = [status?.v4usingIPs, status?.v6usingIPs].filter((count) => count !== undefined);
        return {
          name: metadata.name ?? '',
          vpc: status?.vpc ?? spec.vpc ?? '',
          cidr: spec.cidrBlock,
          using: using.length === 0 ? '-' : using.join(', '),
          ready: condition?.status === 'True',
          message: condition?.message ?? '',
        };
      }),
      vpcs: vpcs.items.length,
      pods: { total: own.length, addressed: announced.length },
      ...(northbound === undefined ? {} : { northbound: countNorthbound(northbound, pods.items) }),
      ...(southbound === undefined ? {} : { southbound }),
    };
  } finally {
    await client.close();
  }
}

interface NorthboundContent {
  readonly switches: number;
  readonly routers: number;
  readonly ports: number;
  /** UID of the pod of each of our pods' ports. */
  readonly podUids: readonly string[];
}

function countNorthbound(
  { podUids, ...counts }: NorthboundContent,
  pods: readonly Pod[],
): NonNullable<Overview['northbound']> {
  const present = new Set(pods.map((pod) => pod.metadata.uid));
  return { ...counts, stray: podUids.filter((uid) => !present.has(uid)).length };
}

async function readNorthbound(remote: string | undefined): Promise<NorthboundContent | undefined> {
  if (remote === undefined) return undefined;
  const db = connect({
    remotes: remote.split(','),
    database: ovnNorthbound,
    monitor: { Logical_Switch: ['name'], Logical_Router: ['name'], Logical_Switch_Port: ['name', 'external_ids'] },
  });
  try {
    await db.synced(AbortSignal.timeout(databaseDeadline));
    const ports = db.replica.table('Logical_Switch_Port');
    const podUids = [...ports.rows()].flatMap(({ external_ids: ids }) =>
      ids.get('ovenbird/owner')?.startsWith('Pod/') === true ? [ids.get('ovenbird/uid') ?? ''] : [],
    );
    return {
      switches: db.replica.table('Logical_Switch').size,
      routers: db.replica.table('Logical_Router').size,
      ports: ports.size,
      podUids,
    };
  } catch {
    return undefined; // `synced` fails only by the time-out: it is one of the findings, not an end
  } finally {
    await db.close();
  }
}

async function chassisOf(remote: string | undefined): Promise<Overview['southbound']> {
  if (remote === undefined) return undefined;
  const db = connect({ remotes: remote.split(','), database: ovnSouthbound, monitor: { Chassis: ['name'] } });
  try {
    await db.synced(AbortSignal.timeout(databaseDeadline));
    return { chassis: [...db.replica.table('Chassis').rows()].map((row) => row.name).sort() };
  } catch {
    return undefined; // as above
  } finally {
    await db.close();
  }
}
