import { describe, expect, test } from 'vitest';
import { parseConfig } from './config.ts';

const minimal = { nodeName: 'node-1', ovnRemote: 'ssl:172.30.0.1:6642' };

describe('configuration', () => {
  test('defaults', () => {
    expect(parseConfig(minimal)).toMatchObject({
      ovsdb: 'unix:/run/openvswitch/db.sock',
      datapathType: 'system',
      encapType: 'geneve',
      ofctrlWaitBeforeClear: 3000,
      cniShim: expect.stringMatching(/\/cni\/dist\/ovenbird$/) as unknown,
    });
  });

  test('control sockets are where the packages put them, if the database is', () => {
    expect(parseConfig(minimal)).toMatchObject({ ovsRunDir: '/run/openvswitch', ovnRunDir: '/run/ovn' });
    expect(parseConfig({ ...minimal, ovsdb: 'unix:/x/db.sock' }).ovsRunDir).toBeUndefined();
    expect(parseConfig({ ...minimal, ovsdb: 'unix:/x/db.sock', ovnRunDir: '/x' }).ovnRunDir).toBe('/x');
  });

  test('the environment overrides every kind of key', () => {
    const env = {
      OVENBIRD_NODE_NAME: 'node-2',
      OVENBIRD_MTU: '1300',
      OVENBIRD_NETNS_DIRS: '/a,/b',
      OVENBIRD_MONITOR_ALL: 'false',
      OVENBIRD_LAB: '/run/ovenbird-lab',
    };
    expect(parseConfig(minimal, env)).toMatchObject({
      nodeName: 'node-2',
      mtu: 1300,
      netnsDirs: ['/a', '/b'],
      monitorAll: false,
    });
  });

  test.each([
    [{ ...minimal, nodeName: 'Node_1' }, 'nodeName'],
    [{ ...minimal, ovnRemote: 'http://x' }, 'ovnRemote'],
    [{ ...minimal, ovnRemote: 'ssl:[fd00::1]:6642,tcp:host' }, 'ovnRemote'],
    [{ ...minimal, encapIp: '10.0.0.1/24' }, 'encapIp'],
    [{ ...minimal, cniSocket: 'cni.sock' }, 'cniSocket'],
    [{ ...minimal, mtu: 100 }, 'mtu'],
    [{ ...minimal, serviceCidr: '10.96.0.0' }, 'serviceCidr'],
    [{ ...minimal, unknown: 1 }, 'unknown'],
    [[], '(file)'],
    ['text', '(file)'],
  ])('%j names %s', (input, key) => {
    expect(() => parseConfig(input)).toThrow(key);
  });

  test('a wrong value of the environment is refused, not ignored', () => {
    expect(() => parseConfig(minimal, { OVENBIRD_MTU: 'big' })).toThrow('mtu');
    expect(() => parseConfig(minimal, { OVENBIRD_MONITOR_ALL: 'yes' })).toThrow('monitorAll');
  });
});
