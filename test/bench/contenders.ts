import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { announcement } from '@ovenbird/crds';
import { inNamespace, logTail, waitFor } from '@ovenbird/deploy';
import type { HasMetadata } from '@ovenbird/kube';
import type { TestLab } from '../src/lab.ts';
import { askController } from './cost.ts';
import { nullAnnotation, nullLabel, nullValue } from './null-marks.ts';

/** Somebody who announces pods. */
export interface Contender {
  readonly name: string;
  /** Labels of the pods that are his. */
  readonly labels: Readonly<Record<string, string>>;
  readonly isAnnounced: (pod: HasMetadata) => boolean;
  /** Starts it, waits until it works, and returns how to end it. */
  readonly start: () => Promise<() => Promise<void>>;
}

const startDeadline = 30_000;

/** Ovenbird's controller, as the lab runs it. */
export function ovenbird(lab: TestLab): Contender {
  return {
    name: 'ovenbird',
    labels: { [nullLabel]: 'ovenbird' },
    isAnnounced: ({ metadata }) => metadata.annotations?.[announcement.announcedUid] === metadata.uid,
    start: async () => {
      await lab.startProcess('controller');
      await waitFor(
        'the controller is in control',
        async () => ((answer) => answer === 'ok\n' || answer)(await askController(lab, '/readyz')),
        { deadline: startDeadline, onTimeout: () => logTail(join(lab.layout.log, 'controller.log')) },
      );
      return () => lab.stopProcess('controller');
    },
  };
}

/**
 * The same without ovn-northd: nothing reaches the nodes, and what OVN's daemons cost on processors that in a real cluster
 * are other machines' does not count. Everything on the way to the announcement runs.
 */
export function controlPath(lab: TestLab): Contender {
  const whole = ovenbird(lab);
  return {
    ...whole,
    name: 'control-path',
    start: async () => {
      await lab.stopProcess('northd');
      const stop = await whole.start();
      return async () => {
        await stop();
        await lab.startProcess('northd');
      };
    },
  };
}

/** The reference: see null-controller.ts. It runs where the controller runs and with the controller's credentials. */
export function nullController(lab: TestLab): Contender {
  return {
    name: 'null',
    labels: { [nullLabel]: nullValue },
    isAnnounced: ({ metadata }) => metadata.annotations?.[nullAnnotation] === metadata.uid,
    start: async () => {
      const argv = [
        process.execPath,
        join(import.meta.dirname, 'null-controller.ts'),
        '--kubeconfig',
        join(lab.layout.config, 'controller.kubeconfig'),
      ];
      const [program = '', ...args] = inNamespace(lab.state.namespaces.fabric, argv);
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const ended = once(child, 'exit');
      const early = ended.then(([code]) => {
        throw new Error(`the null controller ended before it was ready (exit ${String(code)})`);
      });
      early.catch(() => undefined);
      await Promise.race([once(child.stdout, 'data'), early]);
      return async () => {
        child.stdin.end();
        await ended;
      };
    },
  };
}
