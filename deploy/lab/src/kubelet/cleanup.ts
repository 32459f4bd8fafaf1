import { rmSync } from 'node:fs';
import { RecordStore } from './pod-record.ts';
import { PodServer } from './pod-server.ts';
import { killGroup, killInNamespace } from './process.ts';

/**
 * Removes what a dead kubelet left, by its records and by nothing else: processes, network namespaces, records, logs.
 * No CNI plugin is called and no API server is needed: this is the end of a whole lab.
 *
 * @param stateDir as in the kubelet's configuration
 * @returns the number of pods that were found
 */
export async function removePods(stateDir: string): Promise<number> {
  const store = new RecordStore(stateDir);
  const problems: string[] = [];
  const records = store.load((problem) => problems.push(problem));
  if (records.length > 0) {
    const server = new PodServer((text) => problems.push(text));
    try {
      for (const record of records) {
        for (const { process } of record.containers) if (process) killGroup(process);
        if (record.hostNetwork) continue;
        if (record.ran) killInNamespace(`/run/netns/${record.netns}`);
        await server.deleteNetns(record.netns);
      }
    } finally {
      await server.stop();
    }
  }
  if (problems.length > 0) throw new Error(`not everything was removed: ${problems.join('; ')}`);
  rmSync(stateDir, { recursive: true, force: true });
  return records.length;
}
