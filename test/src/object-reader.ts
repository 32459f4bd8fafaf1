import { parseArgs } from 'node:util';
import { KubeClient, type ListOptions, type ResourceKind, resourceKind } from '@ovenbird/kube';

/** What discovery says of a resource. */
interface ApiResource {
  readonly kind: string;
  readonly name: string;
  readonly singularName: string;
  readonly shortNames?: readonly string[];
  readonly namespaced: boolean;
}

/**
 * Reads objects by the words of `kubectl get`, over one connection: a process of kubectl takes a hundred times the processor
 * time, and tests look often.
 */
export class ObjectReader implements AsyncDisposable {
  readonly #client: Promise<KubeClient>;
  readonly #kinds = new Map<string, ResourceKind>();

  constructor(kubeconfig: string) {
    this.#client = KubeClient.load({ kubeconfig });
  }

  /**
   * The object, or the list of objects, that `kubectl get ARGS -o json` prints.
   * @returns undefined where kubectl has to be asked: for other options, and where there is an error to tell
   */
  async get(args: readonly string[]): Promise<unknown> {
    try {
      const { values, positionals } = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: {
          namespace: { type: 'string', short: 'n', default: 'default' },
          'all-namespaces': { type: 'boolean', short: 'A', default: false },
          selector: { type: 'string', short: 'l' },
          'field-selector': { type: 'string' },
        },
      });
      const [kind = '', name, ...more] = positionals;
      if (more.length > 0) return undefined;
      const namespace = values['all-namespaces'] ? undefined : values.namespace;
      const selectors = { labelSelector: values.selector, fieldSelector: values['field-selector'] };
      return await this.#read(kind, name, { namespace, ...selectors });
    } catch {
      return undefined;
    }
  }

  async #read(word: string, name: string | undefined, { namespace, ...selectors }: ListOptions): Promise<unknown> {
    if (!this.#kinds.has(word)) await this.#discover();
    const kind = this.#kinds.get(word);
    if (kind === undefined) return undefined;
    const resource = (await this.#client).resource(kind);
    const within = kind.namespaced ? { namespace } : {};
    return await (name === undefined ? resource.list({ ...within, ...selectors }) : resource.get({ ...within, name }));
  }

  /** Kinds come while tests run; as with kubectl, the first group that knows a word is meant. */
  async #discover(): Promise<void> {
    const client = await this.#client;
    const { groups } = await client.request<{
      groups: { name: string; preferredVersion: { version: string } }[];
    }>({ path: '/apis' });
    const preferred = groups.map(({ name, preferredVersion }) => ({ group: name, ...preferredVersion }));
    for (const { group, version } of [{ group: '', version: 'v1' }, ...preferred]) {
      const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      const { resources } = await client.request<{ resources: ApiResource[] }>({ path });
      for (const { kind, name, singularName, shortNames = [], namespaced } of resources) {
        if (name.includes('/')) continue;
        const found = resourceKind({ group, version, kind, plural: name, namespaced });
        for (const word of [name, singularName, ...shortNames])
          if (!this.#kinds.has(word)) this.#kinds.set(word, found);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client).close();
  }
}
