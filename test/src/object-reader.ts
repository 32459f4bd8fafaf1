import { parseArgs } from 'node:util';
import { KubeClient, type Query } from '@ovenbird/kube';

/** What discovery says of a resource. */
interface ApiResource {
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
  readonly #paths = new Map<string, { readonly path: string; readonly namespaced: boolean }>();

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
      const query = { labelSelector: values.selector, fieldSelector: values['field-selector'] };
      return await this.#read(kind, name, values['all-namespaces'] ? undefined : values.namespace, query);
    } catch {
      return undefined;
    }
  }

  async #read(kind: string, name: string | undefined, namespace: string | undefined, query: Query): Promise<unknown> {
    if (!this.#paths.has(kind)) await this.#discover();
    const found = this.#paths.get(kind);
    if (found === undefined) return undefined;
    const { path, namespaced } = found;
    const slash = path.lastIndexOf('/');
    const collection =
      namespaced && namespace !== undefined
        ? `${path.slice(0, slash)}/namespaces/${namespace}${path.slice(slash)}`
        : path;
    const client = await this.#client;
    return await client.request(name === undefined ? { path: collection, query } : { path: `${collection}/${name}` });
  }

  /** Kinds come while tests run; as with kubectl, the first group that knows a word is meant. */
  async #discover(): Promise<void> {
    const client = await this.#client;
    const { groups } = await client.request<{ groups: { preferredVersion: { groupVersion: string } }[] }>({
      path: '/apis',
    });
    const roots = ['/api/v1', ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)];
    for (const root of roots) {
      const { resources } = await client.request<{ resources: ApiResource[] }>({ path: root });
      for (const { name, singularName, shortNames = [], namespaced } of resources) {
        if (name.includes('/')) continue;
        for (const word of [name, singularName, ...shortNames]) {
          if (!this.#paths.has(word)) this.#paths.set(word, { path: `${root}/${name}`, namespaced });
        }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client).close();
  }
}
