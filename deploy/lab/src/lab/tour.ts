import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { commandEnvironment } from '../fabric/run.ts';
import { LabError } from './error.ts';
import { type LabState, layoutOf } from './layout.ts';
import { kubectlPath, repository } from './repository.ts';
import { requireState } from './state.ts';
import { waitFor } from './wait.ts';

/** Where the tour's text goes. */
export type Write = (text: string) => void;

/** What a command of the tour did. */
interface Shown {
  readonly code: number;
  readonly output: string;
}

/** Runs shell commands the way a reader would type them, with the environment that `ovenbird lab env` gives. */
class Shell {
  readonly #environment: Record<string, string>;
  readonly #write: Write;

  constructor(state: LabState, write: Write) {
    const layout = layoutOf(state.directory);
    this.#write = write;
    const environment = commandEnvironment({
      OVENBIRD_LAB: layout.directory,
      KUBECONFIG: layout.kubeconfig,
      OVN_NB_DB: `unix:${layout.central.northbound}`,
      OVN_SB_DB: `unix:${layout.central.southbound}`,
    });
    const path = `${dirname(kubectlPath())}:${environment['PATH'] ?? ''}`;
    this.#environment = { ...environment, PATH: path };
  }

  /** Runs a command without showing it. */
  run(command: string): Promise<Shown> {
    return new Promise((resolve, reject) => {
      const child = spawn('sh', ['-c', command], {
        cwd: join(repository, 'deploy', 'lab', 'tour'),
        env: this.#environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      const collect = (chunk: string): void => void (output += chunk);
      child.stdout.setEncoding('utf8').on('data', collect);
      child.stderr.setEncoding('utf8').on('data', collect);
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? 1, output }));
    });
  }

  /** Shows a heading. */
  heading(text: string): void {
    this.#write(`\n== ${text}\n`);
  }

  /** Shows a remark. */
  say(text: string): void {
    this.#write(`${text}\n`);
  }

  /**
   * Shows a command and what it printed. @param expect `any` where a failure is part of what is shown
   * @throws LabError `command-failed` when it fails all the same: the tour shows what works, or says that it does not
   */
  async show(command: string, expect: 'success' | 'any' = 'success'): Promise<Shown> {
    this.#write(`\n$ ${command}\n`);
    const shown = await this.run(command);
    this.#write(shown.output.endsWith('\n') || shown.output === '' ? shown.output : `${shown.output}\n`);
    if (expect === 'success' && shown.code !== 0)
      throw new LabError('command-failed', `the tour ends here: \`${command}\` failed (exit ${shown.code})`);
    return shown;
  }

  /** Runs a command until what it prints fits; it stays unseen. */
  async until(describe: string, command: string, fits: (output: string) => boolean): Promise<string> {
    const look = async (): Promise<{ readonly output: string } | string> => {
      const { code, output } = await this.run(command);
      return code === 0 && fits(output) ? { output } : `${command}: ${output.trim() || `exit ${code}`}`;
    };
    return (await waitFor(describe, look, { deadline: 60_000, interval: 200 })).output;
  }
}

/** Bits per second that an `iperf3` client's summary names as received, as text. */
function received(output: string): string {
  const line = output.split('\n').find((text) => text.trimEnd().endsWith('receiver'));
  return /([\d.]+ [KMG]?bits\/sec)/.exec(line ?? '')?.[1] ?? 'nothing';
}

/**
 * Walks through a running lab with real commands and shows their real output. Everything it applies it applies again the
 * next time, so that it can be shown any number of times.
 * @throws LabError `not-running`, `command-failed`, `not-ready`
 */
export async function tour(directory: string, write: Write): Promise<void> {
  const state = requireState(directory);
  if (state.options.fabricOnly)
    throw new LabError('bad-option', 'this lab has no Kubernetes; `ovenbird lab down`, then `ovenbird lab tour`');
  const shell = new Shell(state, write);
  await cluster(shell);
  const address = await pods(shell);
  await staticAddress(shell);
  await accessRule(shell, address);
  await rateLimit(shell);
  shell.heading('The same network as OVN sees it');
  await shell.show('ovn-nbctl show');
  shell.say(farewell(directory));
}

async function cluster(shell: Shell): Promise<void> {
  shell.heading('A Kubernetes cluster on this machine; every node is a network namespace with its own Open vSwitch');
  await shell.show('kubectl get nodes -o wide');
  shell.heading('Networks are objects: two Subnets, each for one namespace');
  await shell.show('kubectl apply -f 1-subnets.yaml');
  await shell.run('kubectl wait --for=condition=Ready subnet --all --timeout=60s');
  await shell.show('kubectl get subnets');
}

