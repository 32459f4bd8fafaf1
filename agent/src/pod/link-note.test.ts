import { expect, test } from 'vitest';
import { isOurAlias, linkAlias, portDigest, readAlias } from './link-note.ts';

const pod = { uid: '0f0e0d0c-1111-2222-3333-444455556666', portName: 'a.default', defaultRoute: true };
const attachment = {
  containerId: 'c'.repeat(64),
  ifname: 'eth0',
  network: 'ovenbird',
  netns: '/var/run/netns/cni-8a9b0c1d-1111-2222-3333-444455556666',
};

test('what containerd and CRI-O say fits into an alias, and is read back', () => {
  const alias = linkAlias(pod, attachment);
  expect(Buffer.byteLength(alias)).toBeLessThan(256);
  expect(isOurAlias(alias)).toBe(true);
  expect(readAlias(alias)).toEqual({ ...attachment, uid: pod.uid, port: portDigest('a.default'), defaultRoute: true });
  const further = linkAlias({ ...pod, defaultRoute: false }, { ...attachment, netns: '/run/my netns/a' });
  expect(readAlias(further)).toMatchObject({ defaultRoute: false, netns: '/run/my netns/a' });
});

test('what does not fit is left out; aliases of others are not ours', () => {
  const alias = linkAlias(pod, { ...attachment, netns: `/run/${'n'.repeat(200)}` });
  expect(alias).toBe('ovenbird');
  expect(isOurAlias(alias)).toBe(true);
  expect(readAlias(alias)).toBeUndefined();
  for (const other of [undefined, '', 'ovenbirds', 'uplink']) expect(isOurAlias(other)).toBe(false);
});
