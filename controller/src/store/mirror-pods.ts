import { type Clock, type ObjectEvent, objectKey, type ReflectorSink } from '@ovenbird/kube';
import type { Key } from './model.ts';
import type { Projected } from './state-sink.ts';

/** How long a mirror pod may be away, milliseconds. kubelet makes it anew at once, or after a failure with its next look. */
const AWAY_MS = 60_000;

/** What {@link MirrorPods} needs. */
export interface MirrorPodsOptions {
  readonly sink: ReflectorSink<Projected<'Pod'>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

type PodEvent = ObjectEvent<Projected<'Pod'>>;

/**
 * Keeps back the deletion of mirror pods for a while: whoever deletes one (`kubectl delete pod`, a drain) deletes only what the
 * API shows of a static pod, whose containers run on, and kubelet makes it anew.
 */
export class MirrorPods implements ReflectorSink<Projected<'Pod'>> {
  readonly #options: MirrorPodsOptions;
  readonly #away = new Map<Key, { readonly event: PodEvent; readonly cancel: () => void }>();

  constructor(options: MirrorPodsOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#forgetAll(), { once: true });
  }

  replace(...list: Parameters<ReflectorSink<Projected<'Pod'>>['replace']>): void {
    this.#forgetAll();
    this.#options.sink.replace(...list);
  }

  apply(events: readonly PodEvent[]): void {
    const { sink, clock } = this.#options;
    const passed = events.flatMap((event): readonly PodEvent[] => {
      const key = objectKey(event.object);
      const away = this.#away.get(key);
      away?.cancel();
      this.#away.delete(key);
      if (event.type === 'DELETED' && event.object.slim.objectUid !== undefined) {
        const cancel = clock.schedule(AWAY_MS, () => {
          this.#away.delete(key);
          sink.apply([event]);
        });
        this.#away.set(key, { event, cancel });
        return [];
      }
      // The manifest is another one by now: another pod.
      const isOther = away !== undefined && away.event.object.slim.uid !== event.object.slim.uid;
      return isOther ? [away.event, event] : [event];
    });
    if (passed.length > 0) sink.apply(passed);
  }

  #forgetAll(): void {
    for (const { cancel } of this.#away.values()) cancel();
    this.#away.clear();
  }
}