/** @returns the IPv4 address of the pod in the orchard */
async function pods(shell: Shell): Promise<string> {
  shell.heading('Pods on different nodes');
  await shell.show('kubectl apply -f 2-pods.yaml');
  for (const namespace of ['meadow', 'orchard'])
    await shell.show(`kubectl wait --for=condition=Ready pod --all -n ${namespace} --timeout=60s`);
  await shell.show('kubectl get pods -A -o wide');
  const ip = "-o jsonpath='{.status.podIPs[*].ip}'";
  const [wren = '', wren6] = (await shell.run(`kubectl get pod wren -n meadow ${ip}`)).output.split(' ');
  const [finch = ''] = (await shell.run(`kubectl get pod finch -n orchard ${ip}`)).output.split(' ');
  shell.heading('Ping and TCP across nodes, within a subnet and between two');
  await shell.show(`kubectl exec -n meadow lark -- ping -c 3 -i 0.2 ${wren}`);
  if (wren6 !== undefined) await shell.show(`kubectl exec -n meadow lark -- ping -c 3 -i 0.2 ${wren6}`);
  await shell.show(`kubectl exec -n meadow lark -- ${tcp(finch)}`);
  return finch;
}

/** Asks a pod of the tour for its name, from a shell that needs nothing but bash. */
function tcp(address: string): string {
  return `timeout 3 bash -c 'cat < /dev/tcp/${address}/8080'`;
}

async function staticAddress(shell: Shell): Promise<void> {
  shell.heading('A pod that asks for its addresses');
  await shell.show('kubectl apply -f 3-static.yaml');
  await shell.show('kubectl wait --for=condition=Ready pod stork -n orchard --timeout=60s');
  await shell.show('kubectl get pod stork -n orchard -o jsonpath=\'{.status.podIPs[*].ip}{"\\n"}\'');
}

async function accessRule(shell: Shell, finch: string): Promise<void> {
  shell.heading('A rule on a Subnet: no TCP from the meadow to port 8080 in the orchard');
  await shell.show('kubectl apply -f 4-acl.yaml');
  await shell.until('the rule is in the northbound database', 'ovn-nbctl acl-list orchard', (text) =>
    text.includes('10.66.0.0/16'),
  );
  // Answers when every node works by what the northbound database says.
  await shell.show('ovn-nbctl --wait=hv --timeout=30 sync && ovn-nbctl acl-list orchard');
  const blocked = await shell.show(`kubectl exec -n meadow lark -- ${tcp(finch)} || echo "no answer"`, 'any');
  if (!blocked.output.includes('no answer'))
    throw new LabError('command-failed', 'the tour ends here: the rule did not block');
  shell.say('\n... while ping still passes, and so does TCP once the rule is gone:');
  await shell.show(`kubectl exec -n meadow lark -- ping -c 1 ${finch}`);
  await shell.show('kubectl apply -f 1-subnets.yaml');
  await shell.until('the rule is gone', 'ovn-nbctl acl-list orchard', (text) => !text.includes('10.66.0.0/16'));
  await shell.run('ovn-nbctl --wait=hv --timeout=30 sync');
  await shell.show(`kubectl exec -n meadow lark -- ${tcp(finch)}`);
}

async function rateLimit(shell: Shell): Promise<void> {
  shell.heading('A pod that may send 20 Mbit/s, beside one without a limit');
  await shell.show('kubectl apply -f 5-rate.yaml');
  for (const namespace of ['meadow', 'orchard'])
    await shell.run(`kubectl wait --for=condition=Ready pod --all -n ${namespace} --timeout=60s`);
  const ip = "-o jsonpath='{.status.podIP}'";
  const server = (await shell.run(`kubectl get pod server -n orchard ${ip}`)).output;
  await shell.until('the measuring server listens', `kubectl exec -n meadow swift -- ${listening(server)}`, () => true);
  const rates: string[] = [];
  for (const pod of ['swift', 'snail']) {
    const command = `kubectl exec -n meadow ${pod} -- iperf3 -c ${server} -C cubic -O 1 -t 4 -f m`;
    rates.push(`${pod} ${received((await shell.show(command)).output)}`);
  }
  shell.say(`\nreceived: ${rates.join(', ')}`);
}

function listening(address: string): string {
  return `timeout 2 bash -c ': < /dev/tcp/${address}/5201'`;
}

function farewell(directory: string): string {
  return `
The lab stays up in ${directory}. Go on with:

  eval "$(npx ovenbird lab env)"     # points kubectl, ovn-nbctl and ovn-sbctl at it
  kubectl get subnets,pods -A
  npx ovenbird vsctl node-1 show     # Open vSwitch of a node
  npx ovenbird lab ps                # its processes; lab stop|start|kill NAME
  npx ovenbird lab down              # end it`;
}
