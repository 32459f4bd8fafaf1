import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { labDirectory, layoutOf, readState } from '@ovenbird/deploy';
import { UsageError } from '../usage.ts';

/** The agent's query socket on a node that has Ovenbird installed. */
const installedSocket = '/run/ovenbird/query.sock';
const deadlineMs = 15_000;

/** An agent that can be asked. */
export interface AgentSocket {
  /** Its node's name, where that is known. */
  readonly node: string | undefined;
  readonly path: string;
}

/**
 * The agents that can be asked from here: the one of `--socket`, those of the running lab, or the one of this node.
 * @throws UsageError when there is none
 */
export function agentSockets(given: string | undefined): readonly AgentSocket[] {
  if (given !== undefined) return [{ node: undefined, path: given }];
  const state = readState(labDirectory());
  if (state !== undefined) {
    const layout = layoutOf(labDirectory());
    return state.nodes.map(({ name }) => ({ node: name, path: layout.node(name).querySocket }));
  }
  if (existsSync(installedSocket)) return [{ node: undefined, path: installedSocket }];
  throw new UsageError(
    `no agent to ask: run this on the pod's node (${installedSocket}), or name the agent's query socket with --socket`,
  );
}

/**
 * Asks an agent.
 * @param path with its query
 * @returns undefined when the agent does not know what was asked for (404)
 * @throws UsageError when it cannot be reached or answers otherwise
 */
export async function askAgent(socket: AgentSocket, path: string): Promise<unknown> {
  const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
    const signal = AbortSignal.timeout(deadlineMs);
    get({ socketPath: socket.path, path, signal }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    }).once('error', reject);
  }).catch((error: unknown) => {
    throw new UsageError(`the agent at ${socket.path} does not answer: ${String(error)}`);
  });
  if (status === 404) return undefined;
  if (status !== 200) throw new UsageError(`the agent at ${socket.path} answers: ${body.trim()}`);
  return JSON.parse(body);
}
