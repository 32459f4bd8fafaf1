import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import {
  down,
  isUp,
  kubectlPath,
  LabError,
  labDirectory,
  layoutOf,
  managerOf,
  processesOf,
  processOf,
  rebootNode,
  requireState,
  restartProcess,
  startProcess,
  stopProcess,
  tour,
  up,
} from '@ovenbird/deploy';
import { table } from '../table.ts';
import { UsageError } from '../usage.ts';
import { foreground } from './pass-through.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** `ovenbird lab ...`. Returns the exit code. */
export async function lab(argv: readonly string[]): Promise<number> {
  const [command, ...args] = argv;
  switch (command) {
    case 'up':
      return await labUp(args);
    case 'down':
      return await labDown(args);
    case 'status':
      return labStatus(args);
    case 'env':
      none(command, args);
      return labEnv();
    case 'ps':
      none(command, args);
      return labPs();
    case 'start':
    case 'stop':
    case 'restart':
      return await act(command, args);
    case 'reboot':
      return await reboot(args);
    case 'kill':
      return await kill(args);
    case 'tour':
      return await labTour(args);
    case 'logs':
      return await logs(args);
    default:
      throw new UsageError(`ovenbird lab ${command ?? ''}: no such command; \`ovenbird help\` lists them`);
  }
}

/** Refuses arguments of a command that takes none, instead of doing something else than was meant. */
function none(command: string, args: readonly string[]): void {
  if (args.length > 0)
    throw new UsageError(
      `ovenbird lab ${command} takes no arguments, but got ${args.join(' ')}; \`ovenbird help\` lists them`,
    );
}

/** ^C ends a start in good order: what was started is ended again. A second one ends it at once. */
function interruption(): AbortSignal {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => abort.abort(new LabError('interrupted', 'interrupted')));
  return abort.signal;
}

type UpOptions = Parameters<typeof up>[1];

function upOptions(args: readonly string[]): UpOptions {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      nodes: { type: 'string', default: '3' },
      'dual-stack': { type: 'boolean', default: true },
      'keep-state': { type: 'boolean', default: false },
      'fabric-only': { type: 'boolean', default: false },
      without: { type: 'string', multiple: true, default: [] },
    },
  });
  return {
    nodes: /^\d+$/.test(values.nodes) ? Number(values.nodes) : Number.NaN,
    dualStack: values['dual-stack'],
    fabricOnly: values['fabric-only'],
    keepState: values['keep-state'],
    without: values.without.flatMap((names) => names.split(',')),
  };
}

async function labUp(args: readonly string[]): Promise<number> {
  const directory = labDirectory();
  await up(directory, upOptions(args), say, interruption());
  say(
    `the lab is up in ${directory}; \`eval "$(npx ovenbird lab env)"\` points kubectl, ovn-nbctl and ovn-sbctl at it`,
  );
  return 0;
}

/** The walk through the running lab; without one, it starts one first, with the options of `lab up`. */
async function labTour(args: readonly string[]): Promise<number> {
  const directory = labDirectory();
  const options = upOptions(args);
  if (!isUp(directory)) {
    say(`starting a lab in ${directory}`);
    await up(directory, options, say, interruption());
  } else if (args.length > 0) {
    throw new UsageError(
      `a lab runs in ${directory} already, and ${args.join(' ')} is for a new one; \`ovenbird lab down\` ends it`,
    );
  }
  await tour(directory, (text) => void process.stdout.write(text));
  return 0;
}

async function labDown(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: { 'keep-state': { type: 'boolean' } },
  });
  await down(labDirectory(), say, values['keep-state']);
  return 0;
}

