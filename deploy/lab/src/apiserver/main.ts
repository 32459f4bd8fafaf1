/** `node main.ts --config FILE.json`: the lab's API server as a process. Ends on SIGTERM and SIGINT. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { KubeClient } from '@ovenbird/kube';
import { startWorkloads } from '../workloads/index.ts';
import { parseConfig } from './config.ts';
import { createApiServer } from './server.ts';

function log(level: string, msg: string, error: unknown): void {
  console.error(
    JSON.stringify({ level, msg, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
}

const { values } = parseArgs({ options: { config: { type: 'string' } } });
if (values.config === undefined) {
  console.error('usage: node main.ts --config FILE.json');
  process.exit(2);
}
const config = parseConfig(readFileSync(values.config, 'utf8'), values.config);
const server = await createApiServer({
  ...config,
  onError: (error) =>
    console.error(JSON.stringify({ level: 'error', error: error instanceof Error ? error.stack : String(error) })),
});
console.log(JSON.stringify({ level: 'info', msg: 'listening', urls: server.urls }));

const running = new AbortController();
if (config.workloads !== false) {
  const kubeconfig = config.workloads === true ? undefined : config.workloads.kubeconfig;
  startWorkloads({
    client: await KubeClient.load(kubeconfig === undefined ? {} : { kubeconfig }),
    signal: running.signal,
    onError: (what, error) => log('warn', what, error),
  }).catch((error: unknown) => {
    if (!running.signal.aborted) log('error', 'workload controllers did not start', error);
  });
}

const stop = (): void => {
  running.abort();
  server.close().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
