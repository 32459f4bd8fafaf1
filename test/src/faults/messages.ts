import type { TestLab } from '../lab.ts';
import { type LogLine, ProcessLog } from '../process-log.ts';

/** One thing that was said to people: a warning in a log, or an event. */
export interface Said {
  readonly who: string;
  readonly text: string;
}

/** What a line of a log says: its message, and the error that goes with it. */
export function textOf({ msg, ...more }: LogLine): string {
  const err = more['err'] as { message?: string } | undefined;
  const extra = ['reason', 'why'].map((key) => more[key]).find((value) => typeof value === 'string');
  return [msg, err?.message ?? extra].filter((part) => part !== undefined).join(': ');
}

/** Everything that controller and agents, and events on pods and nodes, complain about from a moment on. */
export class Complaints {
  readonly #lab: TestLab;
  readonly #logs: readonly { readonly who: string; readonly log: ProcessLog }[];

  constructor(lab: TestLab) {
    this.#lab = lab;
    this.#logs = ['controller', ...lab.nodes.map((node) => `${node}.agent`)].map((who) => ({
      who,
      log: new ProcessLog(lab, who),
    }));
  }

  /** What was said. @param namespace of the pods */
  async said(namespace: string): Promise<readonly Said[]> {
    const logs = this.#logs.flatMap(({ who, log }) =>
      log
        .lines()
        .filter(({ level }) => level >= 40)
        .map((line) => ({ who, text: textOf(line) })),
    );
    const { items } = await this.#lab.get<{ items: { type: string; reason: string; message: string }[] }>(
      'events',
      '-n',
      namespace,
    );
    const events = items
      .filter(({ type }) => type === 'Warning')
      .map(({ reason, message }) => ({ who: `event ${reason}`, text: message }));
    return [...logs, ...events];
  }
}
