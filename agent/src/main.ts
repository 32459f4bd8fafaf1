import { writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { EventRecorder, KubeClient, NODES, type ObjectRef, PODS, type Pod } from '@ovenbird/kube';
import { connect, openVswitch } from '@ovenbird/ovsdb';
import pino from 'pino';
import { readAclLog } from './acl-log/read.ts';
import { Agent } from './agent.ts';
import { handleCni } from './cni-server.ts';
import { startCompiled } from './compiled.ts';
import { type AgentConfig, loadConfig } from './config.ts';
import { AgentError, messageOf } from './error.ts';
import { lazyFlowService } from './flows/lazy.ts';
import { createServer } from './http.ts';
import { logDatabase, ovsIndexes, ovsMonitor } from './ovs/database.ts';
import { Containers } from './pod/containers.ts';
import { handlePublicQuery, handleQuery, type QuerySource } from './query-server.ts';
import { closeServer, type HttpHandler, listenUnix } from './unix-server.ts';
import { projectPod, startWatches } from './watches.ts';

/** How long requests in progress get to undo what they began, milliseconds; the process ends within 5 s of SIGTERM. */
const SHUTDOWN_MS = 4000;

async function listenTcp(address: string, handler: HttpHandler): Promise<Server> {
  const colon = address.lastIndexOf(':');
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => void handler(request, response));
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new AgentError('invalid-config', `cannot listen on ${address}: ${cause.message}`, { cause })),
    );
    server.listen(Number(address.slice(colon + 1)), host, resolve);
  });
  return server;
}

async function serve(config: AgentConfig): Promise<void> {
  const log = pino({ level: config.logLevel, base: { node: config.nodeName } });
  const stop = new AbortController();
  const { signal } = stop;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'stopping');
      stop.abort(new AgentError('try-again', 'the agent is stopping'));
    });
  }
  if (config.pidFile !== undefined) writeFileSync(config.pidFile, `${process.pid}\n`);
  const client = await KubeClient.load({ kubeconfig: config.kubeconfig, userAgent: 'ovenbird-agent' });
  const ovs = connect({
    remotes: [config.ovsdb],
    database: openVswitch,
    monitor: ovsMonitor,
    indexes: ovsIndexes,
    // Outlives the signal: requests in progress undo what they began.
    onEvent: logDatabase(config.ovsdb, log),
  });
  const watches = startWatches(client, config.nodeName, log, signal);
  const events = new EventRecorder({ client, component: 'ovenbird-agent', instance: config.nodeName, signal });
  const noteNode = (type: 'Normal' | 'Warning', reason: string, message: string): void => {
    const node = watches.nodes.get(config.nodeName);
    if (node !== undefined) events.record(NODES, node, { type, reason, message });
  };
  const notePod = (pod: Pod, reason: string, message: string): void => {
    events.record(PODS, pod, { type: 'Warning', reason, message });
  };
  const nodes = client.resource(NODES);
  const patchNodeStatus = async (patch: Readonly<Record<string, unknown>>): Promise<void> => {
    const options = { type: 'strategic', fieldManager: 'ovenbird-agent', signal, timeoutMs: 10_000 } as const;
    await nodes.patchStatus({ name: config.nodeName }, patch, options);
  };
  const pods = client.resource(PODS);
  // A list of one: the agent's role holds `list` on pods for its watch, and nothing more than that.
  const lookup = async ({ namespace, name }: ObjectRef, signal: AbortSignal): Promise<Pod | undefined> => {
    const query = { namespace, fieldSelector: `metadata.name=${name}`, signal, timeoutMs: 10_000 };
    return (await pods.list(query)).items.map(projectPod)[0];
  };
  const containers = new Containers({
    objects: watches.containers,
    client,
    node: () => watches.nodes.get(config.nodeName),
    nodeName: config.nodeName,
  });
  const agent = new Agent({
    config,
    ovs,
    watches,
    containers,
    log,
    signal,
    lookup,
    noteNode,
    notePod,
    patchNodeStatus,
  });
  const flows = lazyFlowService(config, ovs, log, signal);
  const { ovnLog, nodeName } = config;
  const aclLog =
    ovnLog === undefined
      ? undefined
      : (query: { pod?: string; limit: number }) =>
          readAclLog(ovnLog, { node: nodeName, pods: [...watches.pods.values()], ...query });
  const source: QuerySource = {
    status: () => agent.status(),
    unready: () => agent.unready(),
    metrics: () => agent.metrics(),
    flows,
    aclLog,
  };
  const answer: HttpHandler = (request, response) => handleQuery(source, request, response);
  const answerPublic: HttpHandler = (request, response) => handlePublicQuery(source, request, response);
  const servers: Server[] = [];
  servers.push(await listenUnix(config.querySocket, { socket: 0o660 }, answer));
  if (config.listen !== undefined) servers.push(await listenTcp(config.listen, answerPublic));
  // Before the agent can attach pods: then it says what it waits for.
  servers.push(
    await listenUnix(config.cniSocket, { socket: 0o600, directory: 0o700 }, (request, response) =>
      handleCni(
        {
          attachments: agent.attachments,
          signal,
          status: (subnet) => agent.cniStatus(subnet),
          onFinished: (command, milliseconds, cni, error) => {
            const fields = {
              command,
              ms: Math.round(milliseconds * 10) / 10,
              containerId: cni?.containerId.slice(0, 13),
              pod:
                cni === undefined
                  ? undefined
                  : `${cni.args['K8S_POD_NAMESPACE'] ?? ''}/${cni.args['K8S_POD_NAME'] ?? ''}`,
            };
            if (error === undefined) log.info(fields, 'cni');
            else if (error.code === 'internal') log.error({ ...fields, err: error }, 'cni');
            else log.warn({ ...fields, code: error.code, reason: error.message }, 'cni');
          },
        },
        request,
        response,
      ),
    ),
  );
  await agent.start();
  agent.markServing();
  log.info({ cniSocket: config.cniSocket }, 'serving');
  // What was compiled on the way. Node would write the cache at exit, which a process that is killed never reaches.
  flushCompileCache();
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await Promise.race([
    Promise.all(servers.map(closeServer)),
    new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS).unref()),
  ]);
  await Promise.all([ovs.close(), client.close()]);
}

startCompiled();
const { values } = parseArgs({ options: { config: { type: 'string' } } });
try {
  if (values.config === undefined)
    throw new AgentError('invalid-config', 'usage: agent/src/main.ts --config FILE.json');
  await serve(loadConfig(values.config, process.env));
  process.exit(0);
} catch (error) {
  process.stderr.write(`ovenbird agent: ${messageOf(error)}\n`);
  if (!(error instanceof AgentError)) process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`);
  process.exit(1);
}
