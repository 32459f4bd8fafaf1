import { parseArgs } from 'node:util';
import type { NodeReport } from '@ovenbird/agent';
import { renderTop } from '../traffic.ts';
import { UsageError } from '../usage.ts';
import { agentSockets, askAgent } from './agent-query.ts';

/** `ovenbird top policies [--limit 20] [-o json] [--socket PATH]`: the rules that met most packets. */
export async function top(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      limit: { type: 'string', default: '20' },
      output: { type: 'string', short: 'o' },
      socket: { type: 'string' },
    },
  });
  const limit = Number(values.limit);
  if (positionals.length !== 1 || positionals[0] !== 'policies')
    throw new UsageError('ovenbird top policies: policies is what can be listed');
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit takes a number above 0');
  const answers = await Promise.all(agentSockets(values.socket).map((socket) => askAgent(socket, '/traffic')));
  const reports = answers as readonly NodeReport[];
  process.stdout.write(
    values.output === 'json' ? `${JSON.stringify(reports, undefined, 2)}\n` : renderTop(reports, limit),
  );
  return 0;
}
