import { mkdirSync } from 'node:fs';
import { underlay } from '../fabric/addresses.ts';
import { openSouthbound, southboundIdentity } from '../fabric/central.ts';
import { prepareDatabase } from '../fabric/databases.ts';
import { addNamespaces } from '../fabric/namespaces.ts';
import { configureChassis, configureNode } from '../fabric/node.ts';
import { type CertificateRequest, issue } from '../fabric/pki.ts';
import { run } from '../fabric/run.ts';
import { buildFabric, prepareNic } from '../fabric/underlay.ts';
import { nodesReady } from './api.ts';
import { cleanUp, userState } from './clean.ts';
import { ensureShim, installShim } from './cni.ts';
import { LabError } from './error.ts';
import { apiIdentity, controllerIdentity } from './kubernetes.ts';
import { type LabNode, type LabOptions, type LabState, type Layout, layoutOf } from './layout.ts';
import { takeLock } from './lock.ts';
import { isUp, managerOf } from './manager.ts';
import { checkWithout, leftOut, processesOf, processOf } from './processes.ts';
import { planState, readState, writeState } from './state.ts';
import { waitFor } from './wait.ts';

/** Where the progress of a long action goes: one line each, for people. */
export type Progress = (line: string) => void;

/** Longest wait for another command on the same lab, in milliseconds. */
const lockWait = 120_000;

/** Longest wait for nodes to be Ready, in milliseconds. */
const readyDeadline = 90_000;

/**
 * Starts a lab in a state directory. First removes what a dead lab left there.
 * @throws LabError `not-permitted`, `bad-option` when a lab with other options runs there, `missing-program`, `not-ready`, `locked`
 */
