import { parseNetem } from '@ovenbird/crds';
import type { Pod } from '@ovenbird/kube';
import { run, runRaw } from '../host/run.ts';
import { commit, interfaceNamed, newTransaction, type Ovs } from '../ovs/database.ts';
import type { PodContext } from './context.ts';
import { podInterfaces } from './interface-row.ts';
import { podPortName, readInterfaces } from './interfaces.ts';

/** A pod whose annotations about delay and loss are not what its link does. */
export interface ChangedNetem {
  /** Host end of its interface. */
  readonly hostName: string;
  readonly pod: Pod;
  /** Arguments of tc-netem(8); empty for none. */
  readonly text: string;
}

/** Key in an Interface's external_ids: what was set on its link. */
const APPLIED = 'netem';

/** Interfaces of pods of this node that have to change. No child process, no I/O. */
export function changedNetem({ ovs, pods }: Pick<PodContext, 'ovs' | 'pods'>): readonly ChangedNetem[] {
  return podInterfaces(ovs).flatMap(({ name: hostName, external_ids: ids }) => {
    const [namespace = '', podName = ''] = [ids.get('pod_namespace'), ids.get('pod_name')];
    const pod = pods.get(`${namespace}/${podName}`);
    if (pod === undefined || pod.metadata.uid !== ids.get('iface-id-ver')) return [];
    const text = netemsOf(pod).get(ids.get('iface-id') ?? '');
    if (text === undefined) return [];
    return text === (ids.get(APPLIED) ?? '') ? [] : [{ hostName, pod, text }];
  });
}

/** What a pod asks for, by logical switch port: its first one, and those of its further interfaces. */
export function netemsOf({ metadata }: Pod): ReadonlyMap<string, string> {
  const { namespace = '', name, annotations = {} } = metadata;
  const netems = new Map([[podPortName(namespace, name), parseNetem(annotations).text]]);
  for (const { port, provider, name: ifname } of announcedInterfaces(annotations))
    if (port !== undefined) netems.set(port, parseNetem(annotations, { provider, ifname }).text);
  return netems;
}

/** What cannot be read is told by the ADD of the interface. */
function announcedInterfaces(annotations: Readonly<Record<string, string>>): ReturnType<typeof readInterfaces> {
  try {
    return readInterfaces(annotations);
  } catch {
    return [];
  }
}

/** A queueing discipline as `tc -json qdisc show` prints it. */
export interface Qdisc {
  readonly kind: string;
  readonly handle: string;
  readonly root?: boolean;
  readonly parent?: string;
}

/**
 * `tc` arguments that make a link delay and lose packets, or stop it; undefined when there is nothing to stop. A token
 * bucket that limits the link stays: netem becomes its inner discipline (tc-tbf(8): it has one class, 1).
 */
export function netemCommand(link: string, qdiscs: readonly Qdisc[], text: string): readonly string[] | undefined {
  if (text === '') {
    const old = qdiscs.find(({ kind }) => kind === 'netem');
    if (old === undefined) return undefined;
    return ['qdisc', 'del', 'dev', link, ...(old.parent === undefined ? ['root'] : ['parent', old.parent])];
  }
  const bucket = qdiscs.find(({ kind, root }) => kind === 'tbf' && root === true);
  const place = bucket === undefined ? ['root'] : ['parent', `${bucket.handle}1`];
  return ['qdisc', 'replace', 'dev', link, ...place, 'netem', ...text.split(' ')];
}

/** What a kernel without the module sch_netem answers. */
const UNKNOWN_KIND = /qdisc kind is unknown/;

/**
 * Sets what a pod asks for on the host's end of its pair, where packets enter on their way to the pod, and records it.
 * @returns false when this kernel has no netem
 * @throws AgentError `host-command`
 */
export async function applyNetem(ovs: Ovs, { hostName, text }: ChangedNetem, signal: AbortSignal): Promise<boolean> {
  const qdiscs = JSON.parse(await run('tc', ['-json', 'qdisc', 'show', 'dev', hostName], { signal })) as Qdisc[];
  const command = netemCommand(hostName, qdiscs, text);
  if (command !== undefined) {
    const { status, stderr } = await runRaw('tc', command, { signal });
    if (UNKNOWN_KIND.test(stderr)) return false;
    // Said again, so that a failure is told the way others are.
    if (status !== 0) await run('tc', command, { signal });
  }
  await commit(
    ovs,
    () => {
      const row = interfaceNamed(ovs, hostName);
      if (row === undefined) return undefined;
      const transaction = newTransaction();
      transaction.mutate('Interface', row._uuid, 'external_ids', 'delete', [APPLIED]);
      if (text !== '') transaction.mutate('Interface', row._uuid, 'external_ids', 'insert', new Map([[APPLIED, text]]));
      return transaction.comment(`ovenbird: netem of ${hostName}`);
    },
    signal,
  );
  return true;
}
