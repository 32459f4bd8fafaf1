import { KubeClient, PODS, type Pod, Reflector, Store } from '@ovenbird/kube';
import type { TestLab } from '../lab.ts';
import { isReady, pod } from '../objects.ts';
import type { Choices } from '../random.ts';
import { supervise } from './fault.ts';
import { optionsOf } from './wishes.ts';

/** Pods that come and go, and the list of those that should be there. */
export class Churn implements Disposable {
  readonly #lab: TestLab;
  readonly #choices: Choices;
  readonly #seen = new Store<Pod>();
  readonly #stop = new AbortController();
  readonly #wanted = new Set<string>();
  #count = 0;
  readonly namespace: string;

  private constructor(lab: TestLab, namespace: string, choices: Choices) {
    this.#lab = lab;
    this.#choices = choices;
    this.namespace = namespace;
  }

  /** Follows the pods of a namespace that exists. */
  static async follow(lab: TestLab, namespace: string, choices: Choices): Promise<Churn> {
    const churn = new Churn(lab, namespace, choices);
    const client = await KubeClient.load({ kubeconfig: lab.layout.kubeconfig });
    const { signal } = churn.#stop;
    const reflector = new Reflector<Pod>({ client, kind: PODS, namespace, sink: churn.#seen, signal });
    reflector.start();
    await reflector.synced;
    return churn;
  }

  /** Names of the pods that should be there. */
  get wanted(): readonly string[] {
    return [...this.#wanted];
  }

  /** The pods as the API server has them now. */
  get pods(): readonly Pod[] {
    return [...this.#seen.values()];
  }

  /** Some pods come, some go: one call each, and nobody waits for them. */
  async step(coming: number, going: number): Promise<void> {
    const { nodes } = this.#lab;
    const names = Array.from({ length: coming }, () => `p${(this.#count += 1)}`);
    const leaving = this.#choices.pick(this.wanted, Math.min(going, this.#wanted.size));
    const on = (): string => this.#choices.pick(nodes, 1)[0] ?? '';
    const manifests = names.map((name) => pod(this.namespace, name, { node: on(), ...optionsOf(name) }));
    if (manifests.length > 0) await this.#lab.apply(...manifests);
    for (const name of names) this.#wanted.add(name);
    if (leaving.length > 0)
      await this.#lab.kubectl(['delete', 'pod', '-n', this.namespace, '--wait=false', ...leaving]);
    for (const name of leaving) this.#wanted.delete(name);
  }

  /** All pods go. */
  async clear(): Promise<void> {
    await this.step(0, this.#wanted.size);
  }

  /** Waits until exactly the wanted pods are there, and Ready. @param story told when that does not come true */
  async settled(story: string, deadline: number): Promise<readonly Pod[]> {
    return await this.#lab.waitFor(
      `the wanted pods are Ready, and no others are there, after: ${story}`,
      async () => {
        await supervise(this.#lab);
        const { pods } = this;
        const late = pods.find(
          (one) =>
            !this.#wanted.has(one.metadata.name) || one.metadata.deletionTimestamp !== undefined || !isReady(one),
        );
        if (late !== undefined) return this.#described(late);
        return pods.length === this.#wanted.size ? pods : `${pods.length} of ${this.#wanted.size} pods`;
      },
      deadline,
    );
  }

  #described({ metadata: { name, deletionTimestamp, resourceVersion }, spec, status }: Pod): string {
    const wanted = this.#wanted.has(name) ? 'wanted' : 'not wanted';
    const deleted = deletionTimestamp === undefined ? 'not being deleted' : `being deleted since ${deletionTimestamp}`;
    return `${name} on ${spec.nodeName}, ${wanted}, ${deleted}, version ${resourceVersion}: ${JSON.stringify(status)}`;
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