export async function up(
  directory: string,
  options: LabOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<LabState> {
  requireRoot();
  const state = planState(directory, options);
  checkWithout(state);
  const layout = layoutOf(directory);
  using _lock = await takeLock(layout.lock, {
    wait: lockWait,
    onWait: (holder) => progress(`waiting for another command on this lab (${holder})`),
    ...(signal === undefined ? {} : { signal }),
  });
  if (isUp(directory)) return joinRunning(directory, options, progress);
  const removed = await cleanUp(directory, { keep: options.keepState ? userState : [] });
  if (removed.processes.length + removed.namespaces.length > 0)
    progress(`removed what an earlier lab left: ${[...removed.processes, ...removed.namespaces].join(', ')}`);
  try {
    await start(state, layout, progress, signal);
  } catch (error) {
    progress(`ending what was started; the logs stay in ${layout.log}`);
    await cleanUp(directory, { keep: ['log', ...(options.keepState ? userState : [])] });
    // The reason of an interruption says more than how the step in progress took it.
    signal?.throwIfAborted();
    throw error;
  }
  const done: LabState = { ...state, phase: 'up' };
  writeState(done);
  return done;
}

function requireRoot(): void {
  if (process.getuid?.() !== 0)
    throw new LabError('not-permitted', 'the lab makes network namespaces and needs root; run it with sudo');
}

function joinRunning(directory: string, options: LabOptions, progress: Progress): LabState {
  const running = readState(directory);
  const same =
    running?.options.nodes === options.nodes &&
    running.options.dualStack === options.dualStack &&
    running.options.fabricOnly === options.fabricOnly;
  if (running === undefined || !same)
    throw new LabError('bad-option', `a lab with other options runs in ${directory}; \`ovenbird lab down\` ends it`);
  progress(`a lab with ${running.nodes.length} nodes runs already in ${directory}`);
  const manager = managerOf(directory);
  const ended = processesOf(running)
    .map(({ name }) => name)
    .filter((name) => !leftOut(running.options.without, name) && manager.state(name) !== 'running');
  if (ended.length > 0) progress(`but not all of it: \`ovenbird lab start ${ended.join(' ')}\` starts what has ended`);
  return running;
}

function certificates(state: LabState): readonly CertificateRequest[] {
  const { ipv4, ipv6 } = underlay;
  const central = state.options.dualStack ? [ipv4, ipv6] : [ipv4];
  return [
    { name: southboundIdentity, dns: [southboundIdentity], ips: central },
    { name: controllerIdentity, dns: [controllerIdentity], ips: central },
    { name: apiIdentity, dns: ['kubernetes', 'kubernetes.default', 'localhost'], ips: [...central, '127.0.0.1'] },
    ...state.nodes.map((node) => ({
      name: node.name,
      dns: [node.name],
      ips: [node.addresses.ipv4, ...(node.addresses.ipv6 === undefined ? [] : [node.addresses.ipv6])],
    })),
  ];
}

/**
 * Waits for all, however many fail, and then throws the first failure: nothing may still be starting when the caller
 * cleans up. Each failure aborts the others' waiting.
 */
async function together(abort: AbortController, actions: readonly Promise<unknown>[]): Promise<void> {
  for (const action of actions) action.catch((error: unknown) => abort.abort(error));
  await Promise.allSettled(actions);
  abort.signal.throwIfAborted();
}

async function start(state: LabState, layout: Layout, progress: Progress, outer?: AbortSignal): Promise<void> {
  const { options, nodes, namespaces } = state;
  const began = performance.now();
  const startedAt = new Date();
  const step = (text: string): void =>
    progress(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);
  const abort = new AbortController();
  const signal = outer === undefined ? abort.signal : AbortSignal.any([outer, abort.signal]);
  const manager = managerOf(state.directory);
  const startProcess = (name: string): Promise<void> =>
    leftOut(options.without, name) ? Promise.resolve() : manager.start(processOf(state, name), signal);

  for (const directory of [layout.central.directory, layout.log, layout.run, layout.config, layout.pki])
    mkdirSync(directory, { recursive: true, mode: directory === layout.log ? 0o755 : 0o700 });
  for (const node of nodes) mkdirSync(layout.node(node.name).run, { recursive: true });
  writeState(state);

  const keep = options.keepState;
  await together(abort, [
    addNamespaces([namespaces.fabric, ...nodes.map((node) => node.namespace)], signal)
      .then(() => buildFabric(namespaces.fabric, nodes, options.dualStack, signal))
      .then(() => Promise.all(nodes.map((node) => prepareNic(node, signal)))),
    issue(layout.pki, certificates(state)),
    prepareDatabase('northbound', layout.central.northboundFile, { keep, signal }),
    prepareDatabase('southbound', layout.central.southboundFile, { keep: false, signal }),
    ...nodes.map((node) => prepareDatabase('openVswitch', layout.node(node.name).dbFile, { keep: false, signal })),
    ...(options.fabricOnly ? [] : [ensureShim(signal)]),
  ]);
  step(`namespaces, underlay, certificates and databases for ${nodes.length} nodes`);

  const startNode = async (node: LabNode): Promise<void> => {
    await startProcess(`${node.name}.ovsdb`);
    await Promise.all([
      startProcess(`${node.name}.vswitchd`).then(() => configureNode(layout, node, signal)),
      options.fabricOnly ? configureChassis(layout, node, signal) : Promise.resolve(),
    ]);
    await startProcess(`${node.name}.ovn-controller`);
  };
  await together(abort, [
    startProcess('ovnnb'),
    startProcess('ovnsb').then(() => openSouthbound(layout, signal)),
    ...nodes.map(startNode),
    ...(options.fabricOnly ? [] : [startProcess('apiserver')]),
  ]);
  await startProcess('northd');
  step(`OVN, Open vSwitch${options.fabricOnly ? '' : ' and the Kubernetes API'}`);

  const withController = nodes.filter((node) => !leftOut(options.without, `${node.name}.ovn-controller`));
  if (options.fabricOnly) {
    await together(
      abort,
      withController.map((node) => waitForChassis(layout, node, signal)),
    );
    step('every node is a chassis');
    return;
  }
  installShim(state, layout);
  const cluster = ['kubelet', 'controller', ...nodes.map((node) => `${node.name}.agent`)];
  await together(abort, cluster.map(startProcess));
  step('controller, agents and kubelet');
  if (cluster.some((name) => leftOut(options.without, name))) return;
  const names = nodes.map((node) => node.name);
  await waitFor('all nodes Ready', () => nodesReady(layout, names, startedAt), {
    deadline: readyDeadline,
    interval: 50,
    signal,
  });
  step(`${names.length} nodes are Ready`);
}

async function waitForChassis(layout: Layout, node: LabNode, signal: AbortSignal): Promise<void> {
  const db = `--db=unix:${layout.central.southbound}`;
  await run(['ovn-sbctl', db, '--timeout=30', 'wait-until', 'Chassis', node.name, `name=${node.name}`], { signal });
}

/** Ends a lab and removes everything it made. @param keep keep what users made; default: as the lab was started */
export async function down(directory: string, progress: Progress, keep?: boolean): Promise<void> {
  requireRoot();
  using _lock = await takeLock(layoutOf(directory).lock, {
    wait: lockWait,
    onWait: (holder) => progress(`waiting for another command on this lab (${holder})`),
  });
  const keepState = keep ?? readState(directory)?.options.keepState ?? false;
  const removed = await cleanUp(directory, { keep: keepState ? userState : [] });
  const what = `${removed.processes.length} processes and ${removed.namespaces.length} namespaces`;
  progress(removed.processes.length + removed.namespaces.length === 0 ? `no lab in ${directory}` : `removed ${what}`);
  if (removed.killed.length > 0) progress(`did not heed SIGTERM for 5 s and were killed: ${removed.killed.join(', ')}`);
  if (keepState) progress(`kept API objects and northbound rows in ${directory}; \`lab up --keep-state\` uses them`);
}
