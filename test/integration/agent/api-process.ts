/**
 * A fake API server as a process of its own, so that it can run in the node's network namespace. The test drives it by
 * IPC: `{ id, op, kind, ... }` → `{ id, value }`.
 */
import { SUBNETS } from '@ovenbird/crds';
import { EVENTS, type KubeObject, NODES, PODS, type ResourceKind } from '@ovenbird/kube';
import { FakeApi } from '../../../kube/src/testing/fake-api.ts';

/** What the test asks for. */
export type ApiCall =
  | { op: 'put'; kind: ApiKind; object: KubeObject }
  | { op: 'remove'; kind: ApiKind; namespace?: string; name: string }
  | { op: 'list'; kind: ApiKind }
  /** Answers about a kind wait until `release`. */
  | { op: 'hold'; kind: ApiKind }
  | { op: 'release' };
/** Kinds by name. */
export type ApiKind = 'Pod' | 'Node' | 'Subnet' | 'Event';

const KINDS: Readonly<Record<ApiKind, ResourceKind>> = { Pod: PODS, Node: NODES, Subnet: SUBNETS, Event: EVENTS };
const collections: Readonly<Record<ApiKind, string>> = {
  Pod: '/api/v1/pods',
  Node: '/api/v1/nodes',
  Subnet: '/apis/ovenbird.io/v1/subnets',
  Event: '/api/v1/events',
};

const api = await FakeApi.start();
let release = (): void => undefined;

function answer(call: ApiCall): unknown {
  switch (call.op) {
    case 'put':
      return api.put(KINDS[call.kind], call.object);
    case 'remove':
      api.remove(KINDS[call.kind], { namespace: call.namespace, name: call.name });
      return null;
    case 'hold': {
      const { promise: until, resolve } = Promise.withResolvers<void>();
      release = resolve;
      api.inject((seen) => seen.path.startsWith(collections[call.kind]), { kind: 'slow', until }, 2);
      return null;
    }
    case 'release':
      release();
      return null;
    case 'list':
      return api.objects.list(collections[call.kind], undefined);
  }
}

process.on('message', (message) => {
  const { id, call } = message as { id: number; call: ApiCall };
  process.send?.({ id, value: answer(call) });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ id: 0, value: api.url });
