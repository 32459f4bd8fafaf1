import { announcement } from '@ovenbird/crds';
import { expect, test } from 'vitest';
import { makePod } from '../testing/world.ts';
import { State } from './state.ts';

test('a pod on which only what we announced changed touches nobody, and is told apart', () => {
  const state = new State();
  const pod = makePod('default', 'a', 'node-1', { annotations: { 'ovn.kubernetes.io/ingress_rate': '5' } });
  const echo = { ...pod, annotations: { ...pod.annotations, [announcement.announcedUid]: pod.uid } };
  const edited = { ...echo, annotations: { ...echo.annotations, 'ovn.kubernetes.io/ingress_rate': '6' } };
  const touched: string[] = [];
  expect(state.put('Pod', 'default/a', pod)).toBe('changed');
  state.onTouch((kind, key) => void touched.push(`${kind} ${key}`));
  expect(state.put('Pod', 'default/a', { ...pod })).toBe('same');
  expect(state.put('Pod', 'default/a', echo)).toBe('announced');
  expect(state.get('Pod', 'default/a')).toBe(echo);
  expect(touched).toEqual([]);
  expect(state.put('Pod', 'default/a', edited)).toBe('changed');
  expect(state.put('Pod', 'default/a', { ...edited, node: 'node-2' })).toBe('changed');
  expect(touched).toEqual(['Pod default/a', 'Pod default/a']);
});
