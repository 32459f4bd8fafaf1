import type { Node } from '@ovenbird/kube';
import { describe, expect, test } from 'vitest';
import { tunnelAddress } from './bootstrap.ts';

describe('the address of tunnels', () => {
  const config = { nodeName: 'n1' };
  const node = (...addresses: readonly { readonly type: string; readonly address: string }[]): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: {},
    status: { addresses },
  });
  const internal = { type: 'InternalIP', address: '10.0.0.1' };

  test('the configured one, else the first InternalIP', () => {
    const both = node({ type: 'Hostname', address: 'n1' }, internal, { type: 'InternalIP', address: 'fd00::1' });
    expect(tunnelAddress({ ...config, encapIp: '10.9.9.9' }, both)).toBe('10.9.9.9');
    expect(tunnelAddress({ ...config, encapIp: '10.9.9.9' }, undefined)).toBe('10.9.9.9');
    expect(tunnelAddress(config, both)).toBe('10.0.0.1');
  });

  test('while there is none, what to look at', () => {
    expect(() => tunnelAddress(config, undefined)).toThrow(/Node n1 has not been read yet: is the API server up/);
    expect(() => tunnelAddress(config, node())).toThrow(/Node n1 has no InternalIP; set encapIp/);
  });
});
