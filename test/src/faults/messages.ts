import type { TestLab } from '../lab.ts';
import { type LogLine, ProcessLog } from '../process-log.ts';

/** One thing that was said to people: a warning in a log, or an event. */
export interface Said {
  readonly who: string;
  readonly text: string;
  /** Why, in the words of an error that goes with the line of a log. */
  readonly reason?: string;
  /** Where that error, and those behind it, were thrown. */
  readonly stack?: string;
}

interface LoggedError {
  readonly message?: string;
  readonly stack?: string;
}

/** What a line of a log says: its message, and the error that goes with it. */
export function saidIn(who: string, { msg, ...more }: LogLine): Said {
  const err = more['err'] as LoggedError | undefined;
  const extra = ['reason', 'why', 'message'].map((key) => more[key]).find((value) => typeof value === 'string');
  const reason = err?.message ?? extra;
  return {
    who,
    text: msg,
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(err?.stack === undefined ? {} : { stack: err.stack }),
  };
}

interface WarnedOf {
  readonly metadata: { readonly uid: string };
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count?: number;
}

/** Everything that controller and agents, and events on any object, complain about from a moment on. */
export class Complaints {
  readonly #lab: TestLab;
  readonly #logs: readonly { readonly who: string; readonly log: ProcessLog }[];
  readonly #before: ReadonlySet<string>;

  private constructor(lab: TestLab, before: readonly WarnedOf[]) {
    this.#lab = lab;
    this.#logs = ['controller', 'controller-2', ...lab.nodes.map((node) => `${node}.agent`)].map((who) => ({
      who,
      log: new ProcessLog(lab, who),
    }));
    this.#before = new Set(before.map(versionOf));
  }

  /** From now on. */
  static async follow(lab: TestLab): Promise<Complaints> {
    return new Complaints(lab, await warnings(lab));
  }

  /** What was said. */
  async said(): Promise<readonly Said[]> {
    const logs = this.#logs.flatMap(({ who, log }) =>
      log
        .lines()
        .filter(({ level }) => level >= 40)
        .map((line) => saidIn(who, line)),
    );
    const events = (await warnings(this.#lab))
      .filter((event) => !this.#before.has(versionOf(event)))
      .map(({ reason, message }) => ({ who: `event ${reason}`, text: message }));
    return [...logs, ...events];
  }
}

/** Those of nodes and of other objects without a namespace are in `default`. */
async function warnings(lab: TestLab): Promise<readonly WarnedOf[]> {
  const { items } = await lab.get<{ items: readonly WarnedOf[] }>('events', '--all-namespaces');
  return items.filter(({ type }) => type === 'Warning');
}

/** An event that is told again counts, and keeps its name. */
function versionOf({ metadata, count = 1 }: WarnedOf): string {
  return `${metadata.uid} ${count}`;
}
