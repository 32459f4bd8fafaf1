import { describe, expect, test } from 'vitest';
import type { LabContainer } from '../workloads/objects.ts';
import { containerEnv, type EnvSources, expand } from './env.ts';

const sources: EnvSources = {
  pod: { metadata: { name: 'a', namespace: 'ns', labels: { app: 'x' } }, spec: { nodeName: 'n', containers: [] } },
  podIPs: ['10.0.0.2', 'fd00::2'],
  hostIPs: ['192.0.2.1'],
  lookup: (kind, name, key) => Promise.resolve(name === 'there' ? `${kind}.${key}` : undefined),
};

const envOf = (env: LabContainer['env']): Promise<Record<string, string>> =>
  containerEnv({ name: 'c', image: 'i', env }, sources);

describe('environment', () => {
  test('fields, keys, and references to earlier variables', async () => {
    const env = await envOf([
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'APP', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
      { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
      { name: 'KEY', valueFrom: { secretKeyRef: { name: 'there', key: 'k' } } },
      { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'absent', key: 'k', optional: true } } },
      { name: 'BOTH', value: '$(NAME) is $(APP) and $$(NAME) or $(LATER)' },
    ]);
    expect(env).toMatchObject({ HOSTNAME: 'a', NAME: 'a', APP: 'x', IPS: '10.0.0.2,fd00::2', KEY: 'Secret.k' });
    expect(env['BOTH']).toBe('a is x and $(NAME) or $(LATER)');
    expect(env).not.toHaveProperty('NONE');
  });

  test('what cannot be resolved is an error', async () => {
    const absent = [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'absent', key: 'k' } } }];
    await expect(envOf(absent)).rejects.toThrow('ConfigMap absent has no key k, or does not exist');
    const field = [{ name: 'X', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }];
    await expect(envOf(field)).rejects.toThrow('fieldRef spec.x is not supported');
  });

  test('expansion leaves what it does not know', () => {
    expect(expand('$(A) $A $$ $(', { A: '1' })).toBe('1 $A $ $(');
  });
});
