import {
  CRDS,
  type CustomResourceDefinition,
  type HasMetadata,
  type ObjectEvent,
  Reflector,
  type ReflectorNotice,
  type ReflectorSink,
  type ResourceKind,
  type StreamRequester,
} from '@ovenbird/kube';

/** What is kept of a definition. */
interface Served extends HasMetadata {
  readonly served: boolean;
}

/** The part of a {@link Reflector} of the kind itself that is used here. */
export interface KindWatch {
  readonly synced: Promise<void>;
  stop(): void;
}

/** Settings of {@link watchOptional}. */
export interface OptionalWatchOptions {
  readonly client: StreamRequester;
  readonly kind: ResourceKind;
  readonly signal: AbortSignal;
  /** The kind is served from now on: begins to watch its objects. */
  readonly begin: () => KindWatch;
  /** It is served no longer: its objects are gone. */
  readonly gone: () => void;
  /** Of the watch of the definition. */
  readonly onNotice: (notice: ReflectorNotice) => void;
}

/** Name of the definition of a kind (CustomResourceDefinition, metadata.name). */
const definitionOf = ({ plural, group }: ResourceKind): string => `${plural}.${group}`;

/**
 * Watches a kind whose CustomResourceDefinition may be absent, and may come and go. The definition is watched, by its name,
 * so that an absent one costs the API server one quiet watch and its coming is seen at once.
 *
 * Resolves when it is known that the kind is absent, or when its objects are listed.
 */
export async function watchOptional(options: OptionalWatchOptions): Promise<void> {
  const { client, kind, signal, onNotice } = options;
  const presence = new Presence(options);
  const reflector = new Reflector<CustomResourceDefinition, Served>({
    client,
    kind: CRDS,
    fieldSelector: `metadata.name=${definitionOf(kind)}`,
    signal,
    sink: presence,
    onNotice,
    project: (definition) => {
      const { name, uid, resourceVersion } = definition.metadata;
      return { metadata: { name, uid, resourceVersion }, served: isServed(definition, kind.version) };
    },
  });
  reflector.start();
  await reflector.synced;
  // Rejected when the definition went away before the first list.
  await presence.current?.synced.catch(() => undefined);
}

/** A version is served when it says so and the names are established (apiextensions.k8s.io, conditions). */
function isServed({ spec, status }: CustomResourceDefinition, version: string): boolean {
  const established = (status?.conditions ?? []).some(
    ({ type, status: is }) => type === 'Established' && is === 'True',
  );
  return established && spec.versions.some(({ name, served }) => name === version && served);
}

class Presence implements ReflectorSink<Served> {
  readonly #options: OptionalWatchOptions;
  current: KindWatch | undefined;

  constructor(options: OptionalWatchOptions) {
    this.#options = options;
  }

  replace(definitions: readonly Served[]): void {
    this.#set(definitions.some(({ served }) => served));
  }

  apply(events: readonly ObjectEvent<Served>[]): void {
    for (const { type, object } of events) this.#set(type !== 'DELETED' && object.served);
  }

  #set(served: boolean): void {
    if (served === (this.current !== undefined)) return;
    if (served) {
      this.current = this.#options.begin();
      return;
    }
    this.current?.stop();
    this.current = undefined;
    this.#options.gone();
  }
}
