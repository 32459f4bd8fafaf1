import { parseArgs } from 'node:util';
import { EventRecorder, KubeClient } from '@ovenbird/kube';
import { pino } from 'pino';
import { LAB_PODS, type LabPod } from '../workloads/objects.ts';
import { removePods } from './cleanup.ts';
import { loadConfig } from './config.ts';
import { runKubelet } from './kubelet.ts';

const USAGE = 'usage: main.ts --config FILE.json [--remove-pods]';

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, 'remove-pods': { type: 'boolean' } } });
  if (values.config === undefined) throw new Error(USAGE);
  const config = loadConfig(values.config);
  if (values['remove-pods']) {
    console.log(`${await removePods(config.stateDir)} pods removed`);
    return;
  }
  const log = pino({ level: config.logLevel, base: { process: 'kubelet' } });
  const over = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => over.abort());
  const client = await KubeClient.load({ kubeconfig: config.kubeconfig, userAgent: 'ovenbird-lab-kubelet' });
  const recorders = new Map(
    config.nodes.map(({ name }) => [
      name,
      new EventRecorder({ client, component: 'kubelet', instance: name, signal: over.signal }),
    ]),
  );
  const warn = (pod: LabPod, reason: string, message: string): void => {
    recorders.get(pod.spec.nodeName ?? '')?.record(LAB_PODS, pod, { type: 'Warning', reason, message });
  };
  await runKubelet({ config, client, log, signal: over.signal, warn });
  await client.close();
}

try {
  await main();
  // Containers outlive their kubelet and are adopted by the next one; as children they would hold this process.
  process.exit();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
