/** Namespaces: phase, the `kubernetes` finalizer in `spec`, and the label that selectors use. */
import { clone, type JsonObject, listOf, objectOf } from './json.ts';
import type { Strategy } from './resource.ts';

const NAME_LABEL = 'kubernetes.io/metadata.name';

/** As the real server's admission plugin NamespaceLifecycle. */
const IMMORTAL: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

/** Termination itself (deleting the content) is the namespace controller's. */
export const namespaceStrategy: Strategy = {
  keep: ({ metadata }) => (IMMORTAL.has(metadata.name) ? 'this namespace may not be deleted' : undefined),
  prepareCreate: (draft) => {
    draft['spec'] = { finalizers: ['kubernetes'] };
    draft['status'] = { phase: 'Active' };
    draft.metadata.labels = { ...draft.metadata.labels, [NAME_LABEL]: draft.metadata.name };
  },
  prepareUpdate: (draft, old, { subresource }) => {
    const spec: JsonObject = subresource === 'finalize' ? objectOf(draft['spec']) : clone(objectOf(old['spec']));
    draft['spec'] =
      listOf(spec['finalizers']).length === 0 ? {} : { finalizers: [...new Set(listOf(spec['finalizers']))] };
    draft.metadata.labels = { ...draft.metadata.labels, [NAME_LABEL]: draft.metadata.name };
  },
};
