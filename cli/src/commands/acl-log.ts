import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { AclLogEntry } from '@ovenbird/agent';
import { IPS } from '@ovenbird/crds';
import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { KubeClient } from '@ovenbird/kube';
import { AclLogFollower, renderAclLines, renderAclLog, unnamedAddresses, withNames } from '../acl-log.ts';
import { UsageError } from '../usage.ts';
import { agentSockets, askAgent } from './agent-query.ts';

/** How often agents are asked while somebody watches, in milliseconds. */
const interval = 1000;

/**
 * `ovenbird acl-log [-n NAMESPACE] [POD] [-f] [--limit 100] [-o json] [--socket PATH] [--kubeconfig FILE]`: packets that met
 * logged rules, of the agents that can be asked from here. Agents name their own pods; the others are looked up among the IP
 * objects. With `-f` it goes on until it is ended, with a line (of JSON) for each packet.
 */
export async function aclLog(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      namespace: { type: 'string', short: 'n', default: 'default' },
      follow: { type: 'boolean', short: 'f', default: false },
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
  const json = values.output === 'json';
  const read = async (): Promise<readonly AclLogEntry[]> => {
    const sockets = agentSockets(values.socket);
    const answers = await Promise.all(sockets.map((socket) => askAgent(socket, `/acl-log?${query}`)));
    return (answers as readonly (readonly AclLogEntry[])[])
      .flat()
      .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
      .slice(-Number(values.limit));
  };
  const named = async (entries: readonly AclLogEntry[]): Promise<readonly AclLogEntry[]> =>
    unnamedAddresses(entries).size === 0 ? entries : withNames(entries, await records(values.kubeconfig));
  if (!values.follow) {
    const entries = await named(await read());
    process.stdout.write(json ? `${JSON.stringify(entries, undefined, 2)}\n` : renderAclLog(entries));
    return 0;
  }
  // Agents follow nothing: they are asked as long as somebody watches.
  const follower = new AclLogFollower();
  for (;;) {
    const entries = await named(follower.next(await read()));
    process.stdout.write(
      json ? entries.map((entry) => `${JSON.stringify(entry)}\n`).join('') : renderAclLines(entries),
    );
    await setTimeout(interval);
  }
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
