import { describe, expect, test } from 'vitest';
import { AllocError } from '../alloc/error.ts';
import { projectNetworkAttachment } from './definition.ts';
import { parseSelections } from './selection.ts';

describe('networks that a pod asks for', () => {
  test('the short form', () => {
    expect(parseSelections('blue, storage/fast@net7,  green', 'default')).toEqual([
      { definition: 'default/blue', ifname: 'net1', ips: [] },
      { definition: 'storage/fast', ifname: 'net7', ips: [] },
      { definition: 'default/green', ifname: 'net3', ips: [] },
    ]);
    expect(parseSelections(' ', 'default')).toEqual([]);
  });

  test('JSON', () => {
    const text = JSON.stringify([
      { name: 'blue', ips: ['10.20.0.5/24', 'fd00::5'], mac: '0A:58:00:00:00:01' },
      { name: 'red', namespace: 'x', interface: 'data', 'default-route': ['10.21.0.1'], 'cni-args': {} },
    ]);
    expect(parseSelections(text, 'default')).toEqual([
      { definition: 'default/blue', ifname: 'net1', ips: ['10.20.0.5', 'fd00::5'], mac: '0a:58:00:00:00:01' },
      { definition: 'x/red', ifname: 'data', ips: [], defaultRoute: ['10.21.0.1'] },
    ]);
  });

  test.each([
    ['[{"name": "a"', 'not JSON'],
    ['{"name": "a"}', 'not a list'],
    ['[{"namespace": "a"}]', 'has no name'],
    ['[{"name": "a", "ips": ["x"]}]', 'not an address'],
    ['[{"name": "a", "mac": "01:00:00:00:00:00"}]', 'not a unicast MAC'],
    ['a@x,b@x', 'two interfaces are called x'],
    ['a@way-too-long-for-a-link', 'cannot be the name'],
    ['A_b', 'is not [<namespace>/]'],
  ])('%s is refused', (text, message) => {
    expect(() => parseSelections(text, 'default')).toThrow(AllocError);
    expect(() => parseSelections(text, 'default')).toThrow(message);
  });
});

describe('definitions', () => {
  const providerOf = (config: unknown): string =>
    projectNetworkAttachment({
      apiVersion: 'k8s.cni.cncf.io/v1',
      kind: 'NetworkAttachmentDefinition',
      metadata: { name: 'blue', namespace: 'zoo' },
      spec: { config: typeof config === 'string' ? config : JSON.stringify(config) },
    }).provider;

  test.each([
    [{ type: 'ovenbird' }, 'blue.zoo.ovn'],
    [{ type: 'ovenbird', provider: 'red.zoo.ovn' }, 'red.zoo.ovn'],
    [{ type: 'ovenbird', provider: 'ovn' }, 'ovn'],
    [{ plugins: [{ type: 'ovenbird' }, { type: 'tuning' }] }, 'blue.zoo.ovn'],
    [{ type: 'macvlan', ipam: { type: 'ovenbird' } }, 'blue.zoo'],
    [{ type: 'macvlan', ipam: { type: 'ovenbird', provider: 'x.y.ovn' } }, ''],
    [{ type: 'macvlan', ipam: { type: 'host-local' } }, ''],
    ['', ''],
    ['[1, null]', ''],
  ])('%j has the provider "%s"', (config, provider) => expect(providerOf(config)).toBe(provider));
});
