import { parseArgs } from 'node:util';
import type { AclLogEntry } from '@ovenbird/agent';
import { IPS } from '@ovenbird/crds';
import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { KubeClient } from '@ovenbird/kube';
import { renderAclLog, unnamedAddresses, withNames } from '../acl-log.ts';
import { UsageError } from '../usage.ts';
import { agentSockets, askAgent } from './agent-query.ts';

/**
 * `ovenbird acl-log [-n NAMESPACE] [POD] [--limit 100] [-o json] [--socket PATH] [--kubeconfig FILE]`: packets that met logged
 * rules, of the agents that can be asked from here. Agents name their own pods; the others are looked up among the IP objects.
 */
export async function aclLog(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      namespace: { type: 'string', short: 'n', default: 'default' },
      limit: { type: 'string', default: '100' },
      output: { type: 'string', short: 'o' },
      socket: { type: 'string' },
      kubeconfig: { type: 'string' },
    },
  });
  const [given, more] = positionals;
  if (more !== undefined) throw new UsageError('ovenbird acl-log [-n NAMESPACE] [POD]: name one pod, or none');
  const pod = given === undefined || given.includes('/') ? given : `${values.namespace}/${given}`;
  const query = new URLSearchParams({ limit: values.limit, ...(pod === undefined ? {} : { pod }) }).toString();
  const answers = await Promise.all(agentSockets(values.socket).map((socket) => askAgent(socket, `/acl-log?${query}`)));
  const entries = (answers as readonly (readonly AclLogEntry[])[])
    .flat()
    .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
    .slice(-Number(values.limit));
  const named = unnamedAddresses(entries).size === 0 ? entries : withNames(entries, await records(values.kubeconfig));
  process.stdout.write(values.output === 'json' ? `${JSON.stringify(named, undefined, 2)}\n` : renderAclLog(named));
  return 0;
}

/** The IP objects; none when no API server can be asked: addresses are shown then. */
async function records(given: string | undefined): Promise<Parameters<typeof withNames>[1]> {
  const lab = readState(labDirectory()) === undefined ? undefined : layoutOf(labDirectory()).kubeconfig;
  const kubeconfig = given ?? (process.env['KUBECONFIG'] || lab);
  if (kubeconfig === undefined) return [];
  const client = await KubeClient.load({ kubeconfig });
  try {
    return (await client.resource(IPS).list({ timeoutMs: 10_000 })).items.map(({ spec }) => spec);
  } finally {
    await client.close();
  }
}