function labStatus(args: readonly string[]): number {
  const { values } = parseArgs({ args: [...args], options: { output: { type: 'string', short: 'o' } } });
  if (values.output !== undefined && values.output !== 'json') throw new UsageError('-o takes json');
  const directory = labDirectory();
  const state = requireState(directory);
  const manager = managerOf(directory);
  const layout = layoutOf(directory);
  const running = isUp(directory);
  const processes = processesOf(state).map((spec) => ({
    name: spec.name,
    state: manager.state(spec.name),
    pid: manager.records.get(spec.name)?.pid,
    namespace: spec.namespace,
    log: spec.logFile,
  }));
  if (values.output === 'json') {
    const files = {
      kubeconfig: layout.kubeconfig,
      northbound: layout.central.northbound,
      southbound: layout.central.southbound,
      nodes: Object.fromEntries(state.nodes.map((node) => [node.name, layout.node(node.name).db])),
      log: layout.log,
    };
    process.stdout.write(`${JSON.stringify({ ...state, running, files, processes }, undefined, 2)}\n`);
    return 0;
  }
  const bad = processes.filter((entry) => entry.state !== 'running');
  process.stdout.write(
    [
      `lab        ${directory} (${running ? 'up' : state.phase === 'up' ? 'dead: `ovenbird lab up` removes it and starts anew' : state.phase}${state.options.fabricOnly ? ', fabric only' : ''})`,
      `addresses  ${state.options.dualStack ? 'IPv4 and IPv6' : 'IPv4'}`,
      `processes  ${processes.length - bad.length} of ${processes.length} run${bad.length === 0 ? '' : `; not: ${bad.map((entry) => entry.name).join(', ')}`}`,
      `namespaces ${state.namespaces.fabric} ${state.nodes.map((node) => node.namespace).join(' ')}`,
      '',
    ].join('\n'),
  );
  return running ? 0 : 1;
}

/** A word for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function labEnv(): number {
  const layout = layoutOf(requireState(labDirectory()).directory);
  const variables = {
    OVENBIRD_LAB: layout.directory,
    KUBECONFIG: layout.kubeconfig,
    OVN_NB_DB: `unix:${layout.central.northbound}`,
    OVN_SB_DB: `unix:${layout.central.southbound}`,
  };
  for (const [key, value] of Object.entries(variables)) process.stdout.write(`export ${key}=${quoted(value)}\n`);
  // Where set-up brought a kubectl because the machine has none, or an old one.
  const kubectl = dirname(kubectlPath());
  if (!(process.env['PATH'] ?? '').split(':').includes(kubectl))
    process.stdout.write(`export PATH=${quoted(kubectl)}:"$PATH"\n`);
  return 0;
}

function labPs(): number {
  const directory = labDirectory();
  const manager = managerOf(directory);
  const rows = processesOf(requireState(directory)).map((spec) => {
    const pid = manager.records.get(spec.name)?.pid;
    return [spec.name, manager.state(spec.name), String(pid ?? '-'), spec.namespace ?? '(root)', spec.logFile];
  });
  process.stdout.write(table(['NAME', 'STATE', 'PID', 'NAMESPACE', 'LOG'], rows));
  return 0;
}

async function act(command: 'start' | 'stop' | 'restart', names: readonly string[]): Promise<number> {
  if (names.length === 0) throw new UsageError(`ovenbird lab ${command} PROCESS...: \`ovenbird lab ps\` lists them`);
  const directory = labDirectory();
  const action = { start: startProcess, stop: stopProcess, restart: restartProcess }[command];
  for (const name of names) await action(directory, name);
  return 0;
}

async function reboot(nodes: readonly string[]): Promise<number> {
  if (nodes.length === 0) throw new UsageError('ovenbird lab reboot NODE...');
  for (const node of nodes) await rebootNode(labDirectory(), node);
  return 0;
}

async function kill(args: readonly string[]): Promise<number> {
  const names = args.filter((arg) => !arg.startsWith('-'));
  const flags = args.filter((arg) => arg.startsWith('-'));
  const signals: Readonly<Record<string, NodeJS.Signals>> = {
    '-9': 'SIGKILL',
    '-KILL': 'SIGKILL',
    '-15': 'SIGTERM',
    '-TERM': 'SIGTERM',
    '-ABRT': 'SIGABRT',
    '-STOP': 'SIGSTOP',
    '-CONT': 'SIGCONT',
  };
  const signal = flags.length === 0 ? 'SIGTERM' : signals[flags[0] ?? ''];
  if (signal === undefined || flags.length > 1 || names.length === 0)
    throw new UsageError(`ovenbird lab kill [${Object.keys(signals).join('|')}] PROCESS...`);
  const directory = labDirectory();
  const state = requireState(directory);
  for (const name of names) await managerOf(directory).kill(processOf(state, name).name, signal);
  return 0;
}

async function logs(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      follow: { type: 'boolean', short: 'f', default: false },
      lines: { type: 'string', short: 'n', default: '50' },
    },
  });
  const [name] = positionals;
  if (name === undefined) throw new UsageError('ovenbird lab logs PROCESS: `ovenbird lab ps` lists them');
  const { logFile } = processOf(requireState(labDirectory()), name);
  return await foreground(['tail', '-n', values.lines, ...(values.follow ? ['-F'] : []), logFile]);
}
