import type { Logger } from 'pino';
import { controllerAbsent, type DataplaneProblem, vswitchdAbsent } from '../availability.ts';
import type { AgentConfig } from '../config.ts';
import { followDaemon } from '../ovs/daemon-watch.ts';

/**
 * How long after a start of ovs-vswitchd its flow table may still be empty, milliseconds: ovn-controller connects after up
 * to 8 s (the backoff of its OpenFlow connection) and then needs a moment.
 */
const FLOWS_RETURN_MS = 15_000;

/** What {@link Daemons} needs. */
export interface DaemonsOptions {
  readonly config: Pick<AgentConfig, 'ovsRunDir' | 'ovnRunDir'>;
  /** {@link Daemons.problem} or {@link Daemons.hasFlows} may have another answer. */
  readonly onChange: () => void;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly signal: AbortSignal;
}

/** The daemons that this node's pods depend on, followed by their control sockets. */
export class Daemons {
  readonly #options: DaemonsOptions;
  /** Unknown while nobody has looked, or where the configuration does not say where to look. */
  #vswitchd: boolean | undefined;
  #controller: boolean | undefined;
  #flowsReturn: NodeJS.Timeout | undefined;

  constructor(options: DaemonsOptions) {
    this.#options = options;
  }

  /** Follows them until the signal fires. */
  start(): void {
    const { config, signal } = this.#options;
    const follow = (directory: string | undefined, program: string, onChange: (running: boolean) => void): void => {
      if (directory !== undefined) void followDaemon({ directory, program, onChange, signal });
    };
    follow(config.ovsRunDir, 'ovs-vswitchd', (running) => this.#onVswitchd(running));
    follow(config.ovnRunDir, 'ovn-controller', (running) => {
      this.#say('ovn-controller', this.#controller, running);
      this.#controller = running;
      this.#options.onChange();
    });
    signal.addEventListener('abort', () => clearTimeout(this.#flowsReturn), { once: true });
  }

  /** Which of them does not run, the worse first. */
  problem(): DataplaneProblem | undefined {
    const { config } = this.#options;
    if (this.#vswitchd === false) return vswitchdAbsent(config);
    return this.#controller === false ? controllerAbsent(config) : undefined;
  }

  /** Whether br-int has the flows that ovn-controller gave it, as far as can be known: not just after a start of vswitchd. */
  get hasFlows(): boolean {
    return this.#vswitchd !== false && this.#flowsReturn === undefined;
  }

  #onVswitchd(running: boolean): void {
    this.#say('ovs-vswitchd', this.#vswitchd, running);
    const restarted = this.#vswitchd === false && running;
    this.#vswitchd = running;
    clearTimeout(this.#flowsReturn);
    this.#flowsReturn = undefined;
    if (restarted) {
      const returned = (): void => {
        this.#flowsReturn = undefined;
        this.#options.onChange();
      };
      this.#flowsReturn = setTimeout(returned, FLOWS_RETURN_MS);
      this.#flowsReturn.unref();
    }
    this.#options.onChange();
  }

  #say(program: string, before: boolean | undefined, now: boolean): void {
    if (!now) this.#options.log.warn(`${program} does not run on this node: start it`);
    else if (before === false) this.#options.log.info(`${program} runs`);
  }
}
