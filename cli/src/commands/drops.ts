import { parseArgs } from 'node:util';
import type { PodReport } from '@ovenbird/agent';
import { renderPod } from '../traffic.ts';
import { UsageError } from '../usage.ts';
import { agentSockets, askAgent } from './agent-query.ts';

/** `ovenbird drops [-n NAMESPACE] POD [-o json] [--socket PATH]`: what allowed or dropped a pod's traffic. */
export async function drops(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      namespace: { type: 'string', short: 'n', default: 'default' },
      output: { type: 'string', short: 'o' },
      socket: { type: 'string' },
    },
  });
  const [given, more] = positionals;
  if (given === undefined || more !== undefined)
    throw new UsageError('ovenbird drops [-n NAMESPACE] POD: name one pod, as POD or NAMESPACE/POD');
  const pod = given.includes('/') ? given : `${values.namespace}/${given}`;
  const path = `/traffic?pod=${encodeURIComponent(pod)}`;
  const sockets = agentSockets(values.socket);
  const answers = await Promise.all(sockets.map((socket) => askAgent(socket, path)));
  const report = answers.find((answer) => answer !== undefined) as PodReport | undefined;
  if (report === undefined) throw new UsageError(`no agent that can be asked from here has a port of pod ${pod}`);
  process.stdout.write(values.output === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : renderPod(report));
  return 0;
}
