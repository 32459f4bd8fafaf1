import type { Logger } from 'pino';

/** What {@link Serving} needs. */
export interface ServingOptions {
  /** Whether a configuration for the runtime stands there from before; asked once, at the first look. */
  readonly installed: () => boolean;
  /** Why pods cannot be attached on this node now; undefined when they can. */
  readonly problem: () => string | undefined;
  /** Why it is not proven that they can; asked of a node that is not in service. */
  readonly unproven: () => Promise<string | undefined>;
  /** How long a problem may last before the node is taken out of service, milliseconds. */
  readonly graceMs: number;
  /** Writes the configuration that makes the runtime take the node for ready. */
  readonly install: () => Promise<void>;
  readonly uninstall: () => Promise<void>;
  /** Writes configuration and plugin anew where somebody changed or removed them. @returns whether somebody had */
  readonly mend: () => Promise<boolean>;
  /** Look again: the grace time has passed. */
  readonly again: () => void;
  /** The node serves, or (with the reason) serves no more. */
  readonly onChange: (reason: string | undefined) => void;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly now: () => number;
}

/** How long until somebody looks again for a proof, milliseconds. */
const AGAIN_MS = 1000;

/**
 * Puts the node into service when pods can be attached, and out of service when that has not been so for a while: a restart
 * of a daemon must not get pods moved elsewhere.
 */
export class Serving {
  readonly #options: ServingOptions;
  /** Undefined until the first decision. */
  #serves: boolean | undefined;
  /** The reason that was told last. */
  #told: string | undefined;
  /** Undefined until the first look. */
  #installed: boolean | undefined;
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServingOptions) {
    this.#options = options;
  }

  /** Whether the node is in service; undefined until that is decided. */
  get serves(): boolean | undefined {
    return this.#serves;
  }

  /** Compares and acts. */
  async reconcile(): Promise<void> {
    const { installed, problem, unproven, graceMs, install, uninstall, mend, again, onChange, log, now } =
      this.#options;
    clearTimeout(this.#timer);
    // Not before: one of before the boot is removed when the agent starts, and proves nothing.
    this.#installed ??= installed();
    const known = problem();
    // What is in service had the proof when it was put there, maybe by an agent before this one.
    const reason = known ?? (this.#installed ? undefined : await unproven());
    // Nothing tells when the proof is there.
    if (known === undefined && reason !== undefined) this.#timer = setTimeout(again, AGAIN_MS).unref();
    if (reason === undefined) {
      this.#since = undefined;
      if (this.#serves === true) {
        if (await mend()) log.warn('somebody changed or removed the CNI configuration or plugin: written anew');
        return;
      }
      await install();
      this.#installed = true;
      this.#serves = true;
      this.#told = undefined;
      log.info('ready: pods can be attached');
      onChange(undefined);
      return;
    }
    this.#since ??= now();
    const left = this.#since + graceMs - now();
    if (left > 0) {
      if (known !== undefined) this.#timer = setTimeout(again, left).unref();
      return;
    }
    if (this.#installed) {
      await uninstall();
      this.#installed = false;
    }
    if (this.#serves === false && this.#told === reason) return;
    this.#serves = false;
    this.#told = reason;
    log.warn({ reason }, 'out of service: pods cannot be attached');
    onChange(reason);
  }
}
