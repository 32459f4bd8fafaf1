import type { FurtherInterface } from '@ovenbird/crds';
import { type Bandwidth, type BandwidthLimit, bandwidthOf } from '../pod/bandwidth.ts';
import { Counter } from '../policy/counter.ts';
import type { Key, Pod } from '../store/model.ts';
import type { State } from '../store/state.ts';
import { drain } from '../tick.ts';
import { candidates, furtherPort, interfacesOf, naming, policiesOf, splitInterface } from './binding.ts';
import type { PodBandwidth, QosUse } from './model.ts';

/** What follows from the policies of pods. */
export interface QosEffects {
  /** Pods came to a policy or left it. */
  statusChanged(policy: string): void;
}

/**
 * Derives from pods and QoSPolicies which policies each interface of a pod has, on which switches each policy is in use, and what holds
 * of the bandwidth annotations of pods.
 */
export class QosLife {
  readonly #state: State;
  readonly #effects: QosEffects;
  /** Interfaces of pods; see {@link interfacesOf}. */
  readonly #dirty = new Set<Key>();
  readonly #dirtyPolicies = new Set<Key>();
  readonly #uses: Counter<QosUse>;
  /** Limits that the northbound database had at start, of interfaces not looked at yet. */
  readonly #live: Map<Key, PodBandwidth>;

  /** @param live limits of pods by the northbound database at start */
  constructor(state: State, live: ReadonlyMap<Key, PodBandwidth>, effects: QosEffects) {
    this.#state = state;
    this.#effects = effects;
    this.#live = new Map(live);
    this.#uses = new Counter(
      (key, use) => state.set('QosUse', key, use),
      (key) => state.delete('QosUse', key),
    );
    state.onTouch((kind, key) => {
      if (kind === 'Pod') this.#podTouched(key);
      else if (kind === 'PodAddress' || (kind === 'AttachmentAddress' && key.includes('/'))) this.#dirty.add(key);
      else if (kind === 'QoSPolicy') this.#dirtyPolicies.add(key);
      else if (kind === 'Namespace')
        for (const pod of state.index('Pod', 'namespace', key)) this.#podTouched(`${key}/${pod.name}`);
    });
  }

  /** Brings the derived objects up to date. Synchronous; call `Engine.flush` afterwards. */
  run(): void {
    try {
      drain(this.#dirtyPolicies, (name) => this.#policyChanged(name));
    } finally {
      drain(this.#dirty, (key) => this.#reconcile(key));
    }
  }

  #podTouched(pod: Key): void {
    for (const key of interfacesOf(pod, this.#state)) this.#dirty.add(key);
  }

  #policyChanged(name: Key): void {
    const state = this.#state;
    const policy = state.get('QoSPolicy', name);
    for (const key of state.indexKeys('PodQos', 'policy', name)) this.#dirty.add(key);
    for (const pod of policy === undefined ? naming(name, state) : candidates(policy, state)) this.#podTouched(pod);
  }

  #reconcile(key: Key): void {
    const state = this.#state;
    const { pod: podKey, isFurther } = splitInterface(key);
    const further = isFurther ? furtherPort(key, state) : undefined;
    const address = isFurther ? further : state.get('PodAddress', key);
    const found = state.get('Pod', podKey);
    const pod = found !== undefined && address?.uid === found.uid ? found : undefined;
    this.#limit(key, pod, further);
    const namespace = pod === undefined ? undefined : state.get('Namespace', pod.namespace);
    // Most clusters have none, and then nothing is looked for in the name of each new pod.
    const isNone = state.keys('QoSPolicy').next().done === true;
    const policies =
      isNone || pod === undefined || address === undefined || namespace === undefined
        ? []
        : policiesOf(pod, namespace, address.subnet, state, further).map(({ name }) => name);
    const before = state.get('PodQos', key)?.policies ?? [];
    if (policies.length === 0 || address === undefined) state.delete('PodQos', key);
    else
      state.set('PodQos', key, { policies, subnet: address.subnet, ...(isFurther ? { further: true as const } : {}) });
    const subnet = address?.subnet ?? '';
    this.#uses.set(key, new Map(policies.map((policy) => [`${policy}/${subnet}`, { policy, subnet }])));
    for (const policy of new Set([...before, ...policies]))
      if (!(before.includes(policy) && policies.includes(policy))) this.#effects.statusChanged(policy);
  }

  /** A direction whose annotations say nothing sensible keeps the limit it had. */
  #limit(key: Key, pod: Pod | undefined, further: FurtherInterface | undefined): void {
    if (pod === undefined) {
      this.#state.delete('PodBandwidth', key);
      return;
    }
    const before = this.#state.get('PodBandwidth', key) ?? this.#live.get(key);
    this.#live.delete(key);
    const known = before?.uid === pod.uid ? before.limits : [];
    const limits = inForce(bandwidthOf(pod, further), known);
    if (limits.length === 0) this.#state.delete('PodBandwidth', key);
    else this.#state.set('PodBandwidth', key, { uid: pod.uid, limits });
  }
}

function inForce({ limits, refused }: Bandwidth, before: readonly BandwidthLimit[]): readonly BandwidthLimit[] {
  const kept = before.filter(({ direction }) => refused.includes(direction));
  return [...limits, ...kept].sort((a, b) => (a.direction < b.direction ? -1 : 1));
}
