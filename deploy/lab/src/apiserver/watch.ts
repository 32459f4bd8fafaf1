/** Watches: the changes of a resource as a stream of JSON lines, each line encoded once for all watchers of its form. */
import { ApiError } from './api-error.ts';
import type { JsonObject, KubeObject } from './json.ts';
import { apiVersionOf, type Resource } from './resource.ts';
import type { Selector } from './selectors.ts';
import type { Collection, Entry, Store, StoreEvent } from './store.ts';
import { type Presentation, partialObject, row, table } from './table.ts';

/** What a watch asks for. */
export interface WatchQuery {
  readonly namespace: string | undefined;
  readonly labels: Selector | undefined;
  readonly fields: Selector | undefined;
  /** '' or '0': the present objects first; else the changes after that version. */
  readonly resourceVersion: string;
  readonly bookmarks: boolean;
  /** The present objects, then a bookmark that says so (WatchList, KEP-3157). */
  readonly sendInitialEvents: boolean;
  readonly presentation: Presentation;
  /**
   * Whether a program of a node watches. In a cluster these have machines of their own; here each line wakes a process that the
   * readers of the following lines share the processors with, so what the whole cluster waits for goes first.
   */
  readonly ofNode: boolean;
}

/** Where the lines of a watch go. */
export interface WatchSink {
  readonly write: (line: Buffer) => void;
  readonly end: () => void;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** A running watch. */
export class Watch {
  readonly #resource: Resource;
  readonly #query: WatchQuery;
  readonly #sink: WatchSink;
  readonly #store: Store;
  readonly #encoding: string;
  readonly #now: () => number;
  #unsubscribe: (() => void) | undefined;
  #columnsSent = false;

  constructor(resource: Resource, store: Store, query: WatchQuery, sink: WatchSink, now: () => number) {
    this.#resource = resource;
    this.#query = query;
    this.#sink = sink;
    this.#store = store;
    this.#now = now;
    this.#encoding = `${query.presentation.form}/${query.presentation.include}`;
  }

  /** Sends what is there, then what changes. An expired start version is told in the stream, as the real server does. */
  start(collection: Collection): void {
    const { resourceVersion, sendInitialEvents } = this.#query;
    if (sendInitialEvents || resourceVersion === '' || resourceVersion === '0') {
      for (const entry of collection.list(this.#query.namespace)) {
        if (this.#selects(entry.object)) this.#sink.write(this.#line('ADDED', entry));
      }
      if (sendInitialEvents) this.#bookmark({ 'k8s.io/initial-events-end': 'true' });
    } else {
      const events = /^\d+$/.test(resourceVersion) ? collection.since(Number(resourceVersion)) : undefined;
      if (events === undefined) {
        const error = new ApiError(
          410,
          'Expired',
          `too old resource version: ${resourceVersion} (${this.#store.revision})`,
        );
        this.#sink.write(encode('ERROR', error.status()));
        this.#sink.end();
        return;
      }
      for (const event of events) this.#deliver(event);
    }
    this.#unsubscribe = collection.subscribe((event) => this.#deliver(event), this.#query.ofNode);
  }

  /** Tells the client how far it has seen, where it asked for that. */
  bookmark(): void {
    if (this.#query.bookmarks && this.#unsubscribe !== undefined) this.#bookmark({});
  }

  /** Ends the stream. */
  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#sink.end();
  }

  #bookmark(annotations: Record<string, string>): void {
    const object: KubeObject = {
      kind: this.#resource.kind,
      apiVersion: apiVersionOf(this.#resource),
      metadata: {
        resourceVersion: String(this.#store.revision),
        creationTimestamp: null,
        ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      } as unknown as KubeObject['metadata'],
    };
    const { form, include } = this.#query.presentation;
    if (form === 'table') {
      const empty = table(this.#resource, [], include, this.#now(), {
        resourceVersion: object.metadata.resourceVersion,
      });
      empty['rows'] = [{ cells: this.#resource.columns.map(() => null), object: partialObject(object) }];
      this.#sink.write(encode('BOOKMARK', empty));
    } else {
      this.#sink.write(encode('BOOKMARK', form === 'partial' ? partialObject(object) : object));
    }
  }

  #selects(object: KubeObject): boolean {
    const { namespace, labels, fields } = this.#query;
    if (namespace !== undefined && (object.metadata.namespace ?? '') !== namespace) return false;
    return labels?.matches(object) !== false && fields?.matches(object) !== false;
  }

  /** An object that comes into or leaves the selection is ADDED or DELETED for this watcher. */
  #deliver(event: StoreEvent): void {
    const { namespace } = this.#query;
    if (namespace !== undefined && event.entry.namespace !== namespace) return;
    const before = event.previous !== undefined && this.#selects(event.previous.object);
    const after = event.type !== 'DELETED' && this.#selects(event.entry.object);
    if (!before && !after) return;
    const type = before ? (after ? 'MODIFIED' : 'DELETED') : 'ADDED';
    if (this.#query.presentation.form === 'table' && !this.#columnsSent) {
      this.#sink.write(this.#line(type, event.entry));
      return;
    }
    const key = `${type} ${this.#encoding}`;
    let line = event.lines.get(key);
    if (line === undefined) {
      line = this.#line(type, event.entry);
      event.lines.set(key, line);
    }
    this.#sink.write(line);
  }

  #line(type: EventType, entry: Entry): Buffer {
    const { form, include } = this.#query.presentation;
    if (form === 'object') return Buffer.from(`{"type":"${type}","object":${entry.json}}\n`);
    if (form === 'partial') return encode(type, partialObject(entry.object));
    const metadata = { resourceVersion: entry.object.metadata.resourceVersion };
    const rows = table(this.#resource, [], include, this.#now(), metadata);
    rows['rows'] = [row(this.#resource, entry.object, include, this.#now())];
    // Only the first event of a table watch describes the columns.
    if (this.#columnsSent) rows['columnDefinitions'] = null;
    this.#columnsSent = true;
    return encode(type, rows);
  }
}

function encode(type: EventType, object: JsonObject | KubeObject): Buffer {
  return Buffer.from(`{"type":"${type}","object":${JSON.stringify(object)}}\n`);
}
