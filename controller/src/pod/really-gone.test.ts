import { KubeError, type KubeRequest, type Requester } from '@ovenbird/kube';
import { describe, expect, it } from 'vitest';
import type { IpRecord } from '../store/model.ts';
import { State } from '../store/state.ts';
import { arePodsReallyGone } from './really-gone.ts';

const record = (name: string): IpRecord => ({
  name,
  uid: `ip-${name}`,
  created: '',
  deleting: false,
  subnet: 's',
  managed: true,
  reserved: false,
  ownerUid: 'pod-uid',
});

/** Answers GETs of pods: the UID of those that exist, 404 otherwise. */
const api = (pods: Readonly<Record<string, string>>): Requester => ({
  request: <T>({ path }: KubeRequest): Promise<T> => {
    const uid = pods[path.split('/').at(-1) ?? ''];
    if (uid === undefined) return Promise.reject(new KubeError('not-found', 'none'));
    return Promise.resolve({ metadata: { name: 'x', uid } } as T);
  },
});

const ask = (
  pods: Readonly<Record<string, string>>,
  records: readonly string[],
  owners: readonly string[],
): Promise<boolean> => {
  const state = new State();
  for (const name of records) state.set('IpRecord', name, record(name));
  return arePodsReallyGone({ client: api(pods), state, owners, signal: new AbortController().signal });
};

describe('arePodsReallyGone', () => {
  const owners = ['Pod/ns/a', 'Pod/ns/b'];
  it('believes it when every pod is not there and its IP object is', async () => {
    expect(await ask({}, ['a.ns', 'b.ns'], owners)).toBe(true);
  });
  it('believes it when the name belongs to another pod by now', async () => {
    expect(await ask({ a: 'another' }, ['a.ns', 'b.ns'], owners)).toBe(true);
  });
  it('does not when one pod is there after all', async () => {
    expect(await ask({ b: 'pod-uid' }, ['a.ns', 'b.ns'], owners)).toBe(false);
  });
  it('does not when the API server lost the IP objects as well', async () => {
    expect(await ask({}, ['a.ns'], owners)).toBe(false);
  });
  it('does not decide about nodes', async () => {
    expect(await ask({}, ['a.ns'], ['Node/n'])).toBe(false);
  });
});
