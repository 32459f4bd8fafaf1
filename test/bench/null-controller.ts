/**
 * The reference of `npm run bench -- pods`: a controller that decides nothing. It watches labelled pods and patches one
 * annotation on each, with the client, the queue and the parallelism that Ovenbird's controller uses. Says `ready` on its
 * standard output once it has listed, and ends when its standard input does, so that it cannot outlive the benchmark.
 *
 * `node null-controller.ts --kubeconfig FILE`
 */
import { parseArgs } from 'node:util';
import { isKubeError, KubeClient, PODS, type Pod, Reflector, Store, WorkQueue } from '@ovenbird/kube';
import { nullAnnotation, nullSelector } from './null-marks.ts';

/** Patches in flight, as in the controller's announcer. */
const concurrency = 32;

const { values } = parseArgs({ options: { kubeconfig: { type: 'string' } } });
const stop = new AbortController();
const { signal } = stop;
process.stdin.resume().once('end', () => stop.abort());
process.once('SIGTERM', () => stop.abort());

const client = await KubeClient.load(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig });
const pods = client.resource(PODS);
const store = new Store<Pod>();
const queue = new WorkQueue<string>({
  concurrency,
  signal,
  process: async ({ key }) => {
    const metadata = store.get(key)?.metadata;
    if (metadata === undefined || metadata.annotations?.[nullAnnotation] !== undefined) return;
    const { uid } = metadata;
    try {
      await pods.patch(metadata, { metadata: { uid, annotations: { [nullAnnotation]: uid } } }, { signal });
    } catch (error) {
      if (!isKubeError(error, 'not-found', 'conflict')) throw error;
    }
  },
});
store.onChange((changes) => {
  for (const { key, old, new: now } of changes) if (old === undefined && now !== undefined) queue.add(key);
});
queue.start();
const reflector = new Reflector<Pod, Pod>({ client, kind: PODS, labelSelector: nullSelector, sink: store, signal });
reflector.start();
signal.addEventListener('abort', () => setImmediate(() => process.exit()));
await reflector.synced;
process.stdout.write('ready\n');
