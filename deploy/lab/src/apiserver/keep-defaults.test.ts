import { readFileSync } from 'node:fs';
import { SUBNETS, VPCS } from '@ovenbird/crds';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { testApi } from './testing/api.ts';

const file = new URL('../../../rbac/keep-defaults.yaml', import.meta.url);
const group = '/apis/admissionregistration.k8s.io/v1';

test('the default Vpc, the default subnet and the join subnet cannot be deleted; others can', async () => {
  const api = await testApi();
  for (const kind of [SUBNETS, VPCS])
    api.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', kind.crd());
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const object = document.toJS() as { kind: string };
    const plural = object.kind.endsWith('Binding')
      ? 'validatingadmissionpolicybindings'
      : 'validatingadmissionpolicies';
    api.call('POST', `${group}/${plural}`, object);
  }
  const make = (kind: typeof SUBNETS | typeof VPCS, name: string, spec: object): void =>
    void api.call('POST', kind.path(), { apiVersion: 'ovenbird.io/v1', kind: kind.kind, metadata: { name }, spec });
  make(VPCS, 'ovn-cluster', {});
  make(VPCS, 'mine', {});
  make(SUBNETS, 'ovn-default', { cidrBlock: '10.16.0.0/16' });
  make(SUBNETS, 'join', { cidrBlock: '100.64.0.0/16' });
  make(SUBNETS, 'mine', { vpc: 'island', cidrBlock: '10.17.0.0/16' });
  expect(() => api.call('DELETE', VPCS.path('ovn-cluster'))).toThrow('make Vpcs of your own and delete those');
  expect(() => api.call('DELETE', SUBNETS.path('join'))).toThrow('the join subnet connects the nodes');
  expect(() => api.call('DELETE', SUBNETS.path('ovn-default'))).toThrow('make a Subnet with spec.default: true');
  api.call('DELETE', VPCS.path('mine'));
  api.call('DELETE', SUBNETS.path('mine'));
});
