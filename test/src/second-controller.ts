import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { managerOf, processOf, underlay } from '@ovenbird/deploy';
import type { TestLab } from './lab.ts';
import { ProcessLog } from './process-log.ts';

const name = 'controller-2';

/** A second controller on a lab: the lab's own configuration with another identity. */
export class SecondController implements AsyncDisposable {
  readonly #lab: TestLab;
  readonly log: ProcessLog;

  private constructor(lab: TestLab) {
    this.#lab = lab;
    this.log = new ProcessLog(lab, name);
  }

  /** Starts it; it waits for the Lease. */
  static async start(lab: TestLab): Promise<SecondController> {
    const { config, log } = lab.layout;
    const first = processOf(lab.state, 'controller');
    const [own, other] = ['controller', name].map((process) => join(config, `${process}.json`));
    if (own === undefined || other === undefined) throw new Error('no configuration');
    const settings = JSON.parse(readFileSync(own, 'utf8')) as Record<string, unknown>;
    const second = new SecondController(lab);
    await managerOf(lab.state.directory).start({
      ...first,
      name,
      argv: first.argv.map((argument) => (argument === own ? other : argument)),
      logFile: join(log, `${name}.log`),
      prepare: () => {
        // Both are in one namespace: the second one has ports of its own.
        const lookupListen = `${underlay.ipv4}:${underlay.lookupPort + 1}`;
        const changed = { ...settings, identity: 'second-controller', listen: '127.0.0.1:10661', lookupListen };
        writeFileSync(other, JSON.stringify(changed), { mode: 0o600 });
      },
    });
    return second;
  }

  /** Ends it in good order: it gives the Lease back. */
  async stop(): Promise<void> {
    await managerOf(this.#lab.state.directory).stop(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
