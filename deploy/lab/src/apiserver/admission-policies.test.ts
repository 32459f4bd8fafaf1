import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { User } from './authentication.ts';
import { type TestApi, testApi } from './testing/api.ts';

const file = new URL('../../../rbac/agent-own-node.yaml', import.meta.url);
const POLICIES = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
const agentOf = (node?: string): User => ({
  name: 'system:serviceaccount:kube-system:ovenbird-agent',
  groups: [],
  ...(node === undefined ? {} : { extra: { 'authentication.kubernetes.io/node-name': [node] } }),
});

describe('ValidatingAdmissionPolicies', () => {
  let api: TestApi;

  beforeEach(async () => {
    api = await testApi();
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
      const object = document.toJS() as { kind: string };
      api.call('POST', object.kind.endsWith('Binding') ? POLICIES.replace(/ies$/, 'ybindings') : POLICIES, object);
    }
    for (const name of ['node-1', 'node-2']) api.call('POST', '/api/v1/nodes', { kind: 'Node', metadata: { name } });
  });

  const condition = (node: string, user?: User): unknown =>
    api.call(
      'PATCH',
      `/api/v1/nodes/${node}/status`,
      { status: { conditions: [{ type: 'NetworkUnavailable', status: 'False' }] } },
      { type: 'application/strategic-merge-patch+json', ...(user === undefined ? {} : { user }) },
    );

  test('an agent writes the status of its own Node, and of no other', () => {
    condition('node-1', agentOf('node-1'));
    expect(() => condition('node-2', agentOf('node-1'))).toThrow(
      `nodes "node-2" is forbidden: ValidatingAdmissionPolicy 'ovenbird-agent-own-node' with binding 'ovenbird-agent-own-node' denied request: an agent may write only the status of its own Node`,
    );
    expect(() => condition('node-1', agentOf())).toThrow('is not bound to a node');
    condition('node-2');
  });

  test('an agent tells of its own Node only', () => {
    const event = (name: string, node: string): unknown =>
      api.call(
        'POST',
        '/api/v1/namespaces/default/events',
        {
          kind: 'Event',
          metadata: { name },
          involvedObject: { kind: 'Node', name: node },
          reason: 'X',
          type: 'Normal',
        },
        { user: agentOf('node-1') },
      );
    event('a', 'node-1');
    expect(() => event('b', 'node-2')).toThrow('an agent may tell only of its own Node');
  });

  test('a policy that this server does not understand refuses, and says why', () => {
    const spec = {
      matchConstraints: {
        objectSelector: { matchLabels: { a: 'b' } },
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], operations: ['*'] }],
      },
      validations: [{ expression: 'true' }],
    };
    api.call('POST', POLICIES, { metadata: { name: 'more' }, spec });
    const binding = { metadata: { name: 'more' }, spec: { policyName: 'more', validationActions: ['Deny'] } };
    api.call('POST', POLICIES.replace(/ies$/, 'ybindings'), binding);
    expect(() => api.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' } })).toThrow(
      'this server does not know objectSelector of policies',
    );
  });
});
