import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { commandEnvironment, type Layout, labDirectory, layoutOf, requireState } from '@ovenbird/deploy';
import { UsageError } from '../usage.ts';

/** OVN's and Open vSwitch's own tools, by the short names of `ovenbird`. */
const tools = {
  nbctl: 'ovn-nbctl',
  sbctl: 'ovn-sbctl',
  vsctl: 'ovs-vsctl',
  ofctl: 'ovs-ofctl',
  appctl: 'ovs-appctl',
} as const;

type Tool = keyof typeof tools;

/** Whether a word is the short name of a tool. */
export function isTool(word: string): word is Tool {
  return Object.hasOwn(tools, word);
}

/** The command line and environment that point a tool at the lab's databases and sockets. */
export function toolCommand(
  tool: Tool,
  args: readonly string[],
  layout: Layout,
  nodes: readonly string[],
): { readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const program = tools[tool];
  if (tool === 'nbctl') return { argv: [program, `--db=unix:${layout.central.northbound}`, ...args], env: {} };
  if (tool === 'sbctl') return { argv: [program, `--db=unix:${layout.central.southbound}`, ...args], env: {} };
  const [node, ...rest] = args;
  if (node === undefined || !nodes.includes(node))
    throw new UsageError(`ovenbird ${tool} NODE ARGS: NODE is one of ${nodes.join(', ')}`);
  const files = layout.node(node);
  const env = { OVS_RUNDIR: files.run, OVN_RUNDIR: files.run };
  return { argv: [program, ...(tool === 'vsctl' ? [`--db=unix:${files.db}`] : []), ...rest], env };
}

/** Runs a tool with this terminal, and returns its exit code. */
export async function passThrough(tool: Tool, args: readonly string[]): Promise<number> {
  const directory = labDirectory();
  const state = requireState(directory);
  const nodes = state.nodes.map((node) => node.name);
  const { argv, env } = toolCommand(tool, args, layoutOf(directory), nodes);
  return await foreground(argv, env);
}

/** Runs a program with this terminal. Resolves to its exit code, 128 + n after signal n, as a shell does. */
export function foreground(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env: commandEnvironment(env) });
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
